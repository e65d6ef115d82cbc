"""The region of motion of a clip in each of its views."""

from collections.abc import Sequence

import numpy as np

from violence_detection.video.motion_crop import MotionMap, Region
from violence_detection.video.views import View


class ViewMotion:
    """The summed changes of a clip, as it is and in each view that moves the picture.

    A mirrored, turned, shaken or smaller picture has its motion in other pixels. A worse picture
    has it where it was: such a view shares the region of the clip as it is, which costs nothing.
    """

    def __init__(self, views: Sequence[View]) -> None:
        """
        Args:
            views: V views.
        """
        self._views = [view if view.moves else None for view in views]
        self._maps = {view: MotionMap() for view in self._views}

    def add(self, frame: np.ndarray, number: int) -> None:
        """Adds the next frame; the clip's frames are added in `FRAME_STEP`s.

        Args:
            frame: uint8 (H, W, 3) BGR.
            number: Its number in the video.
        """
        for view, motion in self._maps.items():
            motion.add(frame if view is None else view.degrade(frame, number))

    def regions(self) -> tuple[Region | None, ...]:
        """The region of each of the V views, after `View.degrade`; see `motion_region`."""
        regions = {view: motion.region() for view, motion in self._maps.items()}
        return tuple(regions[view] for view in self._views)
