"""Figures that are not drawn: drawing one takes longer than most tests."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import pytest

from violence_detection.system import files

_BLANK = cv2.imencode(".png", np.full((3, 4, 3), 255, np.uint8))[1].tobytes()


@contextmanager
def blank_figures() -> Iterator[None]:
    """Within it, each figure is a white image of 4 by 3 pixels."""
    from violence_detection.reports.plots import figures, threshold_figure, timeline_figure

    with pytest.MonkeyPatch.context() as patch:
        for module in (figures, threshold_figure, timeline_figure):
            for name, draw in vars(module).items():
                if name.startswith("draw_"):
                    patch.setattr(module, name, _without_drawing(draw))
        yield


def _without_drawing(draw: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(draw)

    def save_blank(path: Path | BinaryIO, *arguments: Any, **named: Any) -> None:
        signature.bind(path, *arguments, **named)
        with files.writing(path) if isinstance(path, Path) else nullcontext(path) as file:
            file.write(_BLANK)

    return save_blank
