"""A run on long drawn videos with annotated events."""

import csv
import json

import pytest
from support.training import train_on_videos
from support.videos import draw_two_classes, draw_video

from violence_detection.commands.evaluate_events import event_lines
from violence_detection.errors import ConfigError, DatasetError
from violence_detection.evaluation.config import EventsConfig
from violence_detection.evaluation.footage.event_scores import EventsStage
from violence_detection.models.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on drawn clips of one second."""
    folder = tmp_path_factory.mktemp("trained")
    draw_two_classes(folder / "videos")
    return train_on_videos(folder / "videos", folder)


@pytest.fixture
def long_videos(tmp_path):
    folder = tmp_path / "long"
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        draw_video(folder / name, frames=72)
    violent, normal = "fight", "noFight"
    rows = [
        f"a.mp4,{normal},0,2,test",
        f"a.mp4,{violent},2,4,test",
        f"b.mp4,{normal},,,test",
        f"c.mp4,{violent},,,test",
    ]
    (folder / "videos.csv").write_text("path,label,start_s,end_s,split\n" + "\n".join(rows))
    return folder


def stage(trained, folder, *, force=False, **settings) -> EventsStage:
    config = EventsConfig.from_flags({"bootstrap": 100} | settings)
    return EventsStage(str(trained), str(folder), config, force=force)


def test_a_run_is_scored_on_annotated_events(trained, long_videos):
    classes = Run.open(trained).record().classes
    assert set(classes) == {"fight", "noFight"}
    assert stage(trained, long_videos).prepare()["videos"] == 2
    result = stage(trained, long_videos, threshold=0.0).run()
    assert (result.videos, result.recordings, result.scores.events) == (2, 2, 1)
    assert [problem.path for problem in result.left_out] == ["c.mp4"]
    # Every window is an alarm: the event is found, and told by the first window that overlaps it.
    assert result.scores.detected == 1 and result.scores.time_to_detect_s <= 1.1
    assert 0 <= result.scores.frame_auc <= 1
    assert result.scores.violent_fraction == pytest.approx(2 / 12, abs=0.01)
    with open(result.table) as file:
        (row,) = csv.DictReader(file)
    assert (row["path"], row["start_s"], row["end_s"]) == ("a.mp4", "2.0", "4.0")
    assert json.loads(json.dumps(result.to_json()))["events"] == 1
    with pytest.raises(ConfigError, match="--force"):
        stage(trained, long_videos).prepare()
    silent = stage(trained, long_videos, threshold=1.0, force=True).run()
    assert silent.scores.detected == silent.scores.false_alarms == 0
    # No alarm in seconds of video says little, and an interval without width would hide it.
    lines = event_lines(silent)
    assert "events      0 of 1 found" in lines
    assert "false       0 alarms in 10 s outside of events: fewer than 1,080 an hour" in lines
    with pytest.raises(DatasetError, match="import-annotations"):
        stage(trained, long_videos, split="train", force=True).prepare()
