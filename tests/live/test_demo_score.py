"""The score of a live demo counts whole fights, and no event near a fight as a false alarm."""

from pathlib import Path

from violence_detection.datasets.drawing.synthetic_footage import Footage
from violence_detection.live.demonstration.demo_score import (
    DetectedEvent,
    FightLog,
    ShownFight,
    score,
)


def test_fights_are_noted_in_every_round_of_the_footage():
    log = FightLog({"door": Footage(Path("door.mp4"), 10.0, ((2.0, 4.0), (6.0, 7.0)))})
    for number in range(150):  # 15 s at 10 frames/s
        log.note("door", 0, number / 10, 1000 + 100 * number)
    assert log.fights() == [
        ShownFight("door", 3000, 5000),
        ShownFight("door", 7000, 8000),
        ShownFight("door", 13000, 15000),
    ]
    log.note("door", 1, 2.1, 20_000)  # another client, from the start
    assert log.fights()[-1] == ShownFight("door", 20_000)


def test_fights_are_found_and_events_without_a_fight_are_false_alarms():
    fights = [
        ShownFight("door", 1000, 6000),  # before the camera was judged
        ShownFight("door", 20_000, 25_000),
        ShownFight("yard", 21_000, 26_000),
        ShownFight("door", 57_000),  # goes on at the end
    ]
    events = [
        DetectedEvent("door", 4000, 6000, told_ms=5000),
        DetectedEvent("door", 19_000, 23_000, told_ms=22_500),
        DetectedEvent("door", 58_000, 60_000),
        DetectedEvent("yard", 40_000, 42_000, told_ms=41_000),
    ]
    counts = score(
        fights, events, judged_from_ms={"door": 2000, "yard": 2000}, end_ms=60_000, window_s=2.0
    )
    assert (counts.fights, counts.found, counts.false_alarms) == (2, 1, 1)
    assert counts.delays_s == (2.5,) and counts.delay_s == 2.5


def test_cameras_that_were_never_judged_have_no_fights_to_find():
    fights = [ShownFight("door", 1000, 6000)]
    counts = score(fights, [], judged_from_ms={}, end_ms=60_000, window_s=2.0)
    assert (counts.fights, counts.found, counts.delay_s) == (0, 0, None)
