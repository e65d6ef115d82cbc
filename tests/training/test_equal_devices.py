"""After 20 steps two replicas have the weights of one device, whatever was asked for.

The bar is that of float32 rounding, in shares of the way that training went; dropout is at 0,
since replicas must draw masks of their own (test_training_step.py).
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.features import draw_features

from violence_detection import registry
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import batching
from violence_detection.training.config import TrainConfig
from violence_detection.training.distillation import Teacher
from violence_detection.training.trainer import Trainer
from violence_detection.training.training_data import read_splits

STEPS, VIDEOS, BATCH = 20, 26, 8  # 4 steps an epoch, the last with 2 videos
STEPS_PER_EPOCH = 4
SHAPE = (3, 8)  # a recurrent head is unrolled over the time, and its graph takes the longest
NO_DROPOUT = "feature_dropout=0.0, dropout=0.0"
RECURRENT = f"bilstm_attention(projection=6, units=5, {NO_DROPOUT})"
TCN = f"tcn(projection=6, layers=1, block_dropout=0.0, {NO_DROPOUT})"
EVERY_OUTPUT = (
    "classes+future(units=5, size=4)+mil+svdd(units=8, size=4)+vae(units=8, size=3, noise=0.0)"
)
ROUNDING = {"float32": 1e-5, "mixed_float16": 6e-3, "mixed_bfloat16": 5e-2}
ALL_AT_ONCE = {
    "sam_rho": 0.05,
    "ema_decay": 0.9,
    "gradient_accumulation": 2,
    "global_clipnorm": 0.1,
    "weight_decay": 0.3,
    "labels": "uneven",
}
CASES = {
    "defaults": {},
    "recurrent": {"head": RECURRENT},
    "mean pool": {"head": f"mean_pool(projection=6, units=5, {NO_DROPOUT})"},
    "mlp": {"head": f"mlp(units=5, {NO_DROPOUT})"},
    "recurrent with norm and block": {
        "head": f"bilstm_attention(projection=6, units=4, norm=true, block=6, {NO_DROPOUT})"
    },
    "gru": {"head": f"gru_attention(projection=6, units=5, {NO_DROPOUT})"},
    "tcn": {"head": TCN},
    "transformer": {
        "head": f"transformer(projection=6, heads=2, units=8, block_dropout=0.0, {NO_DROPOUT})"
    },
    "float16": {"precision": "mixed_float16", "head": TCN},
    "recurrent in float16": {"precision": "mixed_float16", "head": RECURRENT},
    "bfloat16": {"precision": "mixed_bfloat16", "head": f"mlp(units=5, {NO_DROPOUT})"},
    "recurrent in bfloat16": {"precision": "mixed_bfloat16", "head": RECURRENT},
    "clipped": {"global_clipnorm": 0.01},
    "not clipped": {"global_clipnorm": 0.0},
    "class weights": {"labels": "uneven"},
    "no class weights": {"labels": "uneven", "use_class_weights": False},
    "sampling by the square root": {"labels": "uneven", "sampling": "sqrt"},
    "balanced sampling": {"labels": "uneven", "sampling": "balanced"},
    "recordings as they are": {"recording_weights": "natural"},
    "recordings alike": {"labels": "uneven", "recording_weights": "balanced"},
    "mixup": {"augment": "mixup", "batch_size": 7},
    "other augmentations": {"augment": "jitter+frame_dropout+reverse+noise+cutmix"},
    "accumulation": {"gradient_accumulation": 2},
    "accumulation of an odd batch": {"gradient_accumulation": 3, "batch_size": 7},
    "ema": {"ema_decay": 0.9},
    "swa": {"swa_fraction": 0.5},
    "sam": {"sam_rho": 0.05},
    "sam, clipped, in float16": {
        "sam_rho": 0.05,
        "global_clipnorm": 0.1,
        "precision": "mixed_float16",
    },
    "weight decay": {"weight_decay": 0.5},
    "constant": {"schedule": "constant"},
    "one cycle": {"schedule": "one_cycle"},
    "odd batches": {"batch_size": 7},
    "cross-entropy": {"loss": "crossentropy", "label_smoothing": 0.2},
    "outputs: classes, svdd, violence": {
        "outputs": "classes(units=8, dropout=0.0)+svdd(units=8, size=4, labelled=true)+violence",
        "labels": "uneven",
    },
    "outputs: dynamic weights": {
        "outputs": "future(units=5, size=4)+classes+mil(top=2)+vae(units=8, size=3, noise=0.0)",
        "output_weights": "dynamic",
    },
    "outputs: one anomaly alone": {"outputs": "svdd(units=8, size=4, labelled=true)"},
    "every output, all at once": {
        "outputs": f"{EVERY_OUTPUT}+violence",
        "output_weights": "dynamic",
        "sam_rho": 0.05,
        "ema_decay": 0.9,
        "gradient_accumulation": 2,
        "augment": "mixup",
        "labels": "uneven",
    },
    "every output": {
        "outputs": f"{EVERY_OUTPUT}+violence",
        "output_weights": "dynamic",
        "ema_decay": 0.9,
        "augment": "mixup",
        "labels": "uneven",
    },
    "uneven, sampled, clipped, one cycle, odd batches": {
        "labels": "uneven",
        "sampling": "sqrt",
        "recording_weights": "balanced",
        "global_clipnorm": 0.01,
        "schedule": "one_cycle",
        "batch_size": 7,
    },
    "uneven without class weights, swa, weight decay, cross-entropy": {
        "labels": "uneven",
        "use_class_weights": False,
        "recording_weights": "natural",
        "swa_fraction": 0.5,
        "weight_decay": 0.5,
        "schedule": "constant",
        "loss": "crossentropy",
        "label_smoothing": 0.2,
    },
    "uneven, balanced sampling, ema, not clipped": {
        "labels": "uneven",
        "sampling": "balanced",
        "ema_decay": 0.9,
        "global_clipnorm": 0.0,
    },
    "teacher": {"taught": True, "augment": "mixup", "batch_size": 7},
    "teacher, with further outputs, all at once": {
        "taught": True,
        "outputs": "svdd(units=8, size=4)+classes+violence",
        "sam_rho": 0.05,
        "ema_decay": 0.9,
        "gradient_accumulation": 2,
        "labels": "uneven",
    },
    "every output, in float16": {"outputs": EVERY_OUTPUT, "precision": "mixed_float16"},
    "all at once": {
        "head": f"mlp(units=5, {NO_DROPOUT})",
        **ALL_AT_ONCE,
    },
    "recurrent, all at once": {"head": RECURRENT, **ALL_AT_ONCE},
}

# Other cases have each of their parts.
VARIATIONS = {
    "recurrent",
    "mean pool",
    "transformer",
    "bfloat16",
    "gru",
    "tcn",
    "recurrent, all at once",
    "recurrent in float16",
    "recurrent in bfloat16",
    "clipped",
    "not clipped",
    "class weights",
    "no class weights",
    "sampling by the square root",
    "balanced sampling",
    "recordings as they are",
    "recordings alike",
    "mixup",
    "accumulation",
    "ema",
    "swa",
    "sam",
    "weight decay",
    "constant",
    "one cycle",
    "odd batches",
    "cross-entropy",
    "every output, all at once",
    "recurrent with norm and block",
    "outputs: classes, svdd, violence",
    "outputs: dynamic weights",
    "outputs: one anomaly alone",
    "teacher",
    "every output, in float16",
}


def test_the_cases_cover_every_head():
    heads = [case["head"].partition("(")[0] for case in CASES.values() if "head" in case]
    assert {"linear", *heads} == set(registry.available("heads"))


def test_the_cases_cover_every_output():
    specs = [case["outputs"] for case in CASES.values() if "outputs" in case]
    named = {part.name for spec in specs for part in registry.parse(spec)}
    assert named == set(registry.available("outputs"))


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Even and uneven classes: 13 of each, and 18 of one to 8 of the other."""
    folder = tmp_path_factory.mktemp("cache")
    even = draw_features(folder / "even", counts=(VIDEOS, 4, 0), shape=SHAPE, shift=0.3)
    uneven = draw_features(folder / "uneven", counts=(VIDEOS, 4, 0), shape=SHAPE, shift=0.3)
    cache = FeatureCache.open(uneven)
    rows = cache.entries()
    violent = [row for row in rows if row.label == "violent" and row.split == "train"]
    for row in violent[:5]:
        rows[rows.index(row)] = type(row)(**{**vars(row), "label": "normal"})
    cache.write_manifest(rows)
    return {"even": even, "uneven": uneven}


