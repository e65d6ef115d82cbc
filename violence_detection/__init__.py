"""Train a violence detector on your own videos: features once, classifiers in minutes."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__", "tables"]

if TYPE_CHECKING:
    from violence_detection.inference.predictor import Predictor
    from violence_detection.reports import pandas_tables as tables


def __getattr__(name: str) -> Any:
    # Importing the package starts nothing: the commands' help needs neither TensorFlow nor pandas.
    if name == "Predictor":
        from violence_detection.inference.predictor import Predictor

        return Predictor
    if name == "tables":
        from violence_detection.reports import pandas_tables

        return pandas_tables
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
