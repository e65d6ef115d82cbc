"""What TensorBoard reads of a training: the plan, curves, pictures."""

import keras
import numpy as np
import pytest
from matplotlib.image import imread
from support.features import draw_features
from support.trainers import interrupt, trainer_on
from support.training import train_quickly
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.pr_curve import metadata
from tensorboard.util import tensor_util

from violence_detection.features import dataset
from violence_detection.models import attention_maps
from violence_detection.models.run import Run
from violence_detection.training import callbacks


def events_of(folder) -> EventAccumulator:
    every = {"tensors": 0}
    return EventAccumulator(str(folder / "tensorboard"), size_guidance=every).Reload()


def values_of(events, tag) -> dict[int, np.ndarray]:
    """By step; a step that was recorded twice is one too many."""
    found = events.Tensors(tag)
    assert len({event.step for event in found}) == len(found)
    return {one.step: tensor_util.make_ndarray(one.tensor_proto) for one in found}


def shown_by(events, plugin) -> set[str]:
    tags = events.Tags()["tensors"]
    of = {tag: events.SummaryMetadata(tag).plugin_data.plugin_name for tag in tags}
    return {tag for tag, name in of.items() if name == plugin}


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


def test_pictures_are_of_every_tenth_epoch_and_the_last(attentive, tmp_path):
    events = events_of(attentive.dir)
    assert shown_by(events, "images") == {"confusion", "attention"}
    for tag in ("confusion", "attention"):
        assert [event.step for event in events.Tensors(tag)] == [10, 12]
        png = events.Tensors(tag)[-1].tensor_proto.string_val[2]
        (tmp_path / "it.png").write_bytes(png)
        assert imread(tmp_path / "it.png").shape[1] == 960


def test_attention_is_what_the_pooling_weighs(features_dir, tmp_path):
    head = "bilstm_attention(units=2, projection=2, statistics=false)"
    trainer = trainer_on(features_dir, tmp_path, head=head)
    clips, model = trainer.validation.clips.features[:], trainer.classifier
    (weights,) = attention_maps.attention_weights(model, clips).values()
    assert weights.shape == (8, 6)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    pooling = model.get_layer("attention")
    before, after = model.layers[model.layers.index(pooling) - 1], pooling
    seen = keras.Model(model.input, [before.output, after.output])
    hidden, pooled = seen(clips.astype(np.float32), training=False)
    np.testing.assert_allclose(np.einsum("bt,btd->bd", weights, hidden), pooled, atol=1e-5)


# -- relation


def test_a_head_without_attention_has_no_picture_of_it(run_dir):
    assert shown_by(events_of(run_dir), "images") == {"confusion"}


def test_reading_the_attention_leaves_the_model_as_it_was(features_dir, tmp_path):
    trainer = trainer_on(features_dir, tmp_path, head="bilstm_attention(units=2)")
    before = trainer.classifier.to_json()
    attention_maps.attention_weights(trainer.classifier, trainer.validation.clips.features)
    assert trainer.classifier.to_json() == before


def test_clips_of_every_class_are_shown(tmp_path):
    labels = tuple("abcdefghijkl")
    features = draw_features(tmp_path / "s", counts=(12, 30, 0), labels=labels)
    clips = trainer_on(features, tmp_path, list(labels)).validation.clips
    rows = dataset.balanced_rows(clips.labels, 8)
    assert sorted(clips.labels[rows]) == list(range(12))
    two = dataset.FeatureDataset(clips.features, clips.labels % 2, clips.entries)
    assert np.bincount(two.labels[dataset.balanced_rows(two.labels, 8)]).tolist() == [
        4,
        4,
    ]


@pytest.mark.slow
def test_a_resumed_training_draws_no_point_twice(features_dir, tmp_path, monkeypatch):
    interrupt(features_dir, tmp_path, epoch=3, epochs=4)
    train_quickly(features_dir, tmp_path, epochs=4, resume=True)
    events = events_of(tmp_path / "run")
    assert list(values_of(events, "schedule/learning_rate")) == list(range(1, 9))
    # The third was recorded, and was not yet kept when the interruption came.
    assert [one.step for one in events.Tensors("val_loss")] == [1, 2, 3, 3, 4]
    once, again = [one for one in events.Tensors("loss") if one.step == 3]
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
