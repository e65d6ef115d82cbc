"""F12 in short: kills lose no event, and no event arrives under two ids."""

import importlib.util
import random

import pytest
from support.folders import ROOT

PATH = ROOT / "benchmarks" / "live" / "outbox_kills.py"


@pytest.mark.slow
def test_kills_lose_and_double_nothing(tmp_path):
    spec = importlib.util.spec_from_file_location("outbox_kills", PATH)
    outbox_kills = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(outbox_kills)
    result = outbox_kills.kill_again_and_again(tmp_path / "events.db", 4, draw=random.Random(1))
    assert result.stored > 20
    assert (result.lost, result.doubled) == (0, 0)
    assert result.repeated <= 4, "only what was sent at the moment of a kill comes again"
