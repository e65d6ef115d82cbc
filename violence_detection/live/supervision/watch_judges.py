"""The judges of a watch, and the cameras that each of them judges."""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from violence_detection.errors import RunError
from violence_detection.live.configuration.config import WatchFile
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.kept_worker import StartWorker
from violence_detection.live.processes.process_messages import JudgedWindow
from violence_detection.live.processes.watch_notices import JudgeChanged
from violence_detection.live.processes.watch_status import JudgeStatus
from violence_detection.live.processes.worker_process import JudgeStart, WorkerProcess
from violence_detection.live.supervision.watch_judge import WatchJudge
from violence_detection.models.run import Run

_SOCKET = "judge.sock"
_DEVICES = Path("/dev")
_DOWN_S = 30.0  # longer than a start takes: from then on people are told


class WatchJudges:
    """Keeps the judges running, and shares the cameras out among them evenly.

    The cameras of a judge that is down go to the others, and some come back once it is ready. A
    camera that changes its judge has no windows for about the length of one.
    """

    def __init__(
        self,
        file: WatchFile,
        *,
        clock: JoinedClock,
        hear: Callable[[WorkerProcess, Any], None],
        report: Callable[[JudgeChanged], None],
        start_worker: StartWorker,
        gpus: Sequence[str] | None = None,
    ) -> None:
        """
        Args:
            file: The cameras file.
            clock: Monotonic times and UTC.
            hear: Takes the messages of all judges, in a thread.
            report: Is told when one is ready or down.
            start_worker: Starts their processes.
            gpus: Names of the GPUs for CUDA; None looks for those of this machine.
        """
        if gpus is None:
            gpus = visible_gpus()
        if Run(file.run).record().feature_space.engine != "tensorflow":
            gpus = ()  # the other engines work on the processor
        count = file.judges or max(1, len(gpus))
        self._judges: list[WatchJudge] = []
        for number in range(1, count + 1):
            gpu = gpus[(number - 1) % len(gpus)] if gpus else ""
            name = _SOCKET if number == 1 else f"judge-{number}.sock"
            self._judges.append(
                WatchJudge(
                    JudgeStart(file.run, file.data / name),
                    number=number,
                    name=f"Judge {number}" if count > 1 else "The judge",
                    gpu=gpu,
                    shares_gpu=count > len(gpus),
                    threads=max(1, (os.cpu_count() or 1) // count)
                    if count > 1 and not gpu
                    else None,
                    clock=clock,
                    hear=hear,
                    report=report,
                    start_worker=start_worker,
                )
            )
        self._clock = clock
        self._judge_of: dict[str, WatchJudge] = {}

    def __iter__(self) -> Iterator[WatchJudge]:
        return iter(self._judges)

    # -- the cameras

    def assign(self, cameras: Sequence[str]) -> None:
        """Gives each camera a judge; as many as possible keep theirs.

        Args:
            cameras: The names of all cameras that are watched.
        """
        usable = [judge for judge in self._judges if judge.state != "down"] or self._judges
        most = math.ceil(len(cameras) / len(usable))
        counts = Counter({judge.number: 0 for judge in usable})
        before, self._judge_of = self._judge_of, {}
        for camera in cameras:
            judge = before.get(camera)
            if judge in usable and counts[judge.number] < most:
                self._judge_of[camera] = judge
                counts[judge.number] += 1
        for camera in cameras:
            if camera not in self._judge_of:
                judge = min(usable, key=lambda judge: counts[judge.number])
                self._judge_of[camera] = judge
                counts[judge.number] += 1
        self._judge_of = {camera: self._judge_of[camera] for camera in cameras}

    def address_of(self, camera: str) -> Path:
        """The socket on which the camera's judge takes its windows."""
        return self._judge_of[camera].address

    def cameras_of(self, judge: WatchJudge) -> list[str]:
        return [camera for camera, known in self._judge_of.items() if known is judge]

    # -- the processes

    @property
    def state(self) -> str:
        """`ready` if one is, `down` if all are, else `starting`."""
        states = {judge.state for judge in self._judges}
        if "ready" in states:
            return "ready"
        return "starting" if "starting" in states else "down"

    @property
    def failure(self) -> RunError | None:
        """The reason why none of them can work at all, once that is known."""
        failures = [judge.failure for judge in self._judges]
        return failures[0] if all(failures) else None

    @property
    def waiting(self) -> int:
        """Windows that wait."""
        return sum(judge.waiting for judge in self._judges)

    def tick(self) -> None:
        """Starts what is due, and ends what is silent."""
        for judge in self._judges:
            judge.tick()

    def end(self) -> None:
        """Ends them for good."""
        for judge in self._judges:
            judge.end()
        for judge in self._judges:
            judge.wait()

    def handle(self, process: WorkerProcess, message: Any) -> JudgedWindow | None:
        """Handles a message of a judge; returns it if it is a window."""
        for judge in self._judges:
            if judge.is_of(process):
                return judge.handle(message)
        return None

    def statuses(self) -> tuple[JudgeStatus, ...]:
        """The judges as pages show them."""
        return tuple(judge.as_status(self.cameras_of(judge)) for judge in self._judges)

    def down_words(self) -> str:
        """A sentence about those that have been down for a while; empty if none has."""
        now_s = self._clock.monotonic()
        down = [
            judge
            for judge in self._judges
            if judge.down_s is not None and now_s - judge.down_s >= _DOWN_S
        ]
        if not down:
            return ""
        if len(down) == len(self._judges):
            return f"Nothing is judged: {down[0].name.lower()} is down ({down[0].reason})."
        names = ", ".join(f"{judge.name} ({judge.reason})" for judge in down)
        return f"Judges are down, and the others have their cameras: {names}."


def visible_gpus(
    environment: Mapping[str, str] = os.environ, devices: Path = _DEVICES
) -> tuple[str, ...]:
    """Names of NVIDIA's GPUs for CUDA_VISIBLE_DEVICES, without loading a library.

    Args:
        environment: Where CUDA_VISIBLE_DEVICES is set, it decides.
        devices: The folder of devices.
    """
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        names = [name.strip() for name in chosen.split(",")]
        return tuple(name for name in names if name and name != "-1")
    count = sum(path.name[6:].isdecimal() for path in devices.glob("nvidia*"))
    return tuple(map(str, range(count)))
