"""Turns of the cameras of one host: after a loss of the network not all connect at once."""

import contextlib
import fcntl
import hashlib
import time
from pathlib import Path
from urllib.parse import urlsplit

# More than half a second, and of no simple ratio to a stride: windows of cameras that were started
# one after the other end at different moments, so that none waits for the judge behind many.
_APART_S = 0.618
_MAX_WAIT_S = 3.0  # a camera that hangs while it is opened must not keep the others out
_POLL_S = 0.05


class HostTurn:
    """The turn of one capture process among those of the same host, by a lock on a file.

    One process opens its camera at a time, and 0.6 s apart; who has waited for 3 seconds
    opens it all the same.
    """

    # `system/locks.py` refuses at once or waits without end. Here a camera waits for 3 s at most
    # and goes on without the lock, and whoever opened one last leaves the time of that on the file.

    def __init__(self, folder: Path, target: str | int) -> None:
        """
        Args:
            folder: Where all captures of a watch keep such files; it exists.
            target: URL or camera number; a number has no host and never waits.
        """
        host = urlsplit(target).hostname if isinstance(target, str) else None
        digest = hashlib.sha256((host or "").encode()).hexdigest()[:16]
        self._path = folder / f"host-{digest}.lock" if host else None
        self._held = contextlib.ExitStack()

    def wait(self) -> None:
        """Waits for the turn, and takes it."""
        self.release()
        if self._path is None:
            return
        with contextlib.suppress(OSError):  # a full disk keeps no camera out
            file = self._held.enter_context(self._path.open("a+"))
            end_s = time.monotonic() + _MAX_WAIT_S
            while time.monotonic() < end_s:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    status = self._path.stat()
                    passed_s = time.time() - status.st_mtime
                    if status.st_size and 0 <= passed_s < _APART_S:
                        time.sleep(_APART_S - passed_s)
                    break
                time.sleep(_POLL_S)
            file.truncate(0)
            file.write("x")  # its time is that of the last attempt
            file.flush()

    def release(self) -> None:
        """Gives the turn to the next; harmless where it is not held."""
        self._held.close()
