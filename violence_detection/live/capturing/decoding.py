"""Decodes the packets of a camera in step with it, and drops what would make it late."""

import contextlib
import time
from collections.abc import Callable, Iterable

from violence_detection.live.capturing.packet_queue import Arrived, Opened
from violence_detection.live.capturing.window_maker import WindowMaker
from violence_detection.live.configuration.camera_settings import LagSettings
from violence_detection.live.processes.process_messages import CameraChunk
from violence_detection.live.recording.privacy_masks import MaskedFrame, PrivacyMasks
from violence_detection.video.live_decoder import DecoderCounts, LiveDecoder, LiveFrame, SectionEnd
from violence_detection.video.live_source import LagTracker, LiveError, LivePacket


class Decoding:
    """The work from packets to windows, for one connection after the other.

    Attributes:
        counts: What the decoders have met.
        late: Count of packets that were dropped because decoding was behind.
        clock_offset_s: As in `CaptureStatus`; 0.0 before the first frame.
        not_decoded: Count of packets that were not decoded because no other frame needs theirs.
    """

    def __init__(
        self,
        maker: WindowMaker,
        send: Callable[[CameraChunk], None],
        limits: LagSettings,
        masks: PrivacyMasks,
        show: Callable[[MaskedFrame], None],
    ) -> None:
        """
        Args:
            maker: Makes windows of the frames.
            send: Takes the chunks.
            limits: Delays at which work is dropped.
            masks: Are black in every frame that leaves here.
            show: Takes each frame that is not late, for pictures.
        """
        self._maker, self._send, self._limits = maker, send, limits
        self._masks, self._show = masks, show
        self.counts, self.late, self.not_decoded = DecoderCounts(), 0, 0
        self.clock_offset_s = 0.0
        self._lag = LagTracker()
        self._largest_lag_s = 0.0
        self._drops = False

    def take_largest_lag_s(self) -> float:
        """The largest lag of a frame since the last call."""
        largest_s, self._largest_lag_s = self._largest_lag_s, 0.0
        return largest_s

    def begin(self, opened: Opened) -> None:
        """Begins a connection."""
        self._connection, self._drops = opened.connection, False
        self._decoder = LiveDecoder(opened.source, self._maker.window_s, self.counts)
        self._maker.connect(opened.source.fps)
        self._lag.reset()

    def end(self) -> None:
        """Ends the connection: the last frames and windows are taken out."""
        with contextlib.suppress(LiveError):
            self._take(self._decoder.finish())
        self._hand_over(self._maker.end_section())

    def decode(self, arrived: Arrived) -> None:
        """Decodes a packet, unless it comes too late.

        A connection that is of no use gets its `fault`.
        """
        packet, decoder = arrived.packet, self._decoder
        waited_s = time.monotonic() - packet.arrived_s
        if arrived.follows_gap:
            decoder.skip()
        if self._is_dropped(packet, waited_s):
            self.late += 1
            self._connection.in_step_since_s = None
            return
        soft_s = self._limits.soft_s / (2 if decoder.keeps_references_only else 1)
        decoder.keeps_references_only = waited_s > soft_s
        try:
            frames = self._take(decoder.decode(packet))
        except LiveError as error:
            self._connection.fault = str(error)
            return
        self.not_decoded += decoder.keeps_references_only and not frames

    def _is_dropped(self, packet: LivePacket, waited_s: float) -> bool:
        """True if a packet is dropped: from the hard limit on, up to a key frame in time."""
        if self._drops and packet.is_key and waited_s <= self._limits.hard_s / 2:
            self._drops = False
        elif waited_s > self._limits.hard_s and not self._drops:
            self._drops = True
            self._decoder.skip()
        return self._drops

    def _take(self, items: Iterable[LiveFrame | SectionEnd]) -> int:
        """Makes windows of frames; the count of frames."""
        frames = 0
        for item in items:
            if isinstance(item, SectionEnd):
                self._hand_over(self._maker.add(item))
                continue
            frame = MaskedFrame(item, self._masks)
            self._hand_over(self._maker.add(frame))
            frames += 1
            now_s, time_s = time.monotonic(), self._maker.last_frame_s
            lag_s = self._lag.add(time_s, item.arrived_s) + now_s - item.arrived_s
            self.clock_offset_s = self._lag.offset_s
            self._largest_lag_s = max(self._largest_lag_s, lag_s)
            if lag_s <= self._limits.soft_s:
                self._show(frame)
            if lag_s > self._limits.hard_s:
                self._connection.in_step_since_s = None
            elif self._connection.in_step_since_s is None:
                self._connection.in_step_since_s = now_s
            if lag_s > self._limits.reconnect_s:
                self._connection.fault = f"it is {lag_s:.0f} s behind its own clock"
        return frames

    def _hand_over(self, chunks: Iterable[CameraChunk]) -> None:
        for chunk in chunks:
            self._send(chunk)
