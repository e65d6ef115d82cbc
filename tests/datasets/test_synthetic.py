"""Drawn clips: the same images in both classes, which differ in motion alone."""

import csv
from collections import Counter, defaultdict

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.datasets.drawing import synthetic
from violence_detection.errors import ConfigError, DatasetError, VideoError

COUNT = 28


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    synthetic.draw_clips(folder, count=COUNT, seed=42)
    return folder


def rows_of(folder):
    with open(folder / "videos.csv", newline="") as file:
        return list(csv.DictReader(file))


def frames_of(path):
    video = cv2.VideoCapture(str(path))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    return np.array(frames)


def pairs_of(folder):
    """Frames of each walk and of its fight."""
    for walk in sorted((folder / "nonviolent").iterdir()):
        fight = folder / "violent" / walk.name.replace("walk", "fight")
        yield frames_of(walk).astype(float), frames_of(fight).astype(float)


@pytest.mark.slow
def test_the_table_names_every_clip_once_with_its_class(folder):
    rows = rows_of(folder)
    assert Counter(row["label"] for row in rows) == {"nonviolent": 14, "violent": 14}
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mp4"))
    assert paths == sorted(row["path"] for row in rows)
    assert {row["path"].split("/")[0] == row["label"] for row in rows} == {True}


@pytest.mark.slow
def test_clips_are_short_and_small_and_alike_within_a_recording(folder):
    shapes = defaultdict(set)
    for row in rows_of(folder):
        frames = frames_of(folder / row["path"])
        fps = cv2.VideoCapture(str(folder / row["path"])).get(cv2.CAP_PROP_FPS)
        assert 1.8 <= len(frames) / fps <= 2.4
        assert frames.shape[1:] in {(96, 128, 3), (108, 144, 3), (120, 160, 3)}
        shapes[row["group"]].add(frames.shape)
    assert [len(shapes_of_group) for shapes_of_group in shapes.values()] == [1] * 7


@pytest.mark.slow
def test_a_recording_has_both_classes_and_one_split(folder):
    labels, splits = defaultdict(Counter), defaultdict(set)
    for row in rows_of(folder):
        labels[row["group"]][row["label"]] += 1
        splits[row["group"]].add(row["split"])
    assert len(labels) == 7
    assert all(counts == {"violent": 2, "nonviolent": 2} for counts in labels.values())
    assert all(len(names) == 1 for names in splits.values())
    assert set().union(*splits.values()) == {"train", "validation", "test"}


@pytest.mark.parametrize("num_recordings", [3, 80])
def test_splits_have_their_fractions(num_recordings):
    drawn = synthetic._draw_splits(num_recordings, np.random.default_rng(0))
    fractions = {"train": 0.65, "validation": 0.15, "test": 0.20}
    assert len(drawn) == num_recordings
    for split, fraction in fractions.items():
        assert abs(drawn.count(split) - fraction * num_recordings) <= 1.05


@pytest.mark.slow
def test_a_walk_and_its_fight_differ_in_motion_alone(folder):
    pairs = list(pairs_of(folder))
    assert len(pairs) == 14
    for walk, fight in pairs:
        difference = np.abs(walk.mean(0) - fight.mean(0))
        assert difference.mean() < 1.5  # grey levels: noise and the codec's losses
        assert abs(walk.mean() - fight.mean()) < 0.5
        changes = [np.abs(np.diff(frames, axis=0)).mean() for frames in (walk, fight)]
        assert changes[1] > 1.2 * changes[0]


@given(st.integers(8, 120), st.sampled_from([2, 4, 6]), st.integers(0, 2**31 - 1))
def test_a_fight_shows_every_frame_once_and_far_from_the_last(num_frames, sweeps, seed):
    order = synthetic.fight_order(num_frames, sweeps, np.random.default_rng(seed))
    np.testing.assert_array_equal(np.sort(order), np.arange(num_frames))
    steps = np.abs(np.diff(order, append=order[0]))
    assert np.sum(steps == sweeps) >= num_frames - sweeps
    assert np.all(steps < 2 * sweeps)


def test_the_mean_image_baseline_finds_a_difference_of_brightness(tmp_path):
    rows = []
    for i in range(24):
        label = "violent" if i % 2 else "nonviolent"
        grey = np.full((96, 128, 3), 120 + 60 * (i % 2) + i, np.uint8)
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(tmp_path / f"{i}.mp4"), codec, 20, (128, 96))
        for _ in range(4):
            writer.write(grey)
        writer.release()
        rows.append(f"{i}.mp4,{label},{i},{'train' if i < 16 else 'test'}")
    (tmp_path / "videos.csv").write_text("\n".join(["path,label,group,split", *rows]))
    assert synthetic.mean_image_accuracy(tmp_path) == 1.0


@pytest.mark.slow
def test_a_seed_draws_the_same_frames_again_and_another_seed_others(tmp_path):
    leftover = tmp_path / "again" / "violent" / "fight0001.partial-1.mp4"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")  # of a killed run
    drawn = []
    for name, seed in {"first": 0, "again": 0, "other": 1}.items():
        synthetic.draw_clips(tmp_path / name, count=12, seed=seed, on_clip=drawn.append)
    assert drawn == [*range(1, 13)] * 3
    assert not leftover.exists()
    path = "nonviolent/walk0001.mp4"
    first, again, other = (
        frames_of(tmp_path / name / path) for name in ("first", "again", "other")
    )
    np.testing.assert_array_equal(again, first)
    assert not np.array_equal(other, first)
    tables = [(tmp_path / name / "videos.csv").read_text() for name in ("first", "again")]
    assert tables[0] == tables[1]


@pytest.mark.thorough  # the test of the demo shows it with fewer clips
def test_the_mean_image_does_not_separate_the_classes(tmp_path, seed=42):
    synthetic.draw_clips(tmp_path, count=200, seed=seed)
    tests = Counter(r["label"] for r in rows_of(tmp_path) if r["split"] == "test")
    assert tests == {"nonviolent": 20, "violent": 20}
    assert synthetic.mean_image_accuracy(tmp_path) < 0.6


@pytest.mark.parametrize("count", [13, 10])
def test_count_must_be_even_and_enough(tmp_path, count):
    with pytest.raises(ConfigError, match=f"even and >= 12. Received: count={count}"):
        synthetic.draw_clips(tmp_path, count=count, seed=0)
    assert not any(tmp_path.iterdir())


def test_a_folder_without_a_table_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="must have rows of the split `test`"):
        synthetic.mean_image_accuracy(tmp_path)


def test_a_clip_that_is_gone_is_an_error(tmp_path):
    table = "path,label,group,split\na.mp4,violent,r,test\nb.mp4,violent,r,train\n"
    (tmp_path / "videos.csv").write_text(table)
    with pytest.raises(VideoError, match="a.mp4: it has no frames"):
        synthetic.mean_image_accuracy(tmp_path)
