"""Makes people in the frames of a clip hard to recognise, a second at a time.

What moves is shown in coarse blocks, and detected faces are covered; `anonymisation` says what
that guarantees. A person who stands still for ten seconds and whose face is not detected is shown.
"""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from violence_detection.evaluation.mistakes import anonymisation
from violence_detection.evaluation.mistakes.anonymisation import Box

SECOND_FRAMES = 25  # that are blurred together, at most
_LOOKED_AT = 5  # of them for motion
_REMEMBERED = 8  # frames of earlier seconds, in which what stands now may have moved


class PeopleBlur:
    """Blurs the frames of one clip, in parts of a second, each with the next one known."""

    def __init__(self) -> None:
        self._earlier: deque[np.ndarray] = deque(maxlen=_REMEMBERED)
        self._boxes: list[Box] = []  # of the last part
        self._next: list[Box] | None = None  # None before the first part

    def blurred(
        self, frames: Sequence[np.ndarray], following: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """The frames of the next part without recognisable people.

        Args:
            frames: uint8 (H, W, 3) BGR, all of one size; the first and the last part of a clip may
                have few.
            following: Those of the part after it; empty for the last one.
        """
        context = [*self._earlier, *_spread(frames, _LOOKED_AT), *_spread(following, _LOOKED_AT)]
        moving = anonymisation.moving_blocks(context)
        # Faces are looked for once a second, which takes half a core: those of the last second and
        # the next are covered as well.
        boxes = list(_faces(frames)) if self._next is None else self._next
        self._next = list(_faces(following)) if following else []
        covered = [
            anonymisation.cover(frame, moving, [*self._boxes, *boxes, *self._next])
            for frame in frames
        ]
        self._boxes = boxes
        self._earlier.extend(frames[:1])
        return covered


def _faces(frames: Sequence[np.ndarray]) -> Iterator[Box]:
    """The faces in the middle one of some frames."""
    return anonymisation.faces_in(frames[len(frames) // 2], enlarges=False)


def _spread(frames: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """Frames at equal distances, the first and the last among them."""
    places = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return [frames[place] for place in places]