def machine_of(replicas, precision) -> DeviceSetup:
    keras.config.set_dtype_policy(precision)
    strategy = tf.distribute.get_strategy()
    if replicas > 1:
        strategy = tf.distribute.MirroredStrategy(
            [f"CPU:{number}" for number in range(replicas)],
            cross_device_ops=tf.distribute.ReductionToOneDevice(),
        )
    return DeviceSetup(strategy, precision, xla=False, gpus=0)


def teacher_of(clips) -> Teacher:
    """A teacher that is right with 60 to 90%."""
    train = clips["train"]
    right = np.linspace(0.6, 0.9, len(train))
    probability = np.stack([right, 1 - right], axis=1)
    probability[train.labels == 1] = probability[train.labels == 1, ::-1]
    rows = {entry.path: row for row, entry in enumerate(train.entries)}
    return Teacher(rows, probability, temperature=4.0, weight=0.7)


def trained(
    replicas, features, folder, *, precision="float32", labels="even", taught=False, **settings
):
    """Weights before and after, as averaged, and what the epochs told."""
    asked = {
        "head": "linear",
        "batch_size": BATCH,
        "epochs": STEPS // STEPS_PER_EPOCH,
        "learning_rate": 0.01,
        "early_stopping_patience": 0,
        "checkpoint_epochs": 0,
        **settings,
    }
    cache = FeatureCache.open(features[labels])
    classes = ["normal", "violent"]
    clips = read_splits(cache, dataset.usable_entries(cache), classes)
    trainer = Trainer(
        Run(folder / str(replicas)),
        TrainConfig.from_settings(asked).training,
        machine_of(replicas, precision),
        clips=clips,
        classes=classes,
        teacher=teacher_of(clips) if taught else None,
    )
    before = weights_of(trainer)
    trainer.run_epochs()
    assert trainer.step.steps == STEPS
    with trainer.average.swapped_in():
        averaged = weights_of(trainer)
    return before, weights_of(trainer), averaged, trainer


