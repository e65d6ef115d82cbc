"""Messages of the FFmpeg inside OpenCV, counted: OpenCV does not pass on that data is damaged.

The wheels of OpenCV bring FFmpeg as libraries of their own. A function that receives the messages
is registered there, for the whole process: they are then counted and not printed. Where these
libraries are not found (an OpenCV of the system), `LISTENING` is False and nothing is counted.
"""

import atexit
import ctypes
import os
import threading
from itertools import chain
from pathlib import Path

import cv2

_ERROR, _WARNING, _QUIET = 16, 24, -8  # AV_LOG_ERROR, AV_LOG_WARNING, AV_LOG_QUIET
_CORRUPT_PACKET = b"Packet corrupt"  # a warning
_PLACES = ("../opencv*.libs/libavutil*.so*", ".dylibs/libavutil*.dylib")  # Linux, macOS


class _Counts(threading.local):
    """The messages of this thread: FFmpeg decodes in the thread that calls OpenCV.

    Attributes:
        errors: Errors so far.
        corrupt_packets: Packets so far that are marked as corrupt.
    """

    errors = 0
    corrupt_packets = 0


counts = _Counts()


@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def _receive(_source, level, text, _values) -> None:
    if level > _WARNING:
        return
    if level <= _ERROR:
        counts.errors += 1
    elif text.startswith(_CORRUPT_PACKET):
        counts.corrupt_packets += 1


def _listen() -> bool:
    """Register the function; False if the libraries are not found."""
    folder = Path(cv2.__file__).parent
    for path in chain.from_iterable(map(folder.glob, _PLACES)):
        library = ctypes.CDLL(str(path))  # the one that is loaded already
        library.av_log_set_callback(_receive)
        # FFmpeg may write a message when Python no longer runs.
        silent = ctypes.cast(library.av_log_default_callback, ctypes.c_void_p)
        atexit.register(library.av_log_set_callback, silent)
        atexit.register(library.av_log_set_level, _QUIET)
        return True
    return False


LISTENING = _listen()
if LISTENING:
    # With one of these, OpenCV registers a function of its own whenever it opens a video.
    for name in ("OPENCV_FFMPEG_DEBUG", "OPENCV_FFMPEG_LOGLEVEL"):
        os.environ.pop(name, None)
else:
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = str(_QUIET)
