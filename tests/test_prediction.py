"""Windows become segments, and a run says what it sees in videos of any length."""

import json
import shutil

import numpy as np
import pytest
from conftest import draw_video, train_quickly
from hypothesis import given
from hypothesis import strategies as st

from violence_detection import features, prediction
from violence_detection.config import ExtractConfig, PredictConfig
from violence_detection.errors import RunError, WeightsError
from violence_detection.runs import Run
from violence_detection.segments import segments

PROBABILITIES = st.lists(st.floats(0, 1), max_size=30)
THRESHOLD = st.floats(0, 1)


def windows(*probabilities, length_s=2.0, stride_s=1.0) -> list[dict[str, float]]:
    return [
        {"start_s": n * stride_s, "end_s": n * stride_s + length_s, "probability": one}
        for n, one in enumerate(probabilities)
    ]


# -- segments, golden


def test_windows_that_overlap_are_one_segment_with_their_peak():
    found = segments(windows(0.1, 0.6, 0.9, 0.2, 0.2, 0.7), 0.5)
    assert found == [
        {"start_s": 1.0, "end_s": 4.0, "peak": 0.9, "peak_s": 3.0},
        {"start_s": 5.0, "end_s": 7.0, "peak": 0.7, "peak_s": 6.0},
    ]


def test_windows_that_touch_are_one_segment():
    assert len(segments(windows(0.9, 0.9, stride_s=2.0), 0.5)) == 1
    assert len(segments(windows(0.9, 0.9, stride_s=2.5), 0.5)) == 2


@pytest.mark.parametrize(
    "fps",
    [
        29.97,
        *[
            pytest.param(rate, marks=pytest.mark.slow)
            for rate in (10, 12, 23.976, 25, 30, 50, 59.94)
        ],
    ],
)
@pytest.mark.slow
def test_windows_that_touch_are_one_segment_at_every_rate(trained, fps, tmp_path):
    run, _ = trained
    video = draw_video(tmp_path / "a.mp4", frames=round(9 * fps), fps=fps)
    predictor = prediction.Predictor(Run.open(run), PredictConfig(stride_s=1.0))
    predictor.threshold = 0.0
    answer = predictor.predict(video)
    assert len(answer["windows"]) >= 8 and len(answer["segments"]) == 1


def test_a_window_at_the_threshold_counts():
    (found,) = segments(windows(0.5), 0.5)
    assert found == {"start_s": 0.0, "end_s": 2.0, "peak": 0.5, "peak_s": 1.0}


# -- segments, relation


@given(PROBABILITIES, THRESHOLD, THRESHOLD)
def test_a_higher_threshold_finds_no_more_time(probabilities, one, other):
    def seconds(threshold):
        found = segments(windows(*probabilities), threshold)
        return sum(each["end_s"] - each["start_s"] for each in found)

    low, high = sorted((one, other))
    assert seconds(high) <= seconds(low)


@given(PROBABILITIES, THRESHOLD)
def test_later_windows_give_the_same_segments_later(probabilities, threshold):
    def moved(rows, by_s):
        return [
            {**row, **{k: row[k] + by_s for k in row if k.endswith("_s")}}
            for row in rows
        ]

    here = windows(*probabilities)
    assert segments(moved(here, 64.0), threshold) == moved(
        segments(here, threshold), 64.0
    )


# -- segments, property


@given(PROBABILITIES, THRESHOLD)
def test_segments_are_apart_and_hold_exactly_the_violent_windows(
    probabilities, threshold
):
    rows = windows(*probabilities)
    found = segments(rows, threshold)
    for one, after in zip(found, found[1:], strict=False):
        assert one["end_s"] < after["start_s"]
    for row in rows:
        inside = [
            s
            for s in found
            if s["start_s"] <= row["start_s"] and row["end_s"] <= s["end_s"]
        ]
        if row["probability"] >= threshold:
            assert inside and inside[0]["peak"] >= row["probability"]
    peaks = sorted(each["peak"] for each in found)
    assert set(peaks) <= set(probabilities) and all(peak >= threshold for peak in peaks)