def weights_of(trainer) -> np.ndarray:
    weights = trainer.classifier.trainable_variables
    return np.concatenate([np.ravel(weight.numpy()) for weight in weights])


def moved(after, before) -> float:
    return float(np.linalg.norm(after - before))


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.thorough] * (case in VARIATIONS)) for case in CASES],
)
def test_two_replicas_have_the_weights_of_one_device(case, features, tmp_path):
    precision = CASES[case].get("precision", "float32")
    before, single, single_averaged, single_trainer = trained(1, features, tmp_path, **CASES[case])
    same, two, two_averaged, two_trainer = trained(2, features, tmp_path, **CASES[case])
    np.testing.assert_array_equal(before, same)
    distance = moved(single, before)
    assert distance > 0.1
    assert moved(single, two) <= ROUNDING[precision] * distance
    assert moved(single_averaged, two_averaged) <= ROUNDING[precision] * distance
    for epoch in zip(single_trainer.history, two_trainer.history, strict=True):
        ours, theirs = (row.columns() for row in epoch)
        for name in ("loss", "val_loss", "learning_rate"):
            assert ours[name] == pytest.approx(theirs[name], rel=0.02)


# Without alpha=auto, which corrects for the classes where their weights do not.
PLAIN = {"labels": "uneven", "loss": "focal(alpha=none)"}


