"""TensorBoard reads scalars, curves, images and settings of a training."""

import numpy as np
import pytest
from matplotlib.image import imread
from support.features import draw_features
from support.trainers import interrupt, trainer_on
from support.training import train_quickly
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.plugins.pr_curve import metadata
from tensorboard.util import tensor_util

from violence_detection.models.run import Run


def events_of(folder, part="validation") -> EventAccumulator:
    every = {"tensors": 0}
    return EventAccumulator(str(folder / "tensorboard" / part), size_guidance=every).Reload()


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
    features = draw_features(folder / "space", counts=(24, 12, 0), shape=(3, 8), labels=labels)
    head = "bilstm_attention(units=2, projection=2)"
    asked = {"epochs": 12, "head": head, "learning_rate": 0.01}
    return Run.open(train_quickly(features, folder, **asked)["run"])


# -- golden


def test_the_losses_of_training_and_validation_have_one_name(run_dir):
    """TensorBoard draws values of one name, in several folders, in one chart."""
    history = Run.open(run_dir).history()
    for part, column in (("train", "loss"), ("validation", "val_loss")):
        losses = values_of(events_of(run_dir, part), "epoch/loss")
        assert list(losses.values()) == pytest.approx([row[column] for row in history], abs=1e-5)


def test_a_run_is_a_row_of_the_table_of_runs_and_has_its_settings_as_text(run_dir):
    events = events_of(run_dir, "")
    content = events.Tensors("settings")[0].tensor_proto.string_val[0].decode()
    assert "| learning_rate | `0.05` |" in content
    start = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = plugin_data_pb2.HParamsPluginData.FromString(start).session_start_info.hparams
    assert settings["learning_rate"].number_value == 0.05


@pytest.mark.slow
def test_the_rate_is_drawn_once_by_epoch(attentive):
    events = events_of(attentive.dir, "train")
    assert [tag for tag in events.Tags()["tensors"] if "rate" in tag] == ["epoch/learning_rate"]
    rates = values_of(events, "epoch/learning_rate")
    assert list(rates) == list(range(1, 13))
    history = [row["learning_rate"] for row in attentive.history()]
    assert list(rates.values()) == pytest.approx(history)


@pytest.mark.slow
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


@pytest.mark.slow
def test_every_class_has_its_curve_in_the_tab_for_curves(attentive):
    names = {"fight/pr_curves", "robbery/pr_curves", "not normal/pr_curves"}
    events = events_of(attentive.dir)
    assert shown_by(events, metadata.PLUGIN_NAME) == names
    assert all(list(values_of(events, name)) == list(range(1, 13)) for name in names)


@pytest.mark.slow
def test_images_are_of_every_tenth_epoch_and_the_last(attentive, tmp_path):
    events = events_of(attentive.dir)
    assert shown_by(events, "images") == {"images/confusion", "images/attention"}
    for tag in ("images/confusion", "images/attention"):
        assert [event.step for event in events.Tensors(tag)] == [10, 12]
        png = events.Tensors(tag)[-1].tensor_proto.string_val[2]
        (tmp_path / "it.png").write_bytes(png)
        assert imread(tmp_path / "it.png").shape[1] == 960


# -- relation


def test_a_head_without_attention_has_no_image_of_it(run_dir):
    assert shown_by(events_of(run_dir), "images") == {"images/confusion"}


@pytest.mark.slow
def test_a_resumed_training_draws_no_point_twice(features_dir, tmp_path):
    interrupt(features_dir, tmp_path, epoch=3, epochs=4)
    train_quickly(features_dir, tmp_path, epochs=4, resume=True)
    events = events_of(tmp_path / "run", "train")
    # The third was recorded, and was not yet kept when the interruption came.
    # Files of one second are read in the order of their names, where 10 is before 9.
    assert sorted(event.step for event in events.Tensors("epoch/loss")) == [1, 2, 3, 3, 4]
    once, again = [event for event in events.Tensors("epoch/loss") if event.step == 3]
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
    assert [event.step for event in events.Tensors("images/attention")] == [2]
