"""Settings of `runs`."""

from dataclasses import dataclass

from violence_detection.settings import CommandConfig, option, same_as
from violence_detection.training.config import TrainConfig


@dataclass(frozen=True)
class RunTableConfig(CommandConfig):
    """Settings of `runs`."""

    checkpoint_dir: str = same_as(
        TrainConfig, "checkpoint_dir", "Folder of the runs; those in folders below it, too."
    )
    sort: str = option(
        "auc",
        "Column that orders the table: the highest, the newest or the first name on top.",
        group="Output",
        choices=("auc", "accuracy", "date", "name"),
    )
    html: str | None = option(None, "File for the table as a page.", group="Output", path="FILE")
