"""Writes the clips of a camera from the packets that are kept, in threads of its capture.

It takes packets from the ring a few times a second, so the thread that reads the camera never
waits for a disk.
"""

import queue
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from violence_detection.errors import ViolenceDetectionError
from violence_detection.live.capturing.packet_ring import PacketRing
from violence_detection.live.processes.clip_messages import ClipEnd, ClipOrder, ClipWritten
from violence_detection.live.recording import clip_pictures, clips
from violence_detection.live.recording.clips import FOLDER, PART, ClipWriter, FinishedClip
from violence_detection.live.recording.masked_clips import MaskedClipWriter
from violence_detection.live.recording.privacy_masks import Polygon
from violence_detection.video.live_source import LivePacket

_EVERY_S = 0.2
# After this time without a packet a clip ends, though its last moment has not come.
_SILENCE_S = 5.0
# A clip whose end was never ordered.
_LONGEST_S = 3600.0


class _Recording:
    """A clip that is being written."""

    def __init__(self, order: ClipOrder, header: bytes, writer: ClipWriter | MaskedClipWriter):
        self.order, self.header, self.writer = order, header, writer
        self.to_s = order.from_s + _LONGEST_S
        self.last: LivePacket | None = None
        self.reason = ""

    def take(self, packets: Sequence[LivePacket]) -> None:
        """Writes what has come since the last call, up to the end."""
        for packet in self._new(packets):
            if packet.arrived_s > self.to_s:
                break
            self.writer.write(packet)
            self.last = packet

    def _new(self, packets: Sequence[LivePacket]) -> Sequence[LivePacket]:
        if self.last is None:
            starts = [
                place
                for place, packet in enumerate(packets)
                if packet.is_key and packet.arrived_s <= self.order.from_s
            ]
            return packets[starts[-1] :] if starts else packets
        for place in range(len(packets) - 1, -1, -1):
            if packets[place] is self.last:
                return packets[place + 1 :]
        # The last one is no longer kept: another connection, or the disk was slow.
        return [packet for packet in packets if packet.arrived_s > self.last.arrived_s]


class ClipRecorder:
    """Writes clips as they are ordered, finishes them, and makes their pictures."""

    def __init__(
        self,
        ring: PacketRing,
        data: Path,
        send: Callable[[ClipWritten], None],
        *,
        masks: Sequence[Polygon] = (),
        blurs_people: bool = False,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            ring: The packets of the camera.
            data: The folder that paths of orders are relative to.
            send: Takes messages for the supervisor.
            masks: Privacy masks; with any, clips are decoded and encoded again.
            blurs_people: So are they, and people made hard to recognise.
            now_s: The monotonic clock.
        """
        self._ring, self._data, self._send = ring, data, send
        self._masks, self._blurs_people, self._now_s = tuple(masks), blurs_people, now_s
        self._orders: queue.SimpleQueue[ClipOrder | ClipEnd] = queue.SimpleQueue()
        self._recordings: dict[str, _Recording] = {}
        self._ended: queue.SimpleQueue[_Recording] = queue.SimpleQueue()

    def order(self, order: ClipOrder | ClipEnd) -> None:
        """Takes an order, from any thread."""
        self._orders.put(order)

    def run(self) -> None:
        """Records until the process ends."""
        while True:
            self.step()
            time.sleep(_EVERY_S)

    def run_finishing(self, camera: str) -> None:
        """Finishes what an earlier process of this camera left, then what `run` has recorded: in
        another thread, because pictures take longer than packets are kept."""
        self.finish_left(self._data / FOLDER / camera)
        while True:
            self._finish(self._ended.get())

    def step(self) -> None:
        """Takes the orders that have come, writes the packets that have come, ends what is over."""
        while not self._orders.empty():
            order = self._orders.get()
            if isinstance(order, ClipOrder):
                self._begin(order)
            elif recording := self._recordings.get(order.event):
                recording.to_s = min(recording.to_s, order.to_s)
        if not self._recordings:
            return
        _, header, packets = self._ring.snapshot()
        for event, recording in list(self._recordings.items()):
            if self._is_over(recording, header, packets):
                del self._recordings[event]
                self._ended.put(recording)

    def finish_ended(self) -> None:
        """Finishes the clips that are over."""
        while not self._ended.empty():
            self._finish(self._ended.get())

    def finish_left(self, folder: Path) -> None:
        """Finishes the clips that a killed process of this camera left."""
        for part in sorted(folder.rglob(f"*.mp4{PART}")):
            path = part.with_name(part.name.removesuffix(PART))
            try:
                clip = clips.finish_part(part)
            except ViolenceDetectionError as error:
                self._send(_no_clip(self._name(path), str(error)))
            else:
                self._send(self._written(clip, 0.0, "the process that wrote it was killed"))

    def _begin(self, order: ClipOrder) -> None:
        info, header, _ = self._ring.snapshot()
        path = self._data / order.path
        try:
            if info is None or not header:
                raise ViolenceDetectionError("the camera sends nothing that a clip can hold")
            arguments = (path, header, info.time_base)
            writer = (
                MaskedClipWriter(
                    *arguments,
                    self._masks,
                    blurs_people=self._blurs_people,
                    now_s=self._now_s,
                )
                if self._masks or self._blurs_people
                else ClipWriter(*arguments, now_s=self._now_s)
            )
        except ViolenceDetectionError as error:
            self._send(_no_clip(order.path, str(error)))
            return
        self._recordings[order.event] = _Recording(order, header, writer)

    def _is_over(self, recording: _Recording, header: bytes, packets: Sequence[LivePacket]) -> bool:
        if header == recording.header:
            try:
                recording.take(packets)
            except ViolenceDetectionError as error:
                recording.reason = str(error)
                return True
        elif recording.last is not None:
            recording.reason = "the camera's stream has changed"
            return True
        newest_s = packets[-1].arrived_s if packets else 0.0
        if recording.writer.is_full:
            recording.reason = "it has reached the largest size"
        is_silent = self._now_s() > recording.to_s + _SILENCE_S
        return bool(newest_s > recording.to_s or is_silent or recording.reason)

    def _finish(self, recording: _Recording) -> None:
        try:
            clip = recording.writer.finish()
        except ViolenceDetectionError as error:
            self._send(_no_clip(recording.order.path, recording.reason or str(error)))
            return
        self._send(self._written(clip, recording.writer.first_s or 0.0, recording.reason))

    def _written(self, clip: FinishedClip, from_s: float, reason: str) -> ClipWritten:
        """The message of a finished clip, after its pictures were made."""
        size, has_poster, has_preview = clip.bytes, False, False
        try:
            pictures = clip_pictures.make_pictures(clip.path)
        except ViolenceDetectionError as error:
            reason = reason or str(error)
        else:
            size, has_poster = size + pictures.bytes, True
            has_preview = pictures.preview is not None
        return ClipWritten(
            self._name(clip.path),
            from_s,
            clip.duration_s,
            size,
            clip.codec,
            clip.sha256,
            has_poster=has_poster,
            has_preview=has_preview,
            reason=reason,
        )

    def _name(self, path: Path) -> str:
        return path.relative_to(self._data).as_posix()


def _no_clip(path: str, reason: str) -> ClipWritten:
    return ClipWritten(path, 0.0, 0.0, 0, "", "", False, False, reason)
