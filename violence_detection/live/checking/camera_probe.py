"""Probe of a camera, in a child process: its stream as it really comes, and the work it makes."""

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from violence_detection.errors import VideoError
from violence_detection.inference import video_sources
from violence_detection.inference.sliding_windows import WindowPlan
from violence_detection.live.capturing.window_maker import WindowMaker
from violence_detection.live.configuration.config import Camera
from violence_detection.live.processes.process_messages import CameraChunk
from violence_detection.models.run import Run
from violence_detection.video.live_decoder import LiveDecoder, LiveFrame
from violence_detection.video.live_source import LiveError, LivePacket, LiveSource, open_live
from violence_detection.video.stream_set import StreamSet

_WINDOWS = 3  # that are waited for, at least


@dataclass(frozen=True)
class CameraProbe:
    """A camera's stream.

    Attributes:
        error: Why it does not open, or what it ended with; empty if it was well.
        error_kind: See `LiveError`; empty without an error.
        opened: It was opened.
        open_s: Seconds that opening took.
        codec, profile, pixels: FFmpeg's names.
        width, height: Of the frames.
        fps: Frames per second, as they come.
        kbps: Kilobits per second.
        key_frame_s: The longest time between key frames; None if there were not two.
        has_b_frames: Frames come in another order than they are shown.
        frames: Decoded frames.
        corrupt: Damaged frames and packets.
        clock_skew_s: Seconds by which the camera's clock is ahead of this machine's; None if it
            does not tell.
        decode_cores: Processor seconds in a second, for decoding and making windows.
        images_per_s: Images that the judge gets in a second.
        clip_error: Why its `clip_source` gives nothing; empty where it does, or there is none.
    """

    error: str = ""
    error_kind: str = ""
    opened: bool = False
    open_s: float = 0.0
    codec: str = ""
    profile: str = ""
    pixels: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    kbps: float = 0.0
    key_frame_s: float | None = None
    has_b_frames: bool = False
    frames: int = 0
    corrupt: int = 0
    clock_skew_s: float | None = None
    decode_cores: float = 0.0
    images_per_s: float = 0.0
    clip_error: str = ""


def probe_camera(camera: Camera, run: Path, max_s: float) -> CameraProbe:
    """Opens a camera, reads and decodes it for some seconds.

    Args:
        camera: The camera.
        run: Folder of the run, which says what images the windows need.
        max_s: Seconds to read at most.
    """
    target = video_sources.parse_source(camera.source.reveal()).target
    settings, start_s = camera.settings, time.monotonic()
    try:
        with open_live(
            target,
            transport=settings.transport,
            open_timeout_s=settings.open_timeout_s,
            read_timeout_s=settings.read_timeout_s,
        ) as source:
            probe = _read(source, _window_maker(camera, run), max_s, time.monotonic() - start_s)
    except LiveError as error:
        probe = CameraProbe(error=camera.scrub(str(error)), error_kind=error.kind)
    return dataclasses.replace(probe, clip_error=_clip_error(camera, max_s))


def _clip_error(camera: Camera, max_s: float) -> str:
    """The faults of the stream of which clips are kept; empty without one."""
    if camera.clip_source is None:
        return ""
    settings, end_s = camera.settings, time.monotonic() + max_s
    try:
        with open_live(
            camera.clip_source.reveal(),
            transport=settings.transport,
            open_timeout_s=settings.open_timeout_s,
            read_timeout_s=settings.read_timeout_s,
        ) as source:
            for packet in source.packets():
                if packet.is_key:
                    return ""
                if time.monotonic() > end_s:
                    break
    except LiveError as error:
        return camera.scrub(str(error))
    return f"it sends no key frame in {max_s:g} s"


def _window_maker(camera: Camera, run: Path) -> WindowMaker:
    record = Run.open(run).record()
    space = record.feature_space
    return WindowMaker(
        camera.name,
        StreamSet(space.stream, frame_size=space.frame_size),
        WindowPlan(record.window_s, camera.settings.stride_s, space.frames),
        first_section=0,
        hold_bytes=camera.settings.hold_mb * 2**20,
    )


