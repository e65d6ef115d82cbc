"""Folder names of UCF-Crime (Sultani et al., 2018): its parts, and its several normal folders."""

import re
from collections.abc import Iterable

NORMAL = "Normal"

# Anomaly-Videos-Part-1 ... 4 hold the class folders.
_PART = re.compile(r"anomaly[-_ ]?videos[-_ ]?part[-_ ]?\d+", re.IGNORECASE)
# Training-Normal-Videos-Part-1, Testing_Normal_Videos_Anomaly, Normal_Videos_event, NormalVideos …
_NORMAL_FOLDER = re.compile(
    r"(?:z[-_ ])?(?:(?:training|testing)[-_ ]?)?normal[-_ ]?videos?(?:[-_ ]?(?:anomaly|event|for"
    r"|recognition|part|\d+))*",
    re.IGNORECASE,
)


def is_part(folder: str) -> bool:
    """True for a folder that holds class folders, such as `Anomaly-Videos-Part-1`."""
    return bool(_PART.fullmatch(folder))


def normal_folders(labels: Iterable[str]) -> list[str]:
    """The labels that are folders of normal videos, where there are several; else none.

    They are one class: the dataset divides its normal videos by training, test and size.
    """
    names = sorted({label for label in labels if _NORMAL_FOLDER.fullmatch(label)})
    return names if len(names) > 1 else []
