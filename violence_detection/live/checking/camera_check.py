"""Check of a cameras file: does each camera open, what does it send, can this machine judge all."""

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.live.checking.camera_probe import CameraProbe, probe_camera
from violence_detection.live.configuration.config import Camera, WatchFile
from violence_detection.live.judging.engine_benchmark import EngineSpeed, measure_engine
from violence_detection.system.process_handle import ProcessKind
from violence_detection.system.processes import DedicatedProcess, ProcessPool

_PROBE_S = 9.0  # of reading; with opening it is 15 s or less, by default
_START_S = 30.0  # of a child process, on a busy machine
_BENCHMARK_S = 5.0
_AT_ONCE = 8  # cameras that are probed
_MAX_KEY_FRAME_S = 4.0
_MAX_SKEW_S = 5.0
_MIN_FPS = 5.0
_MAX_LOAD = 0.8
# Browsers play H.264 of 8 bits and 4:2:0 everywhere.
_PLAYED_CODECS, _PLAYED_PIXELS = ("h264",), ("yuv420p", "yuvj420p")
_CAPTURE = ProcessKind("the capture", VideoError, memory_bytes=2**31)

Probe = Callable[[Camera, Path], CameraProbe]
Benchmark = Callable[[Path], EngineSpeed]


@dataclass(frozen=True)
class CheckFinding:
    """Something that is wrong, why it matters, and what helps.

    Attributes:
        camera: Name of the camera; empty for the whole watch.
    """

    camera: str
    what: str
    why: str
    help: str


@dataclass(frozen=True)
class CameraCheck:
    """A camera that was checked."""

    camera: Camera
    probe: CameraProbe

    @property
    def plays_in_browser(self) -> bool:
        return self.probe.codec in _PLAYED_CODECS and self.probe.pixels in _PLAYED_PIXELS

    def findings(self) -> list[CheckFinding]:
        """Everything that is wrong with it."""
        probe, texts = self.probe, []
        if not probe.opened:
            help_text = _HELP.get(probe.error_kind, "look at its address and at the network")
            texts.append((probe.error, "nothing is watched there", help_text))
        elif probe.error:
            texts.append(
                (probe.error, "it is connected and sends too little", "look at the camera")
            )
        elif not probe.frames:
            texts.append(
                ("no frame can be decoded", "nothing is watched there", "set it to H.264 or H.265")
            )
        else:
            texts += self._stream_texts()
        if probe.clip_error:
            what = f"its `clip_source` gives nothing: {probe.clip_error}"
            texts.append((what, "no clips are kept", "look at its address and its password"))
        return [CheckFinding(self.camera.name, *text) for text in texts]

    def _stream_texts(self) -> list[tuple[str, str, str]]:
        probe, texts = self.probe, []
        if probe.key_frame_s is None or probe.key_frame_s > _MAX_KEY_FRAME_S:
            seconds = "over 9 s" if probe.key_frame_s is None else f"{probe.key_frame_s:g} s"
            texts.append(
                (
                    f"key frames are {seconds} apart",
                    "after each loss it is blind so long, and clips begin early",
                    "set the distance (GOP, I-frame interval) to 2 s",
                )
            )
        if probe.fps < _MIN_FPS:
            texts.append(
                (
                    f"{probe.fps:g} frames per second",
                    "motion cannot be seen",
                    "set it to 10 or more",
                )
            )
        if probe.corrupt:
            texts.append(
                (
                    f"{probe.corrupt} damaged frames or packets of {probe.frames} frames",
                    "windows with too few frames are not judged",
                    "`transport: tcp`, or a better connection",
                )
            )
        if probe.clock_skew_s is not None and abs(probe.clock_skew_s) > _MAX_SKEW_S:
            texts.append(
                (
                    f"its clock is {probe.clock_skew_s:+g} s from this machine's",
                    "the time in its picture is not that of events",
                    "set its time server (NTP)",
                )
            )
        return texts

    def to_json(self) -> dict[str, Any]:
        """The camera for JSON, in which no number is null: what is not known is 0.0."""
        probe = self.probe
        return {
            "name": self.camera.name,
            "title": self.camera.title,
            "source": str(self.camera.source),
            **dataclasses.asdict(probe),
            "key_frame_s": probe.key_frame_s or 0.0,
            "clock_skew_s": probe.clock_skew_s or 0.0,
            "tells_clock": probe.clock_skew_s is not None,
            "plays_in_browser": self.plays_in_browser,
        }


