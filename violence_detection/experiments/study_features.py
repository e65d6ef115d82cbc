"""The features that a study trains on."""

from violence_detection.errors import ConfigError
from violence_detection.features.cache import FeatureCache
from violence_detection.system import devices


def open_study_features(features: str | None) -> FeatureCache:
    """Opens the features, and imports TensorFlow as this program needs it.

    Args:
        features: Their folder, as the settings of the study's trainings name it.

    Raises:
        ConfigError: If no features are named.
        CacheError: If they are missing or damaged.
    """
    if features is None:
        raise ConfigError("--features must be given: the folder that extract-features left.")
    devices.import_tensorflow()
    return FeatureCache.open(features)
