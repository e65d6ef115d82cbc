"""TensorBoard reads schedule, curves and images of a training; the profiler traces its steps."""

import logging
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.image import imread
from support.features import draw_features
from support.trainers import interrupt, trainer_on
from support.training import read_history, train_quickly
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.pr_curve import metadata
from tensorboard.util import tensor_util

from violence_detection.models.run import Run
from violence_detection.training import callbacks
from violence_detection.training.callbacks import Profiler


def events_of(folder) -> EventAccumulator:
    every = {"tensors": 0}
    return EventAccumulator(str(folder / "tensorboard"), size_guidance=every).Reload()


def values_of(events, tag) -> dict[int, np.ndarray]:
    """By step; a step that was recorded twice is one too many."""
    tensors = events.Tensors(tag)
    assert len({event.step for event in tensors}) == len(tensors)
    return {tensor.step: tensor_util.make_ndarray(tensor.tensor_proto) for tensor in tensors}


def shown_by(events, plugin) -> set[str]:
    tags = events.Tags()["tensors"]
    of = {tag: events.SummaryMetadata(tag).plugin_data.plugin_name for tag in tags}
    return {tag for tag, name in of.items() if name == plugin}


@pytest.fixture(autouse=True, scope="module")
def figures_are_blank():
    """Not here: TensorBoard gets the figures."""


@pytest.fixture(scope="module")
def attentive(tmp_path_factory):
    """12 epochs of a head that attends, on three classes."""
    folder = tmp_path_factory.mktemp("attentive")
    labels = ("normal", "fight", "robbery")
    features = draw_features(folder / "space", counts=(24, 12, 0), labels=labels)
    head = "bilstm_attention(units=2, projection=2)"
    asked = {"epochs": 12, "head": head, "learning_rate": 0.01}
    return Run.open(train_quickly(features, folder, **asked)["run"])


# -- golden


def test_the_planned_rate_is_drawn_over_the_steps(attentive):
    """24 videos in batches of 8 are 3 steps an epoch; the history has the last of each."""
    events = events_of(attentive.dir)
    plan = values_of(events, "schedule/learning_rate")
    assert list(plan) == list(range(1, 37))
    was = values_of(events, "learning_rate")
    for epoch in range(1, 13):
        assert plan[3 * epoch] == pytest.approx(was[epoch])


def test_a_long_plan_has_500_points(features_dir, tmp_path):
    trainer = trainer_on(features_dir, tmp_path, epochs=1000)
    board = callbacks.TensorBoard(
        tmp_path / "tensorboard",
        validation=trainer.validation,
        schedule=trainer.step.schedule,
        epochs=1000,
        steps=2000,
    )
    board.on_train_begin()
    board.on_epoch_begin(0)
    board.on_train_end()
    plan = values_of(events_of(tmp_path), "schedule/learning_rate")
    assert (len(plan), min(plan), max(plan)) == (500, 1, 2000)


def test_a_precision_recall_curve_counts_what_is_found(features_dir, tmp_path):
    """At threshold 0 all are found; at 0.5 those of at least 0.5."""
    trainer = trainer_on(features_dir, tmp_path, epochs=2)
    trainer.run_epochs()
    curves = values_of(events_of(tmp_path), "violent/pr_curves")
    assert list(curves) == [1, 2]
    probability = trainer.validation.probability[:, 1]
    violent = trainer.validation.clips.labels == 1
    hits, recall = metadata.TRUE_POSITIVES_INDEX, metadata.RECALL_INDEX
    assert curves[2][hits, 0] == 4 and curves[2][recall, 0] == 1
    assert curves[2][hits, 50] == np.sum(violent & (probability >= 0.5))
    alarms = curves[2][metadata.FALSE_POSITIVES_INDEX, 50]
    assert alarms == np.sum(~violent & (probability >= 0.5))


def test_every_class_has_its_curve_in_the_tab_for_curves(attentive):
    names = {"fight/pr_curves", "robbery/pr_curves", "not normal/pr_curves"}
    events = events_of(attentive.dir)
    assert shown_by(events, metadata.PLUGIN_NAME) == names
    assert all(list(values_of(events, name)) == list(range(1, 13)) for name in names)


def test_images_are_of_every_tenth_epoch_and_the_last(attentive, tmp_path):
    events = events_of(attentive.dir)
    assert shown_by(events, "images") == {"confusion", "attention"}
    for tag in ("confusion", "attention"):
        assert [event.step for event in events.Tensors(tag)] == [10, 12]
        png = events.Tensors(tag)[-1].tensor_proto.string_val[2]
        (tmp_path / "it.png").write_bytes(png)
        assert imread(tmp_path / "it.png").shape[1] == 960


# -- relation


def test_a_head_without_attention_has_no_image_of_it(run_dir):
    assert shown_by(events_of(run_dir), "images") == {"confusion"}


@pytest.mark.slow
def test_a_resumed_training_draws_no_point_twice(features_dir, tmp_path):
    interrupt(features_dir, tmp_path, epoch=3, epochs=4)
    train_quickly(features_dir, tmp_path, epochs=4, resume=True)
    events = events_of(tmp_path / "run")
    assert list(values_of(events, "schedule/learning_rate")) == list(range(1, 9))
    # The third was recorded, and was not yet kept when the interruption came.
    assert [event.step for event in events.Tensors("val_loss")] == [1, 2, 3, 3, 4]
    once, again = [event for event in events.Tensors("loss") if event.step == 3]
    assert tensor_util.make_ndarray(again.tensor_proto) == pytest.approx(
        tensor_util.make_ndarray(once.tensor_proto)
    )


_REPLICAS, _MIXED = {"virtual_devices": 2}, {"mixed_precision": True}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "average"),
    [
        (_REPLICAS, {"swa_fraction": 0.5}),
        (_MIXED, {"ema_decay": 0.9}),
        *(
            pytest.param(asked, average, marks=pytest.mark.thorough)
            for asked, average in (
                (_REPLICAS, {}),
                (_REPLICAS, {"ema_decay": 0.9}),
                (_MIXED, {}),
                (_MIXED, {"swa_fraction": 0.5}),
            )
        ),
    ],
)
def test_attention_is_drawn_of_every_kind_of_training(features_dir, tmp_path, asked, average):
    head = "bilstm_attention(units=2, projection=2)"
    train_quickly(features_dir, tmp_path, head=head, epochs=2, **asked, **average)
    events = events_of(tmp_path / "run")
    assert [event.step for event in events.Tensors("attention")] == [2]


# == the profiler


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
