"""A run with its evaluation, as tests read it."""

import csv
from pathlib import Path
from typing import Any, NamedTuple


class Evaluated(NamedTuple):
    """A run, the result of its evaluation on the test split, and the rows of predictions.csv."""

    run: Path
    result: dict[str, Any]
    rows: list[dict[str, str]]


def read_predictions(run: Path, split: str = "test") -> list[dict[str, str]]:
    with open(run / "evaluation" / split / "predictions.csv") as file:
        return list(csv.DictReader(file))
