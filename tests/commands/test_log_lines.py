"""Lines of the log beside a progress bar, on a terminal."""

import errno
import io
import os
import pty
import subprocess
import sys

from violence_detection.commands._streams import log, start_logging

PROGRAM = """
from violence_detection.commands._streams import log, prints_to_stderr, start_logging
from violence_detection.system import progress

start_logging(verbose=False, quiet=False, debug=False)
with prints_to_stderr(), progress.track("Folds", 2, "folds") as step:
    for number in (1, 2):
        log.info(f"fold {number} is done")
        step()
"""


def test_a_line_of_the_log_is_printed_above_the_bar():
    """On a line of its own, from which the bar was cleared."""
    parent, child = pty.openpty()
    subprocess.run([sys.executable, "-c", PROGRAM], stderr=child, check=True, timeout=60)
    os.close(child)
    shown = os.read(parent, 1 << 16).decode()
    os.close(parent)
    assert "Folds" in shown
    for number in (1, 2):
        assert f"\x1b[2Kfold {number} is done\r\n" in shown


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_line_that_finds_no_room_ends_nothing(monkeypatch):
    before = log.handlers, log.level, log.propagate
    monkeypatch.setattr(sys, "stderr", FullDisk())
    try:
        start_logging(verbose=False, quiet=False, debug=False)
        log.warning("The event store must be writable.")
    finally:
        log.handlers, log.propagate = before[0], before[2]
        log.setLevel(before[1])
