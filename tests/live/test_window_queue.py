"""Windows of several cameras wait for the judge: their order, their images, and those left out."""

import numpy as np
import pytest

from violence_detection.errors import VideoError
from violence_detection.live.judging.judge import Judge
from violence_detection.live.judging.window_queue import WindowQueue
from violence_detection.live.processes.process_messages import (
    CameraChunk,
    CameraWindow,
    JudgedWindow,
    JudgeLoad,
)

SIDE, COUNT = 2, 2


class Clock:
    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class MeanScorer:
    """The feature of an image is its mean, the probability of violence that of a window's images
    over 255."""

    def __init__(self) -> None:
        self.encoded: list[int] = []

    def encode(self, images):
        self.encoded += [int(image.flat[0]) for image in images]
        return np.array([[image.mean()] for image in images], np.float16).reshape(-1, 1)

    def probabilities(self, features):
        violent = features.mean((1, 2)).astype(float) / 255
        violent[violent > 1] = np.nan
        return np.stack([1 - violent, violent], axis=1)


class Setup:
    """A queue, a judge, and a camera's chunks by the values of their images."""

    def __init__(self, **settings) -> None:
        self.clock, self.scorer = Clock(), MeanScorer()
        self.queue = WindowQueue(side=SIDE, images_per_window=COUNT, clock=self.clock, **settings)
        self.sent: list = []
        self.judge = Judge(self.queue, self.scorer, self.sent.append, fill_s=0.0, clock=self.clock)

    def add(self, camera, values, *windows, first=0, section=1, sent_s=100.0):
        images = np.repeat(np.array(values, np.uint8), SIDE * SIDE * 3)
        images = images.reshape(len(values), SIDE, SIDE, 3)
        chunk = CameraChunk.of_images(camera, section, first, images, windows, sent_s)
        self.queue.add(CameraChunk.from_parts(chunk.header(), bytes(chunk.images)))

    def judged(self) -> list[tuple]:
        """Camera, end and outcome of the windows of the next batch."""
        before = len(self.sent)
        self.judge.step()
        return [
            (row.camera, row.end_s, row.reason or round(row.probability, 3))
            for row in self.sent[before:]
            if isinstance(row, JudgedWindow)
        ]


def window(end_s, *images, needed_from=0, unjudged=""):
    return CameraWindow(end_s - 2, end_s, images, needed_from, unjudged)


def test_windows_share_images_which_are_encoded_once():
    setup = Setup()
    setup.add("a", [51, 102, 153], window(97, 0, 1), window(98, 1, 2, needed_from=1))
    assert setup.judged() == [("a", 97, 0.3), ("a", 98, 0.5)]
    setup.add("a", [204], window(99, 2, 3, needed_from=2), first=3)
    assert setup.judged() == [("a", 99, 0.7)]
    assert setup.scorer.encoded == [51, 102, 153, 204]


def test_the_window_that_ended_first_is_judged_first_and_a_batch_is_bounded():
    setup = Setup()
    for camera, ends in (("a", (95, 98)), ("b", (96, 97))):
        setup.add(
            camera, [0, 51, 102, 153], *(window(e, 2 * n, 2 * n + 1) for n, e in enumerate(ends))
        )
    batches = [
        [(row.camera, row.window.end_s) for row in setup.queue.take(4).windows] for _ in range(3)
    ]
    assert batches == [[("a", 95), ("b", 96)], [("b", 97), ("a", 98)], []]


def test_a_window_with_more_images_than_a_batch_is_judged_alone():
    setup = Setup()
    setup.add("a", [0, 51], window(95, 0, 1))
    assert len(setup.queue.take(1).windows) == 1


def test_a_window_that_is_late_is_passed_on_and_the_newer_ones_are_judged():
    setup = Setup(max_age_s=4.0)
    setup.add("a", [51, 51], window(94, 0, 1), sent_s=95.9)
    setup.add("a", [102], window(95, 1, 2), first=2, sent_s=96.1)
    assert setup.judged() == [("a", 94, "late"), ("a", 95, 0.3)]
    assert (setup.sent[-1].waited_s, len(setup.queue)) == (pytest.approx(3.9), 0)


def test_windows_without_images_come_in_their_turn_with_their_reason():
    setup = Setup()
    setup.add("a", [51, 51], window(95, 0, 1), window(96, unjudged="frames"), window(97, 0, 1))
    # Image 2 was dropped on the way: the window that needs it is lost, the next is not.
    setup.add("a", [51, 51], window(98, 2, 3), window(99, 3, 4), first=3)
    outcomes = [outcome for _ in range(5) for outcome in setup.judged()]
    assert outcomes == [
        ("a", 95, 0.2),
        ("a", 96, "frames"),
        ("a", 97, 0.2),
        ("a", 98, "lost"),
        ("a", 99, 0.2),
    ]


def test_a_section_counts_its_images_anew():
    setup = Setup()
    setup.add("a", [51, 51], window(95, 0, 1))
    setup.add("a", [204, 204], window(98, 0, 1), section=2)
    assert setup.judged() == [("a", 95, 0.2), ("a", 98, 0.8)]
    assert [row.section for row in setup.sent if isinstance(row, JudgedWindow)] == [1, 2]


