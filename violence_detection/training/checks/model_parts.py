"""Checks of the parts that a model is built from, before hours are spent."""

from violence_detection import registry
from violence_detection.models.output_set import OutputSet
from violence_detection.system import devices
from violence_detection.training import batching
from violence_detection.training.training_settings import ModelConfig


def check_parts(model: ModelConfig, augment: str, *, classes: int, segments: int = 1) -> None:
    """Checks the arguments of head, outputs, loss and augmentation for K = `classes` classes.

    Args:
        model: Head, outputs and loss.
        augment: Spec of the augmentation.
        classes: K.
        segments: Number of the segments of a video; 1 for features of whole videos.

    Raises:
        ConfigError: If a part does not take its arguments, the outputs do not go together, or
            outputs or augmentation need whole videos.
    """
    batching.check_augmentation(augment, in_segments=segments > 1)
    devices.import_tensorflow()
    registry.check_arguments("heads", model.head)
    outputs = OutputSet.of_spec(model.outputs, classes)
    if segments > 1:
        from violence_detection.models import segment_bags  # which imports Keras

        segment_bags.check_outputs(outputs.names)
    registry.load(
        "losses",
        model.loss,
        label_smoothing=model.label_smoothing,
        class_fractions=[1 / classes] * classes,
    )
