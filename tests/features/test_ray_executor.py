"""The nodes of a cluster divide the work, and a worker that dies costs only time."""

import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.videos import draw_video

from violence_detection import cli
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.videos import Video
from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extraction import ray_executor
from violence_detection.features.extraction.ray_executor import ExtractionTask, _WorkerPool
from violence_detection.features.extraction.video_worker import VideoResult

VIDEOS = [Video(f"fight/{number}.mp4", "fight", f"{number}") for number in range(20)]


class FakeRay:
    """Runs each batch of videos at once; `fate` is called with each batch, and may raise."""

    class exceptions:
        class RayError(Exception):
            pass

        class RayTaskError(RayError):
            cause = None

    def __init__(self, fate=lambda given: None, starting="starts"):
        self.fate, self.machines, self.killed, self.given = fate, 0, 0, []
        self.starting = starting

    def nodes(self):
        there = {"Alive": True, "Resources": {"CPU": 4.0}}
        return [there, there, {"Alive": False, "Resources": {"CPU": 99.0}}]

    def remote(self, **options):
        self.options = options
        ray = self

        class Machine:
            @classmethod
            def remote(cls):
                ray.machines += 1
                return cls()

            class start:
                @staticmethod
                def remote(task):
                    return ray.starting, ray.machines

            class extract:
                @staticmethod
                def remote(given):
                    ray.given.append([video.key for video in given])
                    return tuple(given)

        return lambda _: Machine

    def wait(self, answers, timeout):
        placed = [answer for answer in answers if answer != ("never", self.machines)]
        return placed[:1], []

    def get(self, answer):
        if isinstance(answer[0], str):
            if answer[0] == "dies":
                raise self.exceptions.RayError
            return None
        self.fate(answer)
        return [
            VideoResult(ManifestEntry(one.path, one.label, one.group, ""), 0.1) for one in answer
        ]

    def kill(self, machine):
        self.killed += 1


def work(ray, size=None, videos=VIDEOS) -> list[ManifestEntry]:
    done: list[VideoResult] = []
    task = ExtractionTask(Path("/nowhere"), Path("/nowhere"), None, None, None)
    pool = _WorkerPool(ray, task, size)
    pool.extract(deque(videos), done.append)
    return [result.entry for result in done]


def test_each_video_is_done_once():
    ray = FakeRay()
    assert sorted(entry.path for entry in work(ray)) == sorted(v.path for v in VIDEOS)
    assert ray.machines == 2
    assert ray.options["num_cpus"] == 4
    assert {len(given) for given in ray.given} == {5}


def test_more_machines_than_videos_do_no_harm():
    assert len(work(FakeRay(), size=50)) == 20


def test_the_videos_of_a_lost_machine_are_done_by_another():
    def fate(given):
        if not ray.lost:
            ray.lost = True
            raise ray.exceptions.RayError

    ray = FakeRay(fate)
    ray.lost = False
    assert sorted(entry.path for entry in work(ray)) == sorted(v.path for v in VIDEOS)
    assert ray.machines == 3
    assert sorted(map(len, ray.given))[:5] == [1] * 5  # they go alone


def test_a_video_that_costs_three_machines_has_failed():
    def fate(given):
        if any(video.key == "fight/7.mp4" for video in given):
            raise ray.exceptions.RayError

    ray = FakeRay(fate)
    entries = work(ray)
    failed = [entry for entry in entries if not entry.usable]
    assert len(entries) == 20
    assert [(entry.path, entry.error) for entry in failed] == [
        ("fight/7.mp4", "3 machines of the cluster died while they read it")
    ]


def test_an_error_of_a_machine_ends_the_work():
    def fate(given):
        error = ray.exceptions.RayTaskError("long traceback")
        error.cause = ViolenceDetectionError("Cannot write /x: the disk is full.")
        raise error

    ray = FakeRay(fate)
    with pytest.raises(ViolenceDetectionError, match="the disk is full") as caught:
        work(ray)
    assert len(str(caught.value).splitlines()) == 1


