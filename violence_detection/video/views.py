"""Further views of a clip, for augmentation and test-time averaging: mirrored, slightly cropped, a
little brighter or darker, or as a worse camera shows it."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.video.corruptions._corruption import ClipChange, FrameChange

_MIN_KEPT_FRACTION = 0.85  # of each side, in a crop
_MAX_GAIN_CHANGE = 0.2  # brightness is multiplied by 0.8 to 1.2


@dataclass(frozen=True)
class View:
    """A change of all frames of a clip.

    Attributes:
        mirror: Left and right are swapped.
        kept_fraction: The fraction of each side of the frame that the crop keeps.
        left, top: Position of the crop: 0.0 at the left or upper border, 1.0 at the other.
        gain: Factor of the brightness.
        kind: Spec of a corruption that changes whole frames, before anything is cut from them.
        seed: What is drawn once for the clip depends on it.
    """

    mirror: bool = False
    kept_fraction: float = 1.0
    left: float = 0.0
    top: float = 0.0
    gain: float = 1.0
    kind: str = ""
    seed: int = 0

    @property
    def moves(self) -> bool:
        """True if what the picture shows has other pixels after `degrade`."""
        return bool(self.kind) and registry.load("corruptions", self.kind).moves

    def degrade(self, frame: np.ndarray, number: int) -> np.ndarray:
        """A whole frame under the corruption, uint8 (h, w, 3) of (H, W, 3); `downscale` and `crop`
        make it smaller.

        Args:
            frame: BGR.
            number: Its number in the video.
        """
        if not self.kind:
            return frame
        return _frame_change(self.kind, self.seed)(frame, number)

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """The view of a frame, uint8 (h, w, 3) of (H, W, 3)."""
        height, width = (max(1, round(self.kept_fraction * side)) for side in frame.shape[:2])
        top = round(self.top * (frame.shape[0] - height))
        left = round(self.left * (frame.shape[1] - width))
        view = frame[top : top + height, left : left + width]
        if self.gain != 1:
            view = cv2.convertScaleAbs(view, alpha=self.gain)  # rounds, clips to 255
        return cv2.flip(view, 1) if self.mirror else view


ORIGINAL = View()
# Test-time averaging adds these views to the original: mirrored, and cropped to opposite corners.
TEST_TIME_VIEWS = (
    View(mirror=True),
    View(kept_fraction=0.9),
    View(mirror=True, kept_fraction=0.9, left=1.0, top=1.0),
)


@functools.lru_cache(maxsize=64)
def _frame_change(kind: str, seed: int) -> FrameChange:
    return registry.load("corruptions", kind).draw(np.random.default_rng(seed))


def check_kinds(specs: Sequence[str]) -> tuple[str, ...]:
    """The kinds of views in full.

    Args:
        specs: Specs of corruptions.

    Raises:
        ConfigError: If one is unknown, or changes no single frames (compress, drop_frames).
    """
    kinds = []
    for spec in specs:
        kind = registry.check("corruptions", spec)
        if not isinstance(registry.load("corruptions", kind), ClipChange):
            raise ConfigError(
                "`view_kinds` must be corruptions of single frames. Received: "
                f"{spec}, which changes the file"
            )
        kinds.append(kind)
    return tuple(kinds)


def draw_views(count: int, digest: str, kinds: Sequence[str] = ()) -> tuple[View, ...]:
    """The first `count` further views of a video.

    With `kinds`, view n is the video under the n-th of them, over and over, and changed in no other
    way; what a corruption draws differs between videos and views.

    Without, the first view is mirrored and not changed otherwise. Of the others every second is
    mirrored, and each has its own crop and brightness. They depend on the video's bytes only, so
    that extraction is repeatable.

    Args:
        count: Number of views, >= 0.
        digest: Hex SHA-256 of the video.
        kinds: From `check_kinds`.
    """
    views = []
    for number in range(1, count + 1):
        if kinds:
            seed = int(np.random.default_rng((number, int(digest, 16))).integers(2**62))
            views.append(View(kind=kinds[(number - 1) % len(kinds)], seed=seed))
            continue
        rng = np.random.default_rng((number, int(digest, 16)))
        kept_fraction, (left, top), gain = (
            rng.uniform(_MIN_KEPT_FRACTION, 1),
            rng.uniform(size=2),
            rng.uniform(1 - _MAX_GAIN_CHANGE, 1 + _MAX_GAIN_CHANGE),
        )
        if number == 1:
            views.append(View(mirror=True))
        else:
            views.append(View(number % 2 == 1, kept_fraction, left, top, gain))
    return tuple(views)
