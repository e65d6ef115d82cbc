"""Messages about clips between the supervisor and a capture.

Times are seconds of the machine's monotonic clock, at which packets arrived.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClipOrder:
    """An order of the supervisor: write a clip from `from_s` on, as far as packets are kept.

    Attributes:
        event: Id of the event.
        path: Path of the file, below the data folder.
        from_s: The first packet is the last key frame before it, if that is still kept.
    """

    event: str
    path: str
    from_s: float


@dataclass(frozen=True)
class ClipEnd:
    """An order of the supervisor: end the clip of an event with the packets of `to_s`."""

    event: str
    to_s: float


@dataclass(frozen=True)
class EventPictureOrder:
    """An order of the supervisor: write pictures of what the camera sees now.

    Attributes:
        original: Path of the picture as it is, below the data folder; empty for none.
        blurred: The same of one with people made hard to recognise.
    """

    original: str = ""
    blurred: str = ""


@dataclass(frozen=True)
class ClipWritten:
    """A clip is finished, or cannot be.

    Attributes:
        path: As in the order.
        from_s: Arrival of its first packet; 0.0 for a clip that an earlier process began.
        duration_s: Its length; 0.0 if there is no clip.
        bytes: Size of the video and its pictures.
        codec: FFmpeg's name of the codec.
        sha256: Digest of the video.
        has_poster: There is a contact sheet.
        has_preview: There is a preview, because browsers do not play the video.
        reason: Why there is no clip, or why it ends early; else empty.
    """

    path: str
    from_s: float
    duration_s: float
    bytes: int
    codec: str
    sha256: str
    has_poster: bool
    has_preview: bool
    reason: str = ""


CLIP_MESSAGES = (ClipWritten,)
