"""Pictures that are whole, equal for equal data, and never fail for want of data."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from violence_detection.errors import ViolenceDetectionError
from violence_detection.metrics.thresholds.threshold_curve import threshold_curve
from violence_detection.reports.plots import figure_style, figures
from violence_detection.reports.plots.threshold_figure import draw_threshold_curves
from violence_detection.reports.robustness_result import ConditionScores, RobustnessScores

VIOLENT = np.array([True, False, True, False, True, False])
PROBABILITY = np.array([0.9, 0.2, 0.7, 0.6, 0.4, 0.1])
ROWS = [
    {"epoch": 1.0, "loss": 0.7, "val_loss": 0.6, "val_accuracy": 0.6, "val_auc": 0.7},
    {"epoch": 2.0, "loss": 0.5, "val_loss": 0.5, "val_accuracy": 0.7, "val_auc": 0.8},
]
BINS = (np.array([0.2, 0.9]), np.array([0.1, 1.0]), np.array([3, 5]))
DRAWN = {
    "roc": lambda path: figures.draw_roc(path, VIOLENT, PROBABILITY, 8 / 9, threshold=0.5),
    "precision_recall": lambda path: figures.draw_precision_recall(
        path, VIOLENT, PROBABILITY, 0.9, threshold=0.5
    ),
    "confusion": lambda path: figures.draw_confusion(path, [[2, 1], [1, 2]], ["no", "yes"]),
    "score_histogram": lambda path: figures.draw_score_histogram(path, VIOLENT, PROBABILITY, 0.5),
    "reliability": lambda path: figures.draw_reliability(
        path, {"calibrated": BINS, "as trained": BINS}, 0.1
    ),
    "history": lambda path: figures.draw_history(path, ROWS, kept_epoch=2),
    "attention": lambda path: figures.draw_attention(
        path, np.full((2, 5), 0.2), ["a_clip", "$x_2$"], ["0.10 no", "0.90 yes"]
    ),
}
CURVE = threshold_curve(VIOLENT, PROBABILITY, list("aabbcc"))
DRAWN["threshold"] = lambda path: draw_threshold_curves(path, {"Test": CURVE}, 0.5, [0.3, 0.6])
UNDER = {"videos": 6, "accuracy": 0.5, "accuracy_ci": [0.2, 0.9]}
UNTRIED = ConditionScores("noise", 0)
ROBUSTNESS = RobustnessScores(
    ConditionScores("clean", **UNDER),
    ConditionScores("re-encoded", **UNDER),
    [ConditionScores("darken(gamma=$x_2$)", **UNDER), UNTRIED],
    mean_accuracy=0.5,
)
DRAWN["robustness"] = lambda path: figures.draw_robustness(path, ROBUSTNESS)
ONE, ALIKE = np.ones(3, dtype=bool), np.full(3, 0.5)
BARE = {
    "roc of one class": lambda path: figures.draw_roc(path, ONE, ALIKE, None),
    "precision_recall of one class": lambda path: figures.draw_precision_recall(
        path, ONE, ALIKE, 0.0
    ),
    "confusion without videos": lambda path: figures.draw_confusion(
        path, [[0, 0], [0, 0]], ["no", "yes"]
    ),
    "histogram without videos": lambda path: figures.draw_score_histogram(path, [], [], 0.5),
    "reliability without videos": lambda path: figures.draw_reliability(
        path, {"": (np.zeros(0), np.zeros(0), np.zeros(0))}, 0.0
    ),
    "histogram of one class": lambda path: figures.draw_score_histogram(path, ONE, ALIKE, 0.5),
    "attention to one frame": lambda path: figures.draw_attention(
        path,
        np.ones((1, 1)),
        ["a clip of a very long name"],
        ["0.50 violent of a long name"],
    ),
    "threshold of one class": lambda path: draw_threshold_curves(
        path, {"Test": threshold_curve(~ONE, ALIKE, list("abc")), "Validation": CURVE}, 0.5
    ),
    "robustness without videos": lambda path: figures.draw_robustness(
        path, RobustnessScores(UNTRIED, UNTRIED, [], mean_accuracy=0.0)
    ),
    "history without epochs": lambda path: figures.draw_history(path, []),
    "history of one epoch": lambda path: figures.draw_history(path, ROWS[:1]),
    "history without validation": lambda path: figures.draw_history(
        path, [{"epoch": 1.0, "loss": 0.5, "val_loss": None, "val_auc": ""}]
    ),
}


# -- golden


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_a_png_of_two_pixels_to_a_point(name, tmp_path):
    path = tmp_path / "new" / f"{name}.png"
    DRAWN[name](path)
    sizes = {"history": (960, 960), "attention": (456, 960)}
    sizes["robustness"] = (460, 960)
    height, width = sizes.get(name, (720, 960))
    assert imread(path).shape[:2] == (height, width)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_perfect_detector_fills_the_upper_left_corner(tmp_path):
    figures.draw_roc(tmp_path / "a.png", [True, False], [1.0, 0.0], 1.0)
    figures.draw_roc(tmp_path / "b.png", [True, False], [0.0, 1.0], 0.0)
    perfect, worst = (imread(tmp_path / name)[..., :3] for name in ("a.png", "b.png"))
    corner = np.s_[100:250, 200:350]
    assert perfect[corner].mean() < worst[corner].mean()


@pytest.mark.slow
def test_the_threshold_in_use_is_where_it_is(tmp_path):
    """The dashed line is dark; its column is a fraction of the way from that of 0 to that of 1."""

    def column_of(threshold: float) -> float:
        draw_threshold_curves(tmp_path / "a.png", {"Test": CURVE}, threshold)
        dark = imread(tmp_path / "a.png")[160:600, 150:, :3].max(axis=2) < 0.3
        return float(np.argmax(dark.sum(axis=0)))

    first, middle, last = map(column_of, (0.0, 0.25, 1.0))
    assert (middle - first) / (last - first) == pytest.approx(0.25, abs=0.01)


def test_a_good_detector_has_its_recall_above_its_false_alarms(tmp_path):
    """By the mean row of the colours of both lines, from the top."""

    def rows_of(violent) -> list[float]:
        curve = threshold_curve(violent, PROBABILITY, list("abcdef"))
        draw_threshold_curves(tmp_path / "a.png", {"Test": curve}, 0.5)
        pixels = (imread(tmp_path / "a.png")[160:, :, :3] * 255).round()
        colours = (figure_style.VIOLENT, figure_style.NORMAL)
        rgb = [[int(text[at : at + 2], 16) for at in (1, 3, 5)] for text in colours]
        return [np.nonzero((pixels == colour).all(axis=2))[0].mean() for colour in rgb]

    good = PROBABILITY > 0.5
    recall, false_alarms = rows_of(good)
    assert recall < false_alarms
    recall, false_alarms = rows_of(~good)
    assert recall > false_alarms


# -- relation


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_equal_data_gives_equal_bytes(name, tmp_path):
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    DRAWN[name](first)
    DRAWN[name](second)
    assert first.read_bytes() == second.read_bytes()


def test_the_order_of_videos_is_not_seen(tmp_path):
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    figures.draw_roc(first, VIOLENT, PROBABILITY, 8 / 9)
    figures.draw_roc(second, VIOLENT[::-1], PROBABILITY[::-1], 8 / 9)
    assert first.read_bytes() == second.read_bytes()


# -- property


@pytest.mark.slow
@pytest.mark.parametrize("name", BARE)
def test_where_there_is_little_to_draw_there_is_still_a_picture(name, tmp_path):
    BARE[name](tmp_path / "bare.png")
    assert imread(tmp_path / "bare.png")[..., :3].min() < 0.9


@pytest.mark.slow
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(names=st.lists(st.text(max_size=20), min_size=2, max_size=5))
def test_classes_may_have_any_name(names, tmp_path):
    counts = np.arange(len(names) ** 2).reshape(len(names), -1)
    figures.draw_confusion(tmp_path / "names.png", counts, ["$x^$", "暴力", *names][: len(names)])


@pytest.mark.slow
def test_a_confusion_of_many_classes_is_large_enough_for_its_numbers(tmp_path):
    """At 14 classes a cell is 0.4 inches wide, four digits of the print of the smaller figures."""
    for classes in (4, 14):
        counts = np.full((classes, classes), 100)
        figures.draw_confusion(tmp_path / f"{classes}.png", counts, [f"class {n}" for n in counts])
    small, large = (imread(tmp_path / f"{classes}.png").shape for classes in (4, 14))
    assert small[:2] == (720, 960)
    assert min(large[:2]) / 200 > 14 * 0.4


# -- error


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ViolenceDetectionError, match="Cannot write .*roc.png: there is a file"):
        figures.draw_roc(tmp_path / "file" / "roc.png", VIOLENT, PROBABILITY, 8 / 9)