def test_features_that_are_not_finite_are_not_judged():
    setup = Setup()
    setup.scorer.probabilities = lambda features: np.full((len(features), 2), np.nan)
    setup.add("a", [51, 51], window(95, 0, 1))
    assert setup.judged() == [("a", 95, "not finite")]


def test_the_load_tells_the_age_of_the_oldest_window():
    setup = Setup()
    setup.add("a", [51, 51], window(95, 0, 1), sent_s=98.5)
    setup.add("b", [51, 51], window(95, unjudged="frames"), sent_s=99.0)
    setup.judged()
    assert setup.sent[0] == JudgeLoad(1.5, 0.0, 2, 0, 0, 0, 0.0)
    setup.clock.now_s += 1
    setup.add("b", [51, 51], window(97, 0, 1), section=2)
    setup.judged()
    (load,) = [row for row in setup.sent[1:] if isinstance(row, JudgeLoad)]
    assert (load.waiting, load.judged, load.unjudged, load.images) == (1, 1, 1, 2)


def test_the_load_tells_how_long_the_judge_has_had_no_pause():
    setup = Setup()
    judge = Judge(
        setup.queue,
        setup.scorer,
        setup.sent.append,
        max_images=COUNT,
        fill_s=0.0,
        clock=setup.clock,
    )
    for camera in "abc":
        setup.add(camera, [51, 51], window(99, 0, 1))
    for _ in range(4):  # one window each, and then none is left
        judge.step()
        setup.clock.now_s += 1
    working_s = [row.working_s for row in setup.sent if isinstance(row, JudgeLoad)]
    assert working_s == [0.0, 1.0, 2.0, 0.0]


def test_a_camera_with_a_wrong_clock_neither_waits_for_ever_nor_goes_first():
    setup = Setup()
    setup.add("future", [51, 51], window(1e9, 0, 1), sent_s=1e9)
    setup.add("good", [51, 51], window(99, 0, 1))
    setup.add("past", [51, 51], window(-1e9, 0, 1), sent_s=99.5)
    rows = setup.queue.take(64).windows
    assert [row.camera for row in rows] == ["past", "good", "future"]
    assert [row.deadline_s for row in rows] == [89.5, 99, 100]


def test_images_that_no_window_needs_are_dropped():
    setup = Setup()
    for number in range(1000):
        setup.add("a", [51, 51], window(95, 2 * number, 2 * number + 1), first=2 * number)
        setup.judged()
    (section,) = setup.queue._sections.values()
    assert len(section.images) + len(section.features) <= 8 * COUNT


def test_a_camera_that_floods_loses_its_own_windows_only():
    setup = Setup()
    setup.queue._side = side = 1024
    flood = np.zeros((10, side, side, 3), np.uint8)
    for first in range(0, 60, 10):
        chunk = CameraChunk.of_images("flood", 1, first, flood, (window(99, first, first + 1),), 99)
        setup.queue.add(chunk)
    section = setup.queue._sections["flood"]
    assert sum(image.nbytes for image in section.images.values()) <= 64 * 2**20
    reasons = [outcome[2] for outcome in setup.judged()]
    assert reasons.count("lost") == 4 and reasons.count(0.0) == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"side": 3, "images": b"\0" * 27}, "2 pixels a side. Received: 3"),
        ({"windows": (window(9, 0, 1, 2),)}, "must have 2 images. Received: 3"),
    ],
)
def test_chunks_of_another_run_are_refused(values, message):
    chunk = {"camera": "a", "section": 1, "first_image": 0, "side": SIDE, "images": b""}
    with pytest.raises(VideoError, match=message):
        Setup().queue.add(CameraChunk(**chunk | {"windows": (), "sent_s": 1.0} | values))


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"camera": 1, "section": 1, "first_image": 0, "side": 2, "sent_s": 1, "windows": []}',
        b'{"camera": "a", "section": -1, "first_image": 0, "side": 2, "sent_s": 1, "windows": []}',
        b'{"camera": "a", "section": 1, "first_image": 0, "side": 0, "sent_s": 1, "windows": []}',
        b'{"camera": "a", "section": 1, "first_image": 0, "side": 5, "sent_s": 1, "windows": []}',
        b'{"camera": "a", "section": 1, "first_image": 0, "side": 2, "sent_s": NaN, "windows": []}',
        *(
            b'{"camera": "a", "section": 1, "first_image": 0, "side": 2, "sent_s": 1, "windows": [{'
            + row
            + b"}]}"
            for row in (
                b'"start_s": 0, "end_s": 1',
                b'"start_s": 2, "end_s": 1, "images": []',
                b'"start_s": 0, "end_s": Infinity, "images": []',
                b'"start_s": 0, "end_s": 1, "images": [-1]',
                b'"start_s": 0, "end_s": 1, "images": ["a"]',
                b'"start_s": 0, "end_s": 1, "images": [], "needed_from": "0"',
                b'"start_s": 0, "end_s": 1, "images": [], "unjudged": 1',
                b'"start_s": 0, "end_s": 1, "images": [], "extra": 1',
            )
        ),
    ],
)
def test_a_broken_message_is_refused_in_one_line(broken):
    with pytest.raises(VideoError, match="must send whole chunks") as caught:
        CameraChunk.from_parts(broken, b"\0" * 24)
    assert "\n" not in str(caught.value)