_HELP = {
    "refused": "look at the user name, the password, and the number of its connections",
    "absent": "look at the path of its address",
    "timeout": "look at its address, its port and the network",
    "unreachable": "look at its address, its port and the network",
    "garbage": "set it to H.264 or H.265",
}


@dataclass(frozen=True)
class WatchCheck:
    """The result of `watch check`.

    Attributes:
        cameras: In the order of the file.
        engine: The speed of the run's engine; None where it could not be measured.
        engine_error: Why not.
        cores: Processors of this machine.
    """

    cameras: tuple[CameraCheck, ...]
    engine: EngineSpeed | None
    engine_error: str
    cores: int

    @property
    def decode_cores(self) -> float:
        """Processors that decoding takes."""
        return sum(check.probe.decode_cores for check in self.cameras)

    @property
    def images_per_s(self) -> float:
        """Images that the judge gets in a second."""
        return sum(check.probe.images_per_s for check in self.cameras)

    @property
    def load(self) -> float | None:
        """The share of this machine that watching takes, above 1 if it is too small; None without
        a measurement."""
        if self.engine is None:
            return None
        return self.decode_cores / self.cores + self.images_per_s / self.engine.images_per_s

    def findings(self) -> list[CheckFinding]:
        """Everything that is wrong, camera by camera, then with the whole."""
        findings = [finding for check in self.cameras for finding in check.findings()]
        if self.engine is None:
            what = f"the run's engine does not start: {self.engine_error}"
            findings.append(CheckFinding("", what, "nothing can be judged", "see the error"))
        elif self.load > _MAX_LOAD:
            findings.append(
                CheckFinding(
                    "",
                    f"watching takes {self.load:.0%} of this machine",
                    "windows are further apart than `stride_s` while it is behind",
                    "a larger `stride_s`, smaller streams, another engine or fewer cameras",
                )
            )
        return findings

    def to_json(self) -> dict[str, Any]:
        return {
            "cameras": [check.to_json() for check in self.cameras],
            "engine": self.engine.engine if self.engine else "",
            "engine_images_per_s": self.engine.images_per_s if self.engine else 0.0,
            "images_per_s": round(self.images_per_s, 1),
            "decode_cores": round(self.decode_cores, 3),
            "cores": self.cores,
            "load": round(self.load or 0.0, 3),
            "can_judge_all": self.load is not None and self.load <= 1.0,
            "findings": [dataclasses.asdict(finding) for finding in self.findings()],
        }


def _probe_in_child(pool: ProcessPool) -> Probe:
    def probe(camera: Camera, run: Path) -> CameraProbe:
        limit_s = camera.settings.open_timeout_s + _PROBE_S + camera.settings.read_timeout_s
        limit_s *= 2 if camera.clip_source else 1
        try:
            return pool(probe_camera, camera, run, _PROBE_S, timeout_s=limit_s + _START_S)
        except ViolenceDetectionError as error:
            return CameraProbe(error=camera.scrub(str(error)), error_kind="garbage")

    return probe


def _benchmark_in_child(run: Path) -> EngineSpeed:
    with DedicatedProcess("the engine", {}) as process:
        return process(measure_engine, run, _BENCHMARK_S)


def check_cameras(
    file: WatchFile,
    *,
    probe: Probe | None = None,
    benchmark: Benchmark = _benchmark_in_child,
) -> WatchCheck:
    """Opens every camera of a file, several at a time, and measures the run's engine after that.

    Args:
        file: The cameras file.
        probe: Looks at one camera; by default in a child process.
        benchmark: Measures the engine; by default in a child process.
    """
    with ProcessPool(kind=_CAPTURE) as pool, ThreadPoolExecutor(_AT_ONCE) as threads:
        look = probe or _probe_in_child(pool)
        probes = list(threads.map(lambda camera: look(camera, file.run), file.cameras))
    engine, engine_error = None, ""
    try:
        engine = benchmark(file.run)
    except ViolenceDetectionError as error:
        engine_error = str(error)
    checks = map(CameraCheck, file.cameras, probes)
    return WatchCheck(tuple(checks), engine, engine_error, len(os.sched_getaffinity(0)))
