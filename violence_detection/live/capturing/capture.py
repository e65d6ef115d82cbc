"""Capture of one camera, a process of its own: connects, keeps packets, decodes, makes windows.

One thread reads the connection and never waits for the others. One decodes and makes windows. One
sends them to the judge. The main thread takes orders and reports. What the camera or the judge
does not allow is dropped in this order, and counted by cause: frames that no other frame needs,
packets up to the next key frame, the connection. A window that is handed over is always whole.
"""

import functools
import os
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from violence_detection.errors import VideoError
from violence_detection.inference import video_sources
from violence_detection.inference.sliding_windows import WindowPlan
from violence_detection.live.capturing.backoff import Backoff
from violence_detection.live.capturing.chunk_sender import ChunkSender
from violence_detection.live.capturing.clip_recorder import ClipRecorder
from violence_detection.live.capturing.clip_source import ClipSource
from violence_detection.live.capturing.decoding import Decoding
from violence_detection.live.capturing.event_pictures import EventPictures
from violence_detection.live.capturing.host_turn import HostTurn
from violence_detection.live.capturing.packet_queue import Closed, Connection, Opened, PacketQueue
from violence_detection.live.capturing.packet_ring import PacketRing
from violence_detection.live.capturing.picture_maker import PictureMaker
from violence_detection.live.capturing.video_sender import VideoSender
from violence_detection.live.capturing.window_maker import WindowMaker
from violence_detection.live.configuration.camera_settings import CameraSettings
from violence_detection.live.processes.capture_messages import (
    CameraPicture,
    CaptureState,
    CaptureStatus,
    StateChange,
    StreamOpened,
)
from violence_detection.live.processes.clip_messages import (
    ClipEnd,
    ClipOrder,
    ClipWritten,
    EventPictureOrder,
)
from violence_detection.live.processes.process_messages import (
    JudgeOrder,
    PictureOrder,
    StrideOrder,
    VideoOrder,
)
from violence_detection.live.processes.worker_process import CaptureStart, WorkerChannel
from violence_detection.live.recording.privacy_masks import MaskedFrame, PrivacyMasks
from violence_detection.models.run import Run
from violence_detection.video.live_source import LiveError, LiveSource, open_live
from violence_detection.video.stream_set import StreamSet

RING_BYTES = 16 * 2**20
RING_S = 10.0
FRAME_LIMIT_S = 30.0  # longer than from one key frame to the next
_MIN_FRUITLESS = 20  # packets
_STATUS_S = 1.0
_HUNG_S = 30.0  # of one call of the decoder: nothing else ends it


def main(start: CaptureStart, channel: WorkerChannel) -> None:
    """Runs the capture of a camera until the supervisor ends the process."""
    space = Run.open(start.run).record()
    settings = start.camera.settings
    streams = StreamSet(space.feature_space.stream, frame_size=space.feature_space.frame_size)
    maker = WindowMaker(
        start.camera.name,
        streams,
        WindowPlan(space.window_s, settings.stride_s, space.feature_space.frames),
        first_section=start.first_section,
        hold_bytes=settings.hold_mb * 2**20,
        ignored=settings.ignore,
    )
    target = video_sources.parse_source(start.camera.source.reveal()).target
    sender = ChunkSender(start.judge)
    turn = HostTurn(start.judge.parent, target)
    keeps_clips = settings.clips.keep != "none"
    clip_target = start.camera.clip_source.reveal() if start.camera.clip_source else None
    Capture(
        target,
        settings,
        maker,
        sender,
        channel.send,
        turn=turn,
        camera=start.camera.name,
        data=start.judge.parent if keeps_clips else None,
        clip_target=clip_target,
        pictures=start.judge.parent,
    ).run(channel)


class _State:
    """The state of the camera; every change is reported, none twice."""

    def __init__(self, send: Callable[[StateChange], None]) -> None:
        self._send, self._lock = send, threading.Lock()
        self._last: tuple[str, str] = ("", "")

    @property
    def name(self) -> str:
        return self._last[0]

    def set(self, state: CaptureState, reason: str = "", retry_in_s: float = 0.0) -> None:
        with self._lock:
            self._set(state, reason, retry_in_s)

    def set_of(self, connection: Connection, state: CaptureState, reason: str = "") -> None:
        """Sets a state that holds as long as a connection is open."""
        with self._lock:
            if connection.is_open:
                self._set(state, reason, 0.0)

    def _set(self, state: CaptureState, reason: str, retry_in_s: float) -> None:
        if (state, reason) != self._last:
            self._last = state, reason
            self._send(StateChange(state, reason, time.monotonic(), retry_in_s))


