"""The profiler traces the steps of a training."""

import logging
from pathlib import Path

import pytest
import tensorflow as tf
from support.training import read_history, train_quickly

from violence_detection.training.monitoring.callbacks import Profiler


def traces_in(folder) -> list:
    return sorted(folder.glob("plugins/profile/*/*.xplane.pb"))


def run_steps(profiler, last, first=1):
    for step in range(first - 1, last):
        profiler.on_train_batch_begin(step)
        loss = float(tf.reduce_sum(tf.ones((4, 4)) @ tf.ones((4, 4))))
        profiler.on_train_batch_end(step, {"loss": loss})
    profiler.on_train_end()


# -- golden


@pytest.mark.slow
def test_a_training_leaves_a_trace_of_the_asked_steps(features_dir, tmp_path):
    """Two steps an epoch; the mark of each step is in the trace."""
    result = train_quickly(features_dir, tmp_path, epochs=3, profile="3,5")
    without = train_quickly(features_dir, tmp_path, epochs=3, run="without")
    assert read_history(Path(result["run"])) == read_history(Path(without["run"]))
    assert "profiled_steps" not in without
    assert result["profiled_steps"] == [3, 5]
    (trace,) = traces_in(tmp_path / "run" / "tensorboard")
    content = trace.read_bytes()
    assert b"train" in content and b"step_num" in content
    assert b"MatMul" in content


# -- relation


def test_steps_before_and_after_are_not_traced(tmp_path):
    profiler = Profiler(tmp_path, 3, 4)
    run_steps(profiler, 6)
    assert profiler.traced == [3, 4]
    assert len(traces_in(tmp_path)) == 1


def test_a_training_that_ends_earlier_keeps_what_it_has(tmp_path, caplog):
    profiler = Profiler(tmp_path, 2, 100)
    run_steps(profiler, 3)
    assert profiler.traced == [2, 3] and len(traces_in(tmp_path)) == 1
    assert not caplog.records


def test_a_training_resumed_between_the_steps_traces_the_rest(tmp_path):
    profiler = Profiler(tmp_path, 2, 6)
    run_steps(profiler, 7, first=5)
    assert profiler.traced == [5, 6] and len(traces_in(tmp_path)) == 1


# -- hostile


def test_a_training_that_ends_before_the_first_step_logs_it(tmp_path, caplog):
    profiler = Profiler(tmp_path, 10, 20)
    run_steps(profiler, 3)
    assert caplog.messages == ["--profile 10,20 left no trace: no such step was run."]
    assert profiler.traced == [] and not traces_in(tmp_path)


def test_a_profiler_that_is_in_use_does_not_stop_the_training(tmp_path, caplog):
    tf.profiler.experimental.start(str(tmp_path / "other"))
    try:
        profiler = Profiler(tmp_path / "own", 1, 2)
        run_steps(profiler, 3)
    finally:
        tf.profiler.experimental.stop(save=False)
    assert profiler.traced == []
    assert [record.levelno for record in caplog.records][0] == logging.WARNING
    assert "--profile does not work here" in caplog.messages[0]


@pytest.mark.parametrize("error", [tf.errors.PermissionDeniedError])
def test_a_trace_that_cannot_be_written_does_not_stop_the_training(
    tmp_path, caplog, monkeypatch, error
):
    stop = tf.profiler.experimental.stop

    def fail():
        stop(save=False)
        raise error(None, None, "no room")

    monkeypatch.setattr(tf.profiler.experimental, "stop", fail)
    profiler = Profiler(tmp_path, 1, 2)
    run_steps(profiler, 3)
    assert profiler.traced == []
    assert "--profile does not work here: no room" in caplog.messages