# -- a run looks at videos


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Videos of two classes, one second each, and a run that was trained on them."""
    root = tmp_path_factory.mktemp("predict")
    for label, bright in (("fight", 0), ("noFight", 1)):
        for number in range(6):
            draw_video(
                root / "videos" / label / f"{number}.mp4", seed=number + 50 * bright
            )
    config = ExtractConfig(
        cache_dir=str(root / "cache"),
        backbone="mobilenetv2",
        weights="random",
        frames=4,
        frame_size=32,
        batch_size=8,
    )
    extraction = features.extract(root / "videos", config)
    return train_quickly(extraction.features, root / "runs", epochs=1)["run"], root


@pytest.fixture(scope="module")
def rows(trained):
    """What the run says about a long video, a still, a text file and a folder."""
    run, root = trained
    long = draw_video(root / "long.mp4", frames=54)
    still = draw_video(root / "still.mp4", frames=1)
    (root / "text.mp4").write_text("not a video")
    (root / "empty").mkdir()
    paths = [long, root / "text.mp4", still, root / "videos" / "fight", root / "empty"]
    config = PredictConfig(batch_size=8)
    return prediction.predict(run, [str(path) for path in paths], config)["videos"]


def test_rows_come_in_the_order_given_and_a_folder_stands_for_its_videos(rows, trained):
    fights = [f"{trained[1]}/videos/fight/{number}.mp4" for number in range(6)]
    names = [f"{trained[1]}/{name}" for name in ("long.mp4", "text.mp4", "still.mp4")]
    assert [row["path"] for row in rows] == [*names, *fights, f"{trained[1]}/empty"]


def test_a_long_video_is_seen_in_windows_of_the_clips_length(rows):
    """4.5 seconds in windows of 1 s, half a second apart."""
    spans = [(one["start_s"], one["end_s"]) for one in rows[0]["windows"]]
    assert spans[0] == (0.0, 1.0) and spans[-1][1] == pytest.approx(4.5)
    np.testing.assert_allclose(np.diff([start for start, _ in spans]), 0.5)
    np.testing.assert_allclose([end - start for start, end in spans], 1.0)


def test_the_probability_is_that_of_the_most_violent_window(rows):
    for row in rows:
        if not row["error"]:
            peak = max(one["probability"] for one in row["windows"])
            assert row["probability"] == peak and 0 <= peak <= 1


def test_label_and_segments_follow_the_threshold(rows, trained):
    with open(f"{trained[0]}/training_results.json") as file:
        threshold = json.load(file)["threshold"]
    for row in rows:
        violent = row["probability"] >= threshold
        if not row["error"]:
            assert row["label"] == ("fight" if violent else "noFight")
            assert bool(row["segments"]) is violent


def test_a_video_of_one_frame_is_one_window(rows):
    assert len(rows[2]["windows"]) == 1 and rows[2]["error"] is None


def test_what_cannot_be_read_has_a_reason_and_no_numbers_that_mislead(rows):
    for row in (rows[1], rows[-1]):
        assert row["error"]
        assert (row["probability"], row["label"], row["windows"]) == (0.0, "", [])


@pytest.mark.slow
def test_a_shorter_stride_keeps_the_windows_that_were_there(rows, trained):
    run, root = trained
    config = PredictConfig(batch_size=8, stride_s=0.25)
    (row,) = prediction.predict(run, [str(root / "long.mp4")], config)["videos"]
    dense = {one["start_s"]: one["probability"] for one in row["windows"]}
    assert len(dense) == 15
    for one in rows[0]["windows"]:
        assert dense[one["start_s"]] == pytest.approx(one["probability"], abs=1e-5)


# -- error


def test_other_weights_than_those_of_the_features_are_refused(trained, tmp_path):
    run = shutil.copytree(trained[0], tmp_path / "run")
    config = json.loads((run / "training_config.json").read_text())
    config["weights"]["seed"] += 1
    (run / "training_config.json").write_text(json.dumps(config))
    with pytest.raises(
        WeightsError, match="must be those that the features were made with"
    ):
        prediction.predict(str(run), ["a.mp4"], PredictConfig())


def test_a_run_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RunError, match="must be a folder that train left"):
        prediction.predict(str(tmp_path / "gone"), ["a.mp4"], PredictConfig())
