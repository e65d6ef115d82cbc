"""A capture process without a run, the judge that it sends to, and what both have said."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from violence_detection.live.configuration.camera_settings import CameraSettings
from violence_detection.live.processes import chunk_socket
from violence_detection.live.processes.capture_messages import (
    CAPTURE_MESSAGES,
    CaptureStatus,
    StateChange,
)
from violence_detection.live.processes.clip_messages import CLIP_MESSAGES
from violence_detection.live.processes.process_messages import CameraChunk, CameraWindow
from violence_detection.live.processes.worker_process import (
    WorkerChannel,
    WorkerKind,
    WorkerProcess,
)
from violence_detection.live.watching.camera_set import CAPTURE_VARIABLES

SIZE, FRAMES, WINDOW_S = 32, 4, 1.0


@dataclass(frozen=True)
class TestStart:
    """What a capture of the tests is started with."""

    target: str
    settings: CameraSettings
    judge: Path
    stream: str = "rgb"
    size: int = SIZE
    frames: int = FRAMES
    window_s: float = WINDOW_S
    frame_limit_s: float = 30.0
    clip_target: str | None = None
    retry_s: float | None = None  # between all attempts, without a turn; None: as in a watch


def main(start: TestStart, channel: WorkerChannel) -> None:
    from violence_detection.inference.sliding_windows import WindowPlan
    from violence_detection.live.capturing.backoff import Backoff
    from violence_detection.live.capturing.capture import Capture
    from violence_detection.live.capturing.chunk_sender import ChunkSender
    from violence_detection.live.capturing.host_turn import HostTurn
    from violence_detection.live.capturing.window_maker import WindowMaker
    from violence_detection.video.stream_set import StreamSet

    maker = WindowMaker(
        "door",
        StreamSet(start.stream, frame_size=start.size),
        WindowPlan(start.window_s, start.settings.stride_s, start.frames),
        first_section=1,
        hold_bytes=start.settings.hold_mb * 2**20,
    )
    sender = ChunkSender(start.judge)
    turn = HostTurn(start.judge.parent, start.target)
    options: dict[str, Any] = {"turn": turn, "frame_limit_s": start.frame_limit_s}
    if (retry_s := start.retry_s) is not None:

        class FixedDelay(Backoff):
            def next_delay_s(self, kind, *, in_step_s):
                return retry_s

        # A number has no host, whose turn would be waited for.
        options |= {"backoff": FixedDelay(), "turn": HostTurn(start.judge.parent, 0)}
    if start.clip_target:
        options |= {
            "data": start.judge.parent,
            "camera": "door",
            "clip_target": start.clip_target,
        }
    Capture(start.target, start.settings, maker, sender, channel.send, **options).run(channel)


class Judge:
    """Takes chunks as the judge does.

    Attributes:
        chunks: All so far.
    """

    def __init__(self, address: Path) -> None:
        self.chunks: list[CameraChunk] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(address))
        self._listener.listen()
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    while chunk := chunk_socket.receive_chunk(connection):
                        self.chunks.append(chunk)

    @property
    def windows(self) -> list[CameraWindow]:
        return [window for chunk in list(self.chunks) for window in chunk.windows]

    def close(self) -> None:
        self._listener.close()


class RunningCapture:
    """A capture process and its judge; a context manager.

    Attributes:
        messages: What the capture has said, in order.
        judge: What it has sent.
    """

    def __init__(
        self,
        target: str,
        folder: Path,
        *,
        windows: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        """
        Args:
            target: URL of the camera.
            folder: For the judge's socket.
            windows: Other fields of `TestStart`.
            settings: Of the camera.
        """
        self.messages: list[Any] = []
        address = folder / "judge.sock"
        self.judge = Judge(address)
        defaults = {"stride_s": 0.5, "read_timeout_s": 1.0, "open_timeout_s": 2.0}
        start = TestStart(target, CameraSettings(**defaults | settings), address, **windows or {})
        kind = WorkerKind(
            "the capture",
            "support.capture_worker",
            CAPTURE_MESSAGES + CLIP_MESSAGES,
            memory_bytes=2**30,
            environment=CAPTURE_VARIABLES,
        )
        self.process = WorkerProcess(kind, start, lambda _, message: self.messages.append(message))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.judge.close()

    @property
    def states(self) -> list[StateChange]:
        return [message for message in list(self.messages) if isinstance(message, StateChange)]

    @property
    def status(self) -> CaptureStatus:
        statuses = (m for m in reversed(list(self.messages)) if isinstance(m, CaptureStatus))
        return next(statuses)

    def wait_for(self, condition: Callable[[], Any], timeout_s: float = 15.0) -> Any:
        """The first true value of a condition."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            with contextlib.suppress(StopIteration):
                if value := condition():
                    return value
            time.sleep(0.01)
        raise AssertionError(f"never true; {self.messages[-5:]}")

    def wait_for_state(
        self, state: str, *, after_s: float = 0.0, timeout_s: float = 15.0
    ) -> StateChange:
        return self.wait_for(
            lambda: next(
                change for change in self.states if change.state == state and change.at_s > after_s
            )
        )
