"""Further views of a clip, for augmentation and test-time averaging: the same scene mirrored,
slightly cropped, a little brighter or darker."""

from dataclasses import dataclass

import cv2
import numpy as np

_LEAST_SHARE = 0.85  # of each side, that a crop keeps
_GAIN = 0.2  # brightness is multiplied by 0.8 to 1.2


@dataclass(frozen=True)
class View:
    """How a view differs from what the camera saw.

    Attributes:
        mirror: Left and right are swapped.
        share: Of each side of the frame, that is kept.
        left, top: Where what is kept begins, as a share of what is not.
        gain: What brightness is multiplied by.
    """

    mirror: bool = False
    share: float = 1.0
    left: float = 0.0
    top: float = 0.0
    gain: float = 1.0

    def of(self, frame: np.ndarray) -> np.ndarray:
        """The view of a frame, uint8 (h, w, 3) of (H, W, 3)."""
        height, width = (max(1, round(self.share * side)) for side in frame.shape[:2])
        top = round(self.top * (frame.shape[0] - height))
        left = round(self.left * (frame.shape[1] - width))
        seen = frame[top : top + height, left : left + width]
        if self.gain != 1:
            seen = cv2.convertScaleAbs(seen, alpha=self.gain)  # rounds, clips to 255
        return cv2.flip(seen, 1) if self.mirror else seen


ORIGINAL = View()
# What is averaged over beside it: mirrored, and cropped to either side.
TEST_TIME_VIEWS = (
    View(mirror=True),
    View(share=0.9),
    View(mirror=True, share=0.9, left=1.0, top=1.0),
)


def draw_views(count: int, digest: str) -> tuple[View, ...]:
    """The first `count` further views of a video.

    The first is mirrored and nothing else; of the others every second one is, and each is cropped
    and brightened or darkened in its own way. They are a function of the video's bytes alone.

    Args:
        count: How many.
        digest: Hex SHA-256 of the video.
    """
    found = []
    for number in range(1, count + 1):
        rng = np.random.default_rng((number, int(digest, 16)))
        share, (left, top), gain = (
            rng.uniform(_LEAST_SHARE, 1),
            rng.uniform(size=2),
            rng.uniform(1 - _GAIN, 1 + _GAIN),
        )
        if number == 1:
            found.append(View(mirror=True))
        else:
            found.append(View(number % 2 == 1, share, left, top, gain))
    return tuple(found)