class Capture:
    """Reads, decodes and hands over one camera."""

    def __init__(
        self,
        target: str | int,
        settings: CameraSettings,
        maker: WindowMaker,
        sender: ChunkSender,
        send: Callable[
            [StateChange | StreamOpened | CameraPicture | CaptureStatus | ClipWritten], None
        ],
        *,
        turn: HostTurn,
        camera: str = "",
        data: Path | None = None,
        clip_target: str | None = None,
        pictures: Path | None = None,
        backoff: Backoff | None = None,
        frame_limit_s: float = FRAME_LIMIT_S,
    ) -> None:
        """
        Args:
            target: URL or camera number.
            settings: Of the camera.
            maker: Makes windows of its frames.
            sender: Takes the chunks of windows.
            send: Takes messages for the supervisor, from any thread.
            turn: Is waited for before each attempt.
            camera: Its name, a part of the paths of clips.
            data: The folder that clips are in; None keeps none.
            clip_target: URL of the stream of which clips are kept; None for `target`.
            pictures: The folder that paths of pictures of events are relative to; None makes none.
            backoff: Delays between attempts.
            frame_limit_s: Seconds of packets without a frame after which it connects anew.
        """
        self._target, self._settings, self._maker = target, settings, maker
        self._sender, self._send = sender, send
        self._turn, self._backoff = turn, backoff or Backoff()
        self._frame_limit_s = frame_limit_s
        self._state = _State(send)
        self._connection = Connection(time.monotonic())
        self._queue = PacketQueue()
        self.ring = PacketRing(keep_s=settings.clips.pre_s + RING_S, max_bytes=RING_BYTES)
        self._camera = camera
        self._recorder: ClipRecorder | None = None
        self._clip_source: ClipSource | None = None
        if data:
            self._recorder = ClipRecorder(
                self.ring,
                data,
                send,
                masks=settings.privacy_masks,
                blurs_people=settings.clips.keep == "blurred",
            )
        if data and clip_target:
            clip_turn = HostTurn(data, clip_target)
            self._clip_source = ClipSource(
                clip_target,
                settings,
                self.ring,
                turn=clip_turn,
                is_refused=lambda: self._state.name == "refused",
            )
        self._pictures = PictureMaker(send)
        self._event_pictures = EventPictures(pictures) if pictures else None
        masks = PrivacyMasks(settings.privacy_masks)
        self._decoding = Decoding(maker, sender.put, settings.lag, masks, self._show)
        # Packets have no masks: of a camera with some, the page has pictures only.
        self._video = None if settings.privacy_masks else VideoSender(self.ring, send)
        self._connections = 0
        self._decoding_since_s: float | None = None  # of the packet that is being decoded

    def run(self, channel: WorkerChannel) -> None:
        """Captures until the process is ended; what a thread fails at ends the process."""
        works = [self._read, self._decode, self._sender.run]
        if self._recorder:
            works += [
                self._recorder.run,
                functools.partial(self._recorder.run_finishing, self._camera),
            ]
        if self._video:
            works.append(self._video.run)
        if self._clip_source:
            works.append(self._clip_source.run)
        for work in works:
            threading.Thread(target=_ending_the_process, args=(work,), daemon=True).start()
        status_s = time.monotonic()
        while True:
            order = channel.receive(max(0.0, status_s + _STATUS_S - time.monotonic()))
            if isinstance(order, StrideOrder):
                self._maker.set_stride(order.stride_s)
            elif isinstance(order, PictureOrder):
                self._pictures.order(order.hold_s)
            elif isinstance(order, JudgeOrder):
                self._sender.redirect(Path(order.address))
            elif isinstance(order, VideoOrder) and self._video:
                self._video.order(order.hold_s)
            elif isinstance(order, EventPictureOrder) and self._event_pictures:
                self._event_pictures.order(order)
            elif isinstance(order, ClipOrder | ClipEnd) and self._recorder:
                self._recorder.order(order)
            if time.monotonic() >= status_s + _STATUS_S:
                status_s = time.monotonic()
                self._check_connection(status_s)
                self._send(self._status(status_s))

    # -- the thread that reads

    def _read(self) -> None:
        while True:
            self._state.set("starting")
            self._connection = connection = Connection(time.monotonic())
            try:
                self._turn.wait()
                self._read_connection(connection)
            except LiveError as error:
                failure = error
            finally:
                self._turn.release()
            connection.is_open = False
            since_s = connection.in_step_since_s
            in_step_s = 0.0 if since_s is None else time.monotonic() - since_s
            delay_s = self._backoff.next_delay_s(failure.kind, in_step_s=in_step_s)
            state = failure.kind if failure.kind in ("refused", "absent") else "waiting"
            self._state.set(state, str(failure), delay_s)
            time.sleep(delay_s)

    def _read_connection(self, connection: Connection) -> None:
        """Reads packets.

        Raises:
            LiveError: At the end of the connection.
        """
        settings = self._settings
        with open_live(
            self._target,
            transport=settings.transport,
            open_timeout_s=settings.open_timeout_s,
            read_timeout_s=settings.read_timeout_s,
        ) as source:
            self._turn.release()
            self._note_opened(source, connection)
            try:
                for packet in source.packets():
                    connection.packet_s = packet.arrived_s
                    if self._clip_source is None:
                        self.ring.add(packet)
                    self._queue.put_packet(packet)
                    if connection.fault:
                        raise LiveError("timeout", connection.fault)
            finally:
                self._queue.put(Closed())

    def _note_opened(self, source: LiveSource, connection: Connection) -> None:
        info = source.info
        self._connections += 1
        connection.frame_s = time.monotonic()
        if self._clip_source is None:
            self.ring.begin(info, source.header())
        self._queue.put(Opened(source, connection))
        opened = (info.codec, info.width, info.height, info.fps)
        self._send(StreamOpened(*opened, time.monotonic()))

    # -- the thread that decodes

    def _decode(self) -> None:
        decoding, connection = self._decoding, self._connection
        while True:
            item = self._queue.get()
            if isinstance(item, Opened):
                connection = item.connection
                decoding.begin(item)
            elif isinstance(item, Closed):
                decoding.end()
            elif not connection.fault:
                frames = decoding.counts.frames
                self._decoding_since_s = time.monotonic()
                decoding.decode(item)
                self._decoding_since_s = None
                connection.fruitless += 1
                if decoding.counts.frames > frames:
                    connection.frame_s, connection.fruitless = time.monotonic(), 0
                    self._state.set_of(connection, "up")

    def _show(self, frame: MaskedFrame) -> None:
        """Gives a frame to those who make pictures of some."""
        self._pictures.offer(frame)
        if self._event_pictures:
            self._event_pictures.offer(frame)

    # -- the main thread

    def _check_connection(self, now_s: float) -> None:
        connection = self._connection
        since_s = self._decoding_since_s
        if since_s is not None and now_s - since_s > _HUNG_S:
            raise VideoError(f"The decoder must answer. Received: nothing for {_HUNG_S:g} s")
        has_packets = connection.fruitless > _MIN_FRUITLESS
        if has_packets and now_s - connection.frame_s > self._frame_limit_s:
            connection.fault = f"no frame of it could be decoded for {self._frame_limit_s:g} s"
        silent_s = now_s - connection.packet_s
        if self._state.name == "up" and silent_s > max(1.0, self._settings.read_timeout_s / 2):
            self._state.set_of(connection, "silent", "it is connected and sends nothing")

    def _status(self, now_s: float) -> CaptureStatus:
        decoding, maker, counts = self._decoding, self._maker, self._decoding.counts
        return CaptureStatus(
            at_s=now_s,
            lag_s=decoding.take_largest_lag_s(),
            clock_offset_s=decoding.clock_offset_s,
            frames=counts.frames,
            windows=maker.windows,
            dropped={
                "nonref": decoding.not_decoded,
                "late": decoding.late,
                "queue": self._queue.dropped,
                "no_time": counts.without_time,
                "judge": self._sender.dropped,
            },
            corrupt=counts.corrupt,
            last_frame_s=maker.last_frame_s,
            unjudged_s=maker.unjudged_s,
            stride_s=maker.stride_s,
            ring_bytes=self.ring.bytes,
            ring_s=self.ring.span_s,
            clock_jumps=counts.clock_jumps,
            size_changes=counts.size_changes,
            connections=self._connections,
            clip_reason=self._clip_source.reason if self._clip_source else "",
        )


def _ending_the_process(work: Callable[[], None]) -> None:
    """Runs a thread; the process must not go on without it."""
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
