"""Lines of the log beside a progress bar, on a terminal."""

import os
import pty
import subprocess
import sys

PROGRAM = """
from violence_detection.commands._exit import CommonFlags, log, prints_to_stderr, start_logging
from violence_detection.system import progress

start_logging(CommonFlags(json=False, verbose=False, quiet=False, debug=False))
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
