"""Fixtures of the tests of watch."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from violence_detection.live.web.page_state import WatchPage


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A folder with a short path: that of a Unix socket has about 100 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="watch-") as folder:
        yield Path(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["WatchPage"]:
    """A page over a drawn store that writes no labels; its passwords are hashed in no time."""
    from support.watch_page import NoLabels, draw_watch

    from violence_detection.live.access import passwords

    monkeypatch.setattr(passwords, "SCRYPT", (4, 8, 1))
    page = draw_watch(tmp_path, NoLabels())
    yield page
    page.reader.close()
    page.requests.store.close()
