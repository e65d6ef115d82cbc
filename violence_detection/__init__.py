"""Train a violence detector on your own videos: features once, classifiers in minutes."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Predictor",
    "__version__",
    "cross_validate",
    "evaluate",
    "extract",
    "tables",
    "train",
]

if TYPE_CHECKING:
    from violence_detection.inference.predictor import Predictor
    from violence_detection.python_functions import cross_validate, evaluate, extract, train
    from violence_detection.reports import pandas_tables as tables


def __getattr__(name: str) -> Any:
    # Importing the package starts nothing: the commands' help needs neither TensorFlow nor pandas.
    if name == "Predictor":
        return importlib.import_module("violence_detection.inference.predictor").Predictor
    if name == "tables":
        return importlib.import_module("violence_detection.reports.pandas_tables")
    if name in __all__:
        return getattr(importlib.import_module("violence_detection.python_functions"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
