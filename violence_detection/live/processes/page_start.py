"""Records between the supervisor and the process of the review page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.live.access.config import WebSettings

ACCOUNTS = "accounts.db"  # in the data folder


@dataclass(frozen=True)
class PageStart:
    """The first argument of a page's process.

    Attributes:
        settings: Where the page is.
        store, socket: Of the supervisor.
        data: Folder of clips and accounts.
        run: Folder of the run; verdicts become labels of its dataset.
        classes, window_s: Of the run.
        timezone: Zone of the times that are shown without JavaScript.
        file: The cameras file with passwords masked.
    """

    settings: WebSettings
    store: Path
    socket: Path
    data: Path
    run: Path
    classes: tuple[str, ...]
    window_s: float
    timezone: str
    file: dict[str, Any]


@dataclass(frozen=True)
class PageChange:
    """New values of `PageStart` for a page that goes on."""

    timezone: str
    file: dict[str, Any]


@dataclass(frozen=True)
class PageFailed:
    """The page cannot be shown; `message` says why, and what to do."""

    message: str


@dataclass(frozen=True)
class PageAlive:
    """The page answers.

    Attributes:
        port: On which it listens.
    """

    port: int
