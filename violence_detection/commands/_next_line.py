"""The last line of a command: the command that usually comes next, ready to be copied."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from violence_detection import units


def next_line(*words: str | Path) -> str:
    """`next        violence-detection train --features feature_cache/mine-1a2b3c4d`.

    Args:
        words: Of the command, without the program's name. Paths are shown from the current folder;
            words with spaces are quoted.
    """
    shown = [units.shown_path(word) if isinstance(word, Path) else word for word in words]
    return f"next        violence-detection {shlex.join(shown)}"


def training_line(video_dir: str, settings: Mapping[str, Any]) -> str:
    """`next        violence-detection train --dataset-path my_videos --backbone mobilenet`.

    MobileNet, as in the README: the best of the backbones that its table measures.

    Args:
        video_dir: The folder of videos.
        settings: Further options, as `setting_words` takes them.
    """
    words = ("--dataset-path", Path(video_dir), "--backbone", "mobilenet")
    return next_line("train", *words, *setting_words(settings))


def setting_words(settings: Mapping[str, Any]) -> Iterator[str | Path]:
    """The options of settings, for `next_line`: `--frames 16`, `--no-xla`.

    Args:
        settings: Value by name; None gives no option.
    """
    for name, value in settings.items():
        if value is None:
            continue
        yield f"--{'no-' if value is False else ''}{name.replace('_', '-')}"
        if not isinstance(value, bool):
            is_path = isinstance(value, str) and value.startswith("/")
            yield Path(value) if is_path else str(value)
