"""The judge scores windows of cameras as `predict` scores those of files."""

import queue
import socket
import time

import numpy as np
import pytest
from support.backbones import backbones_are_whole  # noqa: F401
from support.tensorflow_start import start_tensorflow
from support.training import train_on_videos
from support.videos import draw_two_classes, draw_video

from violence_detection.errors import RunError
from violence_detection.live.processes import chunk_socket
from violence_detection.live.processes.process_messages import (
    CameraChunk,
    CameraWindow,
    JudgedWindow,
    JudgeFailed,
    JudgeLoad,
    JudgeReady,
)
from violence_detection.live.processes.worker_process import JudgeStart, WorkerKind, WorkerProcess

start_tensorflow()
MESSAGES = (JudgedWindow, JudgeReady, JudgeLoad, JudgeFailed)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("judge")
    videos = draw_two_classes(root / "videos")
    return train_on_videos(videos, root, backbone="mobilenet", stream="rgb+motion", epochs=2)


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    return draw_video(tmp_path_factory.mktemp("long") / "long.mp4", frames=54)


def chunks_of(run, video, camera: str) -> list[CameraChunk]:
    """The chunks of a file, as a capture sends those of a camera."""
    from violence_detection.inference.predictor import Predictor
    from violence_detection.inference.video_sources import parse_source
    from violence_detection.inference.window_reader import Chunk
    from violence_detection.models.run import Run

    chunks, first = [], 0
    for item in Predictor(Run(run))._source.chunks(parse_source(str(video))):
        if not isinstance(item, Chunk):
            continue
        windows = tuple(
            CameraWindow(
                row.start_s, row.end_s, tuple(row.images.ravel().tolist()), row.needed_from
            )
            for row in item.windows
        )
        now_s = time.monotonic()
        chunks.append(CameraChunk.of_images(camera, 1, first, item.images, windows, now_s))
        first += len(item.images)
    return chunks


def predicted(run, video) -> list[tuple[float, float, float]]:
    """End, probability and novelty of the windows of a file."""
    from violence_detection.inference.predictor import Predictor
    from violence_detection.models.run import Run

    windows = Predictor(Run(run)).predict(video)["windows"]
    assert len(windows) > 2
    return [(row["end_s"], row["probability"], row.get("novelty")) for row in windows]


@pytest.mark.slow
def test_a_window_has_the_probability_of_predict_whatever_it_is_judged_with(run, long_video):
    from violence_detection.live.judging.judge import Judge, WindowScorer
    from violence_detection.live.judging.window_queue import WindowQueue
    from violence_detection.models.run import Run

    scorer = WindowScorer(Run(run))
    scorer.check_known_answer()
    waiting = WindowQueue(
        side=scorer.side, images_per_window=scorer.images_per_window, max_age_s=3600
    )
    sent: list = []
    judge = Judge(waiting, scorer, sent.append, novelty=scorer.novelty)
    for camera in ("a", "b"):
        for chunk in chunks_of(run, long_video, camera):
            waiting.add(chunk)
    while len(waiting):
        judge.step()
    expected = predicted(run, long_video)
    for camera in ("a", "b"):
        rows = [row for row in sent if isinstance(row, JudgedWindow) and row.camera == camera]
        assert [row.end_s for row in rows] == pytest.approx([end_s for end_s, _, _ in expected])
        np.testing.assert_allclose(
            [row.probability for row in rows], [p for _, p, _ in expected], atol=2e-6
        )
        novelties = [novelty for _, _, novelty in expected]
        np.testing.assert_allclose([row.novelty for row in rows], novelties, atol=2e-3)


@pytest.mark.slow
def test_a_run_that_does_not_repeat_its_answer_is_refused(run):
    from violence_detection.live.judging.judge import WindowScorer
    from violence_detection.models.run import Run

    scorer = WindowScorer(Run(run))
    encode, noise = scorer.encode, np.random.default_rng(1)
    scorer.encode = lambda images: encode(images) + noise.normal(0, 9, 1).astype(np.float16)
    with pytest.raises(RunError, match="same images the same probability"):
        scorer.check_known_answer()


class JudgeProcess:
    """The process of a judge, and what it has said."""

    def __init__(self, start: JudgeStart) -> None:
        self._heard: queue.SimpleQueue = queue.SimpleQueue()
        kind = WorkerKind(
            "The judge", "violence_detection.live.judging.judge", MESSAGES, threads=None
        )
        self.process = WorkerProcess(kind, start, lambda _, message: self._heard.put(message))

    def next(self, *kinds: type, timeout_s: float = 60.0):
        """The next message of some kinds; None at the end of the process."""
        while (message := self._heard.get(timeout=timeout_s)) is not None:
            if isinstance(message, kinds):
                return message
        return None


@pytest.mark.slow
def test_a_judge_process_takes_chunks_also_after_one_that_was_killed(run, long_video, tmp_path):
    address = tmp_path / "judge.sock"
    expected = predicted(run, long_video)
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(address))  # its file stays, as that of a judge that was killed
    judge = JudgeProcess(JudgeStart(run, address))
    try:
        ready = judge.next(JudgeReady, JudgeFailed)
        assert (ready.window_s, ready.classes[1]) == (pytest.approx(1.0), "fight")
        assert address.stat().st_mode & 0o777 == 0o600
        with chunk_socket.connect(address, timeout_s=5) as connection:
            for chunk in chunks_of(run, long_video, "door"):
                chunk_socket.send_chunk(connection, chunk)
            rows = [judge.next(JudgedWindow) for _ in expected]
        ends = [row.end_s for row in rows]
        assert ends == pytest.approx([end_s for end_s, _, _ in expected])
        found = [row.probability for row in rows]
        np.testing.assert_allclose(found, [p for _, p, _ in expected], atol=2e-6)
        # What is no chunk closes that connection only.
        with chunk_socket.connect(address, timeout_s=5) as connection:
            connection.sendall(b"\xff" * 8)
            assert connection.recv(1) == b""
        assert judge.next(JudgeLoad) is not None
    finally:
        assert judge.process.kill() == "SIGKILL"
    assert judge.next() is None


@pytest.mark.slow
def test_a_judge_says_why_it_cannot_start(tmp_path):
    judge = JudgeProcess(JudgeStart(tmp_path / "gone", tmp_path / "judge.sock"))
    assert "gone" in judge.next(JudgeFailed).message
    assert judge.next() is None
    assert judge.process.end_reason() == "no output, exit status 0"
