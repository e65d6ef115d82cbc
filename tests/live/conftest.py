"""Fixtures of the tests of watch."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A folder with a short path: that of a Unix socket has about 100 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="watch-") as folder:
        yield Path(folder)
