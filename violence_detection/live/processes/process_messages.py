"""Messages between the processes of `watch`. Images go as bytes, so that no process unpickles what
a capture, which decodes a camera's stream, has sent."""

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from violence_detection.errors import VideoError

if TYPE_CHECKING:
    import numpy as np

MAX_IMAGE_BYTES = 512 * 2**20  # of the images of a message
_MAX_HEADER_BYTES = 2**20
_MAX_REASON = 40


# -- from a capture to the judge


@dataclass(frozen=True)
class CameraWindow:
    """A window of a camera, with the numbers of its images.

    Attributes:
        start_s, end_s: Seconds of the section.
        images: Numbers of the images in the section, (V, T, K) flattened.
        needed_from: The first image that later windows may need.
        unjudged: Why it must not be judged: `frames` (too few came), `dropped`; empty if it is to
            be judged. An unjudged window has no images; the judge passes it on in its turn.
    """

    start_s: float
    end_s: float
    images: tuple[int, ...] = ()
    needed_from: int = 0
    unjudged: str = ""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """
        Raises:
            ValueError, TypeError, KeyError: If they are not those of a window.
        """
        window = cls(**values | {"images": tuple(values["images"])})
        if not -math.inf < window.start_s <= window.end_s < math.inf:
            raise ValueError("times")
        if not all(map(_is_count, (*window.images, window.needed_from))):
            raise ValueError("numbers of images")
        if type(window.unjudged) is not str or len(window.unjudged) > _MAX_REASON:
            raise ValueError("reason")
        return window


@dataclass(frozen=True)
class CameraChunk:
    """New images of a camera, and the windows that are complete with them.

    Attributes:
        camera: Name of the camera.
        section: Number of the section; a later one is higher, also after a restart of the capture.
            Images and seconds are counted anew in each.
        first_image: Number of the first image. A gap to the last chunk's images means that images
            were dropped; windows that need them are passed on as unjudged.
        side: S.
        images: uint8 (n, S, S, C), contiguous.
        windows: Ascending.
        sent_s: Monotonic clock of the machine when the last frame of its windows had come.
        channels: C: 3, and of a run that stacks its streams 3 for each.
    """

    camera: str
    section: int
    first_image: int
    side: int
    images: bytes | bytearray | memoryview
    windows: tuple[CameraWindow, ...]
    sent_s: float
    channels: int = 3

    @classmethod
    def of_images(
        cls,
        camera: str,
        section: int,
        first_image: int,
        images: "np.ndarray",
        windows: tuple[CameraWindow, ...],
        sent_s: float,
    ) -> Self:
        """A chunk of images, uint8 (n, S, S, C); their memory is not copied."""
        side, channels = (images.shape[1], images.shape[3]) if len(images) else (1, 3)
        data = images.reshape(-1).data if len(images) else b""
        return cls(camera, section, first_image, side, data, windows, sent_s, channels)

    @property
    def image_count(self) -> int:
        return len(self.images) // (self.channels * self.side * self.side)

    def header(self) -> bytes:
        """Everything but the images, as JSON."""
        values = {
            "camera": self.camera,
            "section": self.section,
            "first_image": self.first_image,
            "side": self.side,
            "channels": self.channels,
            "sent_s": self.sent_s,
            "windows": [asdict(window) for window in self.windows],
        }
        return json.dumps(values).encode()

    @classmethod
    def from_parts(cls, header: bytes, images: bytes) -> Self:
        """The chunk of a header and of the bytes of its images.

        Raises:
            VideoError: If they are not those of a chunk.
        """
        try:
            if len(header) > _MAX_HEADER_BYTES or len(images) > MAX_IMAGE_BYTES:
                raise ValueError("too long")
            values: dict[str, Any] = json.loads(header)
            windows = tuple(CameraWindow.from_json(row) for row in values.pop("windows"))
            chunk = cls(images=images, windows=windows, **values)
            counts = chunk.section, chunk.first_image, chunk.side, chunk.channels
            if type(chunk.camera) is not str or not all(map(_is_count, counts)):
                raise ValueError("camera or counts")
            if not math.isfinite(chunk.sent_s) or len(images) % (chunk.channels * chunk.side**2):
                raise ValueError("time or sizes")
            return chunk
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            ZeroDivisionError,
            RecursionError,
        ) as error:
            raise VideoError(
                f"A capture must send whole chunks. Received: a broken message ({error})"
            ) from error


# -- from a judge to the supervisor


@dataclass(frozen=True)
class JudgedWindow:
    """A window with its probability; those of a camera come in their order.

    Attributes:
        camera, section, start_s, end_s: As in the chunk.
        probability: Of violence; None if it was not judged.
        probabilities: Probability of each class by name; None for two classes.
        reason: Why it was not judged: `frames`, `dropped` (by the capture), `late` (it waited too
            long), `lost` (images that it needs did not reach this judge), `not finite`; else empty.
        waited_s: Seconds from its last frame to its probability.
        novelty: Distance to the training clips; above 1 it is unlike anything that the run was
            trained on. None where the run does not know its training clips.
    """

    camera: str
    section: int
    start_s: float
    end_s: float
    probability: float | None
    probabilities: dict[str, float] | None = None
    reason: str = ""
    waited_s: float = 0.0
    novelty: float | None = None


@dataclass(frozen=True)
class JudgeReady:
    """A judge that gave its known answer and takes windows.

    Attributes:
        engine: Name and precision of the engine.
        window_s: Seconds of a window.
        classes: Names, the normal class first.
        threshold: The run's own.
        start_s: Seconds that the start took.
    """

    engine: str
    window_s: float
    classes: tuple[str, ...]
    threshold: float
    start_s: float


@dataclass(frozen=True)
class JudgeLoad:
    """The load of a judge, sent at least once a second.

    Attributes:
        queue_age_s: How long the oldest waiting window has waited since its last frame; 0.0 if
            none waits.
        working_s: Seconds for which it has worked without a pause. They are few where windows of
            many cameras come at once and are judged before the next ones come.
        waiting: Windows that wait.
        judged, unjudged: Windows since the start.
        images: Images that were encoded since the start.
        busy_s: Seconds of encoding and classifying since the start.
    """

    queue_age_s: float
    working_s: float
    waiting: int
    judged: int
    unjudged: int
    images: int
    busy_s: float


@dataclass(frozen=True)
class JudgeFailed:
    """A judge that ends because it cannot work; `message` says why."""

    message: str


JudgeMessage = JudgedWindow | JudgeReady | JudgeLoad | JudgeFailed


# -- from the supervisor to a capture


@dataclass(frozen=True)
class StrideOrder:
    """The distance of windows that a capture makes from now on, in seconds."""

    stride_s: float


@dataclass(frozen=True)
class JudgeOrder:
    """The capture sends its chunks to another judge from now on, whose socket has this path."""

    address: str


@dataclass(frozen=True)
class PictureOrder:
    """The capture makes pictures for so many seconds from now on: somebody looks at the page."""

    hold_s: float


@dataclass(frozen=True)
class VideoOrder:
    """The capture sends live video for so many seconds from now on, if browsers play it."""

    hold_s: float


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53
