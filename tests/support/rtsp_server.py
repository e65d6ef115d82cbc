"""RTSP cameras on loopback, which play H.264 files and fail on a schedule.

with RtspServer({"door": TestCamera([path], faults=[Fault(4, "freeze")])}) as server:
    read(server.url("door"))
"""

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from violence_detection.video.h264_pictures import frame_seconds, pictures
from violence_detection.video.rtsp_server import (
    Gone,
    PlayedCamera,
    Player,
    RtspServer,
    Session,
)

__all__ = ["Fault", "RtspServer", "TestCamera"]

_NTP_EPOCH_S = 2_208_988_800  # from 1900 to 1970


class Fault(NamedTuple):
    """What goes wrong with a camera, and when.

    Attributes:
        at_s: Seconds of the stream after a client's PLAY.
        kind: `freeze` (nothing more is sent, the connection stays), `close` (FIN), `reset` (RST),
            `lose` (a share `value` of packets), `jump` (`value` seconds are added to times),
            `garbage` (random bytes in place of packets), `file` (plays `value`, a path, from now
            on), `slow` (`value` bytes a second).
        value: See above.
        client: The only client that meets it, counted from 0; None for all.
    """

    at_s: float
    kind: str
    value: float | Path = 0.0
    client: int | None = None


@dataclass
class TestCamera(PlayedCamera):
    """A camera with faults.

    Attributes:
        faults: On a schedule.
        repeats_first: The first picture is sent twice, a frame apart: FFmpeg gives no time to the
            first that it gets, so that it is left out. With this a reader has every picture.
        leaves_out_keys: Pictures from which decoding can begin are not sent, but their headers.
        clock_offset_s: Of the camera's own clock, which it then tells (RTCP).
        sent: For each picture of the first client its stream time and the monotonic time when it
            was sent.
    """

    __test__ = False  # pytest

    faults: Sequence[Fault] = ()
    repeats_first: bool = False
    leaves_out_keys: bool = False
    clock_offset_s: float | None = None
    sent: list[tuple[float, float]] = field(default_factory=list)

    def player(self, session: Session) -> Player:
        return _FaultyPlayer(session, self)


class _FaultyPlayer(Player):
    def __init__(self, session: Session, camera: TestCamera) -> None:
        super().__init__(session, camera)
        self._test = camera
        self._faults = sorted(
            fault for fault in camera.faults if fault.client is None or fault.client == self.number
        )
        self._jump_s = self._loss = self._bytes_per_s = 0.0
        self._garbles = False

    def begin(self, first: Path) -> float:
        if self._test.clock_offset_s is not None:
            self._send_clock(self._test.clock_offset_s)
        if not self._test.repeats_first:
            return 0.0
        self.send_picture(next(pictures(first)).units, 0.0)
        return frame_seconds(first)

    def wait_for(self, due_s: float) -> Path | None:
        """Fails where that is planned, and waits."""
        while self._faults and self._faults[0].at_s <= due_s:
            fault = self._faults.pop(0)
            self.wait_until(fault.at_s)
            match fault.kind:
                case "freeze":
                    self.session.wait(1e6)
                case "close":
                    self.session.hang_up()
                    raise Gone
                case "reset":
                    self.session.reset()
                    raise Gone
                case "lose":
                    self._loss = fault.value
                case "jump":
                    self._jump_s += fault.value
                case "garbage":
                    self._garbles = True
                case "slow":
                    self._bytes_per_s = fault.value
                case "file":
                    return Path(fault.value)
                case _:
                    raise ValueError(fault.kind)
        return super().wait_for(due_s)

    def send_picture(self, units: list[bytes], time_s: float) -> None:
        if self._test.leaves_out_keys:  # 5: an IDR slice
            units = [unit for unit in units if unit[0] & 31 != 5]
        if self.number == 0:
            self._test.sent.append((time_s, time.monotonic()))
        super().send_picture(units, time_s + self._jump_s)

    def add_packet(self, packet: bytes) -> None:
        if self.random.random() < self._loss:
            return
        super().add_packet(self.random.randbytes(len(packet)) if self._garbles else packet)
        if self._bytes_per_s:
            self.flush()
            self.session.wait(len(packet) / self._bytes_per_s)

    def _send_clock(self, offset_s: float) -> None:
        """Sends an RTCP sender report: the camera's clock at the first timestamp."""
        clock_s = time.time() + offset_s + _NTP_EPOCH_S
        seconds, fraction = int(clock_s), int(clock_s % 1 * 2**32)
        report = struct.pack(">BBHIIIIII", 0x80, 200, 6, 7, seconds, fraction, self.base, 0, 0)
        self.session.send(struct.pack(">cBH", b"$", 1, len(report)) + report)
