"""Builds a training step: classifier, optimizer, learning rate schedule, average of the weights."""

from collections.abc import Callable

import keras

from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.classifier import build_classifier, initialised_from
from violence_detection.system.devices import DeviceSetup
from violence_detection.training.batching import steps_per_epoch
from violence_detection.training.optimisation.learning_rate_schedules import schedule_over_epochs
from violence_detection.training.optimisation.objective import Objective
from violence_detection.training.optimisation.step import TrainingStep, separate_dropout
from violence_detection.training.optimisation.weight_averaging import build_average
from violence_detection.training.training_settings import OptimisationConfig

_NO_DECAY = ("bias", "gamma", "beta")


def build_step(
    optimisation: OptimisationConfig,
    device_setup: DeviceSetup,
    *,
    head: str,
    outputs: str,
    seed: int,
    train: FeatureDataset,
    objective: Callable[[], Objective],
    initial: keras.Model | None,
    xla: bool,
) -> TrainingStep:
    """A classifier with its training step, the same at every call.

    Args:
        optimisation: Settings of optimizer, schedule and average.
        device_setup: Devices, precision and strategy.
        head: Spec of a part in `models/heads`.
        outputs: Spec of the outputs, see `OutputSet.of_spec`.
        seed: Seed of the weights and of dropout.
        train: The training clips.
        objective: Makes the loss of a batch, with its first state.
        initial: A classifier of the same shape that gives the initial weights; None draws them.
        xla: Compile the forward and backward pass; a recurrence then cannot use cuDNN.
    """
    # The weights must not depend on what was drawn before: the XLA trial builds steps as well.
    keras.utils.set_random_seed(seed)
    objective = objective()
    with device_setup.strategy.scope():
        classifier = build_classifier(
            head=head,
            features=train.features,
            classes=objective.outputs.count,
            recurrence=_recurrence(device_setup, xla=xla),
            outputs=outputs,
        )
        if initial is None:
            objective.outputs.prepare(classifier, train.features, train.labels)
        else:
            classifier = initialised_from(classifier, initial)
        optimizer = keras.optimizers.AdamW(
            optimisation.learning_rate, weight_decay=optimisation.weight_decay
        )
        optimizer.exclude_from_weight_decay(var_names=list(_NO_DECAY))
        optimizer.build(classifier.trainable_variables)
    separate_dropout(classifier, device_setup.strategy, device_setup.first_replica)
    return TrainingStep(
        classifier,
        objective=objective,
        optimizer=optimizer,
        strategy=device_setup.strategy,
        schedule=schedule_over_epochs(
            optimisation.schedule,
            peak=optimisation.learning_rate,
            warmup_epochs=optimisation.warmup_epochs,
            epochs=optimisation.epochs,
            steps_per_epoch=steps_per_epoch(len(train), optimisation.batch_size),
        ),
        global_clipnorm=optimisation.global_clipnorm,
        xla=xla,
        pieces=optimisation.gradient_accumulation,
        sam_rho=optimisation.sam_rho,
        average=build_average(
            classifier.trainable_variables,
            epochs=optimisation.epochs,
            ema_decay=optimisation.ema_decay,
            swa_fraction=optimisation.swa_fraction,
        ),
    )


def _recurrence(device_setup: DeviceSetup, *, xla: bool) -> str:
    # XLA compiles an unrolled recurrence for much longer and gains nothing by it. Each replica
    # traces the graph again, so that unrolling costs more than it saves from the third on.
    if xla or (not device_setup.gpus and device_setup.replicas > 2):
        return "loop"
    return "cudnn" if device_setup.gpus else "unrolled"