def test_a_machine_that_is_never_placed_is_given_nothing():
    ray = FakeRay(starting="never")  # the last one to be made
    assert len(work(ray)) == 20


def test_machines_that_die_while_they_start_end_the_work():
    with pytest.raises(ViolenceDetectionError, match="Machines of the cluster must st"):
        work(FakeRay(starting="dies"))


@pytest.mark.parametrize(
    "cpus, asked, expected",
    [
        ([4, 4], None, (2, 4)),
        ([0, 5, 5], None, (2, 5)),
        ([2, 8], None, (2, 2)),
        ([2], 2, (2, 1)),
        ([2], 3, (2, 1)),
        ([5, 5], 3, (3, 2)),
        ([5, 5], 4, (4, 2)),
        ([1, 16], 3, (3, 5)),
        ([16], 1, (1, 16)),
    ],
)
def test_workers_fit_on_the_nodes(cpus, asked, expected):
    count, share = ray_executor.workers_that_fit(cpus, asked)
    assert (count, share) == expected
    assert sum(node // share for node in cpus) >= count


def test_a_cluster_without_a_cpu_is_refused():
    with pytest.raises(ConfigError, match="must have a machine with a CPU"):
        ray_executor.workers_that_fit([0, 0], None)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install .*\[ray\]'"):
        ray_executor.extract_on_cluster([], print, task=None, address=None, size=None)


@pytest.mark.parametrize("name, value", [("address", "a:1"), ("machines", 2)])
def test_settings_of_the_cluster_need_it(name, value):
    with pytest.raises(ConfigError, match=f"`{name}` must come with executor=ray"):
        ExtractConfig(**{name: value})
    assert getattr(ExtractConfig(executor="ray", **{name: value}), name) == value


def words(root: Path, cache: Path, *flags: str) -> list[str]:
    small = ["--backbone", "mobilenet", "--weights", "random", "--frames", "4"]
    return [str(root), "--cache-dir", str(cache), "--frame-size", "32", *small, *flags]


def left_by(cache: Path) -> dict[str, bytes]:
    files = [*cache.rglob("*.npy"), *cache.rglob("*.csv")]
    return {path.relative_to(cache).as_posix(): path.read_bytes() for path in files}


def machines() -> set[int]:
    """Processes of this machine in which Ray runs a backbone."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::ClusterWorker"):
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_a_cluster_of_two_leaves_the_same_bytes_though_one_is_killed(tmp_path, whole_mobilenets):
    pytest.importorskip("ray")
    root = tmp_path / "videos"
    for number in range(60):
        label = ("fight", "noFight")[number % 2]
        draw_video(root / label / f"{number}.mp4", frames=12, seed=number)
    alone = CliRunner().invoke(cli.extract_features, words(root, tmp_path / "one", "-q"))
    assert alone.exit_code == 0, alone.output

    code = "from violence_detection.cli import extract_features as e; e()"
    many = words(root, tmp_path / "many", "--executor", "ray", "--machines", "2")
    running = subprocess.Popen(
        [sys.executable, "-c", code, *many], stderr=subprocess.PIPE, text=True
    )
    killed = None
    while killed is None and running.poll() is None:
        if list((tmp_path / "many").rglob("*.jsonl")):
            killed = min(machines())
            subprocess.run(["kill", "-9", str(killed)], check=True)
        time.sleep(0.05)
    _, said = running.communicate()
    assert running.returncode == 0, said
    assert "A machine of the cluster was lost" in said
    assert left_by(tmp_path / "many") == left_by(tmp_path / "one")
    deadline = time.monotonic() + 30
    while machines() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not machines()


@pytest.mark.slow
def test_a_missing_cluster_is_one_clear_line(tmp_path, dataset_dir):
    pytest.importorskip("ray")
    flags = ("--executor", "ray", "--address", "127.0.0.1:1")
    asked = words(dataset_dir, tmp_path / "cache", *flags, "-q")
    done = CliRunner().invoke(cli.extract_features, asked)
    assert done.exit_code == 2
    assert done.stderr.strip().splitlines()[-1].startswith("Error: --address must be")
