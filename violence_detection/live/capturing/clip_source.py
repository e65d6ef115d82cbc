"""Reads a second stream of a camera, of which clips are kept; nothing of it is decoded."""

import time
from collections.abc import Callable

from violence_detection.live.capturing.backoff import Backoff
from violence_detection.live.capturing.host_turn import HostTurn
from violence_detection.live.capturing.packet_ring import PacketRing
from violence_detection.live.configuration.camera_settings import CameraSettings
from violence_detection.video.live_source import LiveError, open_live

_REFUSED_S = 1.0  # between two looks at the other stream


class ClipSource:
    """Keeps the packets of the stream, and connects anew after each end of it.

    Attributes:
        reason: Why there are no packets of it at this moment; empty while they come.
    """

    def __init__(
        self,
        target: str,
        settings: CameraSettings,
        ring: PacketRing,
        *,
        turn: HostTurn,
        is_refused: Callable[[], bool] = lambda: False,
        backoff: Backoff | None = None,
    ) -> None:
        """
        Args:
            target: URL.
            settings: Of the camera.
            ring: Gets the packets.
            turn: Is waited for before each attempt.
            is_refused: True while the camera refuses the stream that is judged: a camera counts
                attempts, whichever stream they are for, so this one waits.
            backoff: Delays between attempts.
        """
        self._target, self._settings, self._ring = target, settings, ring
        self._turn, self._backoff = turn, backoff or Backoff()
        self._is_refused = is_refused
        self.reason = "it is not open yet"

    def run(self) -> None:
        """Reads until the process ends."""
        while True:
            while self._is_refused():
                self.reason = "the camera refuses the other stream"
                time.sleep(_REFUSED_S)
            since_s = time.monotonic()
            try:
                self._turn.wait()
                self._read()
            except LiveError as error:
                failure = error
            finally:
                self._turn.release()
            self.reason = str(failure)
            time.sleep(
                self._backoff.next_delay_s(failure.kind, in_step_s=time.monotonic() - since_s)
            )

    def _read(self) -> None:
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
            self._ring.begin(source.info, source.header())
            for packet in source.packets():
                self._ring.add(packet)
                self.reason = ""
