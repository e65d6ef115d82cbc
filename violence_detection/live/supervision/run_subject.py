"""The thing that a run finds, for words that people read."""

from pathlib import Path

from violence_detection.models.run import Run


def finds_of(run: Path) -> str:
    """`unusual` for a run that learned from normal videos alone, else `violence`.

    Raises:
        RunError: If the folder is no run.
    """
    return "unusual" if Run(run).record().one_class else "violence"
