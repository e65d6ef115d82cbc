"""Windows of one camera: from its frames to chunks for the judge, over sections and reconnects."""

import time
from collections.abc import Sequence

import numpy as np

from violence_detection.inference.sliding_windows import SlidingWindows, WindowImages, WindowPlan
from violence_detection.live.processes.process_messages import CameraChunk, CameraWindow
from violence_detection.live.recording.privacy_masks import MaskedFrame
from violence_detection.video.live_decoder import LiveFrame, SectionEnd
from violence_detection.video.motion_crop import Polygon
from violence_detection.video.stream_set import StreamSet

_CHUNK_S = 0.1  # that images wait for the window that they belong to
_MIN_FRAMES_SHARE = 0.5  # of the moments of a window that must have a frame of their own
_TOUCH_S = 1e-3


class WindowMaker:
    """Makes the windows of a camera.

    Times are those of `capture_messages`: the first frame of a connection has the monotonic time
    of its arrival, and the camera's clock counts on from there.

    Attributes:
        windows: Count of windows that are to be judged.
        unjudged_s: Seconds between windows that are to be judged, and of those with too few frames.
        last_frame_s: Time of the last frame; 0.0 before the first.
    """

    def __init__(
        self,
        camera: str,
        streams: StreamSet,
        plan: WindowPlan,
        *,
        first_section: int,
        hold_bytes: int,
        ignored: Sequence[Polygon] = (),
    ) -> None:
        """
        Args:
            camera: Its name.
            streams: Make the images.
            plan: Positions of the windows.
            first_section: Number of the first section.
            hold_bytes: Memory for the frames that windows may still need.
            ignored: Polygons in which motion does not steer the crop of focused streams.
        """
        self._ignored = tuple(ignored)
        self._camera, self._streams, self._plan = camera, streams, plan
        self._section, self._hold_bytes = first_section - 1, hold_bytes
        self.windows, self.unjudged_s, self.last_frame_s = 0, 0.0, 0.0
        self._fps, self._every = 0.0, 1
        self._sliding: SlidingWindows | None = None
        self._base_s: float | None = None  # added to times of the source
        self._covered_s: float | None = None  # the end of the last window
        self._is_gap = False  # a section has begun since
        self._sent_images = 0  # of the section
        self._images: list[np.ndarray] = []
        self._ready: list[CameraWindow] = []
        self._chunk_s = 0.0

    @property
    def window_s(self) -> float:
        return self._plan.window_s

    @property
    def stride_s(self) -> float:
        return self._every * self._plan.stride_s

    def set_stride(self, stride_s: float) -> None:
        """Windows are about so far apart from now on: a multiple of the plan's stride."""
        self._every = max(1, round(stride_s / self._plan.stride_s))
        if self._sliding:
            self._sliding.every = self._every

    def connect(self, fps: float) -> None:
        """A connection was made; its first frame begins a section.

        Args:
            fps: Frames per second by the stream's description; 0.0 if unknown.
        """
        self._fps, self._base_s = fps, None

    def add(self, item: LiveFrame | MaskedFrame | SectionEnd) -> list[CameraChunk]:
        """Adds a frame, or the end of a section; returns the chunks that are to be sent now."""
        if isinstance(item, SectionEnd):
            return self.end_section()
        if self._base_s is None:
            first_s = max(item.arrived_s, self.last_frame_s + _TOUCH_S)
            self._base_s = first_s - item.time_s
        if self._sliding is None:
            self._begin_section()
        time_s = self.last_frame_s = self._base_s + item.time_s
        windows = self._sliding.add(time_s, item)
        return self._take(windows, item.arrived_s)

    def end_section(self) -> list[CameraChunk]:
        """No window contains both what came and what comes; returns the last chunk."""
        if self._sliding is None:
            return []
        windows = self._sliding.end()
        chunks = self._take(windows, time.monotonic(), flush=True)
        self._sliding = None
        return chunks

    def _begin_section(self) -> None:
        self._section += 1
        self._sent_images, self._is_gap = 0, True
        self._sliding = SlidingWindows(
            self._streams,
            self._plan,
            fps=self._fps,
            hold_bytes=self._hold_bytes,
            ignored=self._ignored,
        )
        self._sliding.every = self._every

    def _take(
        self, windows: list[WindowImages], arrived_s: float, *, flush: bool = False
    ) -> list[CameraChunk]:
        self._images += self._sliding.take_images()
        for window in windows:
            self._ready += self._to_judge(window)
        now_s = time.monotonic()
        waits = bool(self._images) and (flush or now_s - self._chunk_s > _CHUNK_S)
        if not self._ready and not waits:
            return []
        images = np.array(self._images, np.uint8)
        chunk = CameraChunk.of_images(
            self._camera, self._section, self._sent_images, images, tuple(self._ready), arrived_s
        )
        self._sent_images += len(images)
        self._images, self._ready, self._chunk_s = [], [], now_s
        return [chunk]

    def _to_judge(self, window: WindowImages) -> list[CameraWindow]:
        """The window as the judge takes it, after the gap before it where a section has ended."""
        before = []
        covered_s = window.start_s if self._covered_s is None else self._covered_s
        if window.start_s > covered_s + _TOUCH_S:
            self.unjudged_s += window.start_s - covered_s
            if self._is_gap:
                before = [CameraWindow(covered_s, window.start_s, unjudged="dropped")]
        self._is_gap = False
        numbers = tuple(window.images.ravel().tolist())
        times = window.start_s, window.end_s
        if window.own_frames < _MIN_FRAMES_SHARE * self._plan.count:
            self.unjudged_s += max(0.0, window.end_s - max(covered_s, window.start_s))
            judged = CameraWindow(*times, needed_from=window.needed_from, unjudged="frames")
        else:
            self.windows += 1
            judged = CameraWindow(*times, numbers, window.needed_from)
        self._covered_s = max(covered_s, window.end_s)
        return [*before, judged]
