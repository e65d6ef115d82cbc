"""Cross-entropy on logits, binary or over several classes."""

from violence_detection.models.losses.focal import Focal


def build(*, label_smoothing: float, class_fractions: list[float]) -> Focal:
    """See `focal`: cross-entropy is its case gamma = 0, without alpha."""
    return Focal(gamma=0.0, alpha=None, label_smoothing=label_smoothing)