def _read(source: LiveSource, maker: WindowMaker, max_s: float, open_s: float) -> CameraProbe:
    decoder, work = LiveDecoder(source, maker.window_s), _Work()
    maker.connect(source.info.fps)
    packets: list[LivePacket] = []
    error, kind = "", ""
    start_cpu_s = time.process_time()
    try:
        shortest_s = maker.window_s + _WINDOWS * maker.stride_s
        for packet in _some_packets(source, shortest_s, max(max_s, shortest_s)):
            packets.append(packet)
            for item in decoder.decode(packet):
                for chunk in maker.add(item):
                    work.add(chunk)
                if isinstance(item, LiveFrame):
                    size = item.width, item.height
    except LiveError as failure:
        error, kind = str(failure), failure.kind
    except VideoError as failure:
        error, kind = str(failure), "garbage"
    cpu_s = time.process_time() - start_cpu_s
    info = source.info
    width, height = (info.width, info.height) if not decoder.counts.frames else size
    seconds = _media_s(source, packets)
    return CameraProbe(
        error=error,
        error_kind=kind,
        opened=True,
        open_s=round(open_s, 2),
        codec=info.codec,
        profile=info.profile,
        pixels=info.pixels,
        width=width,
        height=height,
        fps=round((len(packets) - 1) / seconds, 2) if seconds else 0.0,
        kbps=round(8e-3 * sum(len(packet.data) for packet in packets) / seconds)
        if seconds
        else 0.0,
        key_frame_s=_key_frame_s(source, packets),
        has_b_frames=info.has_b_frames or _is_reordered(packets),
        frames=decoder.counts.frames,
        corrupt=decoder.counts.corrupt + sum(packet.is_corrupt for packet in packets),
        clock_skew_s=_clock_skew_s(source, packets),
        decode_cores=round(cpu_s / seconds, 3) if seconds else 0.0,
        images_per_s=round(work.images_per_s, 2),
    )


class _Work:
    """The images that windows make in a second, after the first window, which needs more."""

    def __init__(self) -> None:
        self._first_end_s: float | None = None
        self._last_end_s = 0.0
        self._images = 0  # since the first window

    def add(self, chunk: CameraChunk) -> None:
        if self._first_end_s is not None:
            self._images += chunk.image_count
        for window in chunk.windows:
            self._last_end_s = window.end_s
            if self._first_end_s is None:
                self._first_end_s = window.end_s

    @property
    def images_per_s(self) -> float:
        """0.0 if there were not two windows."""
        seconds = self._last_end_s - (self._first_end_s or 0.0)
        return self._images / seconds if self._first_end_s is not None and seconds > 0 else 0.0


def _some_packets(source: LiveSource, shortest_s: float, max_s: float) -> Iterator[LivePacket]:
    """Packets for `shortest_s`, and until there are two key frames, but at most for `max_s`."""
    start_s, keys = time.monotonic(), 0
    for packet in source.packets():
        yield packet
        keys += packet.is_key
        passed_s = time.monotonic() - start_s
        if passed_s >= max_s or (keys > 1 and passed_s >= shortest_s):
            return


def _times_s(source: LiveSource, packets: list[LivePacket]) -> list[float]:
    """Times of decoding by the camera's clock, of packets that have one."""
    numerator, denominator = source.info.time_base
    times = [packet.dts if packet.dts is not None else packet.pts for packet in packets]
    return [time * numerator / denominator for time in times if time is not None]


def _media_s(source: LiveSource, packets: list[LivePacket]) -> float:
    """Seconds from the first to the last packet, by the camera's clock; by arrival where that
    was set in between."""
    times = _times_s(source, packets)
    arrived_s = packets[-1].arrived_s - packets[0].arrived_s if packets else 0.0
    media_s = times[-1] - times[0] if times else 0.0
    return media_s if 0 < media_s < arrived_s + 10.0 else arrived_s


def _key_frame_s(source: LiveSource, packets: list[LivePacket]) -> float | None:
    times = _times_s(source, [packet for packet in packets if packet.is_key])
    return round(max(after - before for before, after in pairwise(times)), 2) if times[1:] else None


def _is_reordered(packets: list[LivePacket]) -> bool:
    times = [packet.pts for packet in packets if packet.pts is not None]
    return any(after < before for before, after in pairwise(times))


def _clock_skew_s(source: LiveSource, packets: list[LivePacket]) -> float | None:
    """The camera's clock less this machine's, by the last packet."""
    times, start_ms = _times_s(source, packets), source.started_at_ms
    if start_ms is None or not times:
        return None
    arrived_utc_s = time.time() - (time.monotonic() - packets[-1].arrived_s)
    return round(start_ms / 1000 + times[-1] - arrived_utc_s, 1)
