"""Progress without a terminal, and the end of a tracked loop that a signal requests."""

import logging

import pytest

from violence_detection.system import progress

LOGGER = "violence_detection.system.progress"


@pytest.fixture
def clock(monkeypatch):
    """Time in seconds, which the test sets."""
    now_s = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now_s[0])
    return now_s


def test_a_line_every_30_seconds_says_how_far_the_loop_is(caplog, clock):
    caplog.set_level(logging.INFO, LOGGER)
    with progress.track("Extracting", 100, "videos") as step:
        for number in range(1, 71):
            clock[0] = float(number)
            step()
    assert caplog.messages == [
        "Extracting: 30/100, 1.0 videos/s, 1:10 left",
        "Extracting: 60/100, 1.0 videos/s, 0:40 left",
    ]


def test_slow_items_are_given_in_seconds_each(caplog, clock):
    caplog.set_level(logging.INFO, LOGGER)
    with progress.track("Folds", 3, "folds") as step:
        clock[0] = 40.0
        step()
    assert caplog.messages == ["Folds: 1/3, 40 s each, 1:20 left"]


def test_a_loop_that_is_resumed_counts_all_its_steps(caplog, clock):
    """The rate and the time left are those of the steps since."""
    caplog.set_level(logging.INFO, LOGGER)
    with progress.track("Training", 40, "epochs", done=14) as step:
        clock[0] = 40.0
        step("loss 0.412")
        clock[0] = 80.0
        step()
    assert caplog.messages == [
        "Training: 15/40, loss 0.412, 16:40 left",
        "Training: 16/40, 40 s each, 16:00 left",
    ]


def test_nothing_is_shown_if_info_is_not_logged(caplog, clock):
    caplog.set_level(logging.WARNING, LOGGER)
    with progress.track("Folds", 3, "folds") as step:
        clock[0] = 40.0
        step()
    assert caplog.messages == []


def test_a_request_ends_the_loop_after_the_item_in_progress():
    done = []
    with pytest.raises(KeyboardInterrupt), progress.track("Training", 9, "epochs") as step:
        for number in range(9):
            assert progress.stop.ask(KeyboardInterrupt) or number > 0
            done.append(number)
            step()
    assert done == [0]
    assert progress.stop.loops == 0


def test_a_second_request_or_one_without_a_loop_is_left_to_the_caller():
    assert not progress.Stop().ask(KeyboardInterrupt)
    with progress.track("Training", 9, "epochs"):
        assert progress.stop.ask(KeyboardInterrupt)
        assert not progress.stop.ask(KeyboardInterrupt)


def test_a_loop_of_long_steps_says_after_the_first_how_long_all_take(caplog, clock):
    caplog.set_level(logging.INFO, LOGGER)
    with progress.track("Folds", 5, "folds", at_a_time=2) as step:
        clock[0] = 144.0
        step()
        clock[0] = 150.0
        step()
    assert caplog.messages == [
        "About 7 min for 5 folds: the first took 2:24.",
        "Folds: 2/5, 75 s each, 3:45 left",
    ]