@pytest.fixture(scope="module")
def plain(features, tmp_path_factory):
    return trained(1, features, tmp_path_factory.mktemp("plain"), **PLAIN)


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        {"global_clipnorm": 0.01},
        {"use_class_weights": False},
        {"ema_decay": 0.9},
        {"swa_fraction": 0.5},
        {"sam_rho": 0.05},
        {"sampling": "sqrt"},
        {"sampling": "balanced"},
        {"recording_weights": "natural"},
        {"recording_weights": "balanced"},
        {"augment": "mixup"},
        {"weight_decay": 0.5},
        {"schedule": "constant"},
        {"schedule": "one_cycle"},
        {"batch_size": 7},
        {"loss": "crossentropy"},
        {"label_smoothing": 0.2},
    ],
    ids=str,
)
def test_every_setting_changes_the_weights(asked, plain, features, tmp_path):
    _, weights, averaged, _ = plain
    _, changed, changed_averaged, _ = trained(1, features, tmp_path, **PLAIN | asked)
    assert moved(averaged, changed_averaged) > 1e-4
    if asked.keys() & {"ema_decay", "swa_fraction"}:  # only what is shown
        np.testing.assert_array_equal(weights, changed)


@pytest.mark.slow
def test_accumulation_changes_nothing_but_the_memory(features, tmp_path):
    before, whole, *_ = trained(1, features, tmp_path)
    _, pieces, *_ = trained(1, features, tmp_path, gradient_accumulation=4)
    assert moved(whole, pieces) <= 1e-5 * moved(whole, before)


@pytest.mark.slow
@pytest.mark.parametrize("replica", [0, 1])
@pytest.mark.parametrize("sam_rho", [0.0, 0.05])
def test_a_poisoned_sample_on_either_replica_costs_one_step_and_no_weight(
    replica, sam_rho, features, tmp_path, monkeypatch
):
    """In float16; the same batch is poisoned for one device, which must do the same."""
    poisoned = batching.batches

    def with_one(*arguments, **named):
        def poison(number, batch):
            clips, goals, weights = batch
            row = tf.one_hot(replica * BATCH // 2, tf.shape(clips)[0])[:, None, None]
            infinite = tf.constant(np.inf, clips.dtype)
            bad = tf.where((number % STEPS_PER_EPOCH == 1) & (row > 0), infinite, clips)
            return bad, goals, weights

        return poisoned(*arguments, **named).enumerate().map(poison)

    monkeypatch.setattr(batching, "batches", with_one)
    asked = {"precision": "mixed_float16", "sam_rho": sam_rho, "ema_decay": 0.9}
    before, single, single_averaged, single_trainer = trained(1, features, tmp_path, **asked)
    _, two, two_averaged, two_trainer = trained(2, features, tmp_path, **asked)
    assert np.isfinite(single).all() and np.isfinite(single_averaged).all()
    distance = moved(single, before)
    assert moved(single, two) <= ROUNDING["mixed_float16"] * distance
    assert moved(single_averaged, two_averaged) <= ROUNDING["mixed_float16"] * distance
    # Five epochs skip a step each.
    for trainer in (single_trainer, two_trainer):
        assert trainer.step.optimizer.iterations.numpy() == STEPS - 5
        assert trainer.step.scale == 2.0 ** (15 - 5)


def test_the_cases_cover_every_setting_of_the_step():
    """A new option of training that is not compared here is a defect."""
    compared = {name for case in CASES.values() for name in case}
    compared |= {"head", "epochs", "learning_rate"}
    names = {setting.name for setting in TrainConfig.settings()}
    elsewhere = set(
        # paths, devices, the kept epoch and models, and the report
        "seed dataset_path features normal_class checkpoint_dir run resume warmup_epochs "
        "use_focal_loss mixed_precision xla virtual_devices deterministic monitor "
        "early_stopping_patience checkpoint_epochs init_from members ensemble recall_bar "
        "operating_point profile calibrate_by calibration_folds one_class class_threshold "
        # "taught" compares them
        "teacher teacher_features teacher_temperature teacher_weight allow_teacher_overlap "
        # compared in test_several_machines.py
        "hosts rank tracker".split()
    )
    stage_one = TrainConfig.names_in("extract") | TrainConfig.names_in("split")
    assert names - elsewhere - stage_one == compared - {"precision", "labels", "taught"}
