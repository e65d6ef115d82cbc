"""Drawn clips: the same pictures in both classes, told apart by motion alone."""

import csv
from collections import Counter, defaultdict

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.datasets import synthetic, synthetic_figures
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


def mean_change(frames):
    return np.abs(np.diff(frames, axis=0)).mean()


def test_two_sweeps_of_four_frames_go_up_and_down():
    orders = {tuple(synthetic.fight_order(4, 2, np.random.default_rng(seed))) for seed in range(64)}
    up_and_down = (0, 2, 3, 1), (1, 3, 2, 0)
    assert orders == {tuple(np.roll(order, shift)) for order in up_and_down for shift in range(4)}


def test_the_folder_holds_what_the_table_says(folder):
    rows = rows_of(folder)
    assert Counter(row["label"] for row in rows) == {"nonviolent": 14, "violent": 14}
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*.mp4")}
    assert found == {row["path"] for row in rows}
    assert {"nonviolent/walk0001.mp4", "violent/fight0014.mp4"} <= found
    assert all(row["path"].split("/")[0] == row["label"] for row in rows)


def test_opencv_reads_short_small_clips(folder):
    for path in folder.rglob("*.mp4"):
        frames = frames_of(path)
        fps = cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS)
        assert 16 <= fps <= 24
        assert 1.8 <= len(frames) / fps <= 2.4
        assert frames.shape[1:] in {(96, 128, 3), (108, 144, 3), (120, 160, 3)}


def test_a_recording_has_both_classes_and_one_split(folder):
    labels, splits = defaultdict(Counter), defaultdict(set)
    for row in rows_of(folder):
        labels[row["group"]][row["label"]] += 1
        splits[row["group"]].add(row["split"])
    assert all(both["violent"] == both["nonviolent"] for both in labels.values())
    assert all(len(one) == 1 for one in splits.values())
    assert set().union(*splits.values()) == {"train", "validation", "test"}


@pytest.mark.parametrize("num_recordings", [3, 60, 80, 1250])
def test_splits_have_their_shares(num_recordings):
    drawn = synthetic._draw_splits(num_recordings, np.random.default_rng(0))
    shares = {"train": 0.65, "validation": 0.15, "test": 0.20}
    assert len(drawn) == num_recordings
    for split, share in shares.items():
        assert abs(drawn.count(split) - share * num_recordings) <= 1.05


def test_clips_of_a_recording_share_the_camera(folder):
    shapes = defaultdict(set)
    for row in rows_of(folder):
        shapes[row["group"]].add(frames_of(folder / row["path"]).shape)
    assert all(len(one) == 1 for one in shapes.values())


def test_a_walk_and_its_fight_have_the_same_mean_picture(folder):
    for walk, fight in pairs_of(folder):
        difference = np.abs(walk.mean(0) - fight.mean(0))
        assert difference.mean() < 1.5  # grey levels: noise and the codec's losses
        assert abs(walk.mean() - fight.mean()) < 0.5


def test_a_fight_moves_faster_than_its_walk(folder):
    changes = [[mean_change(walk), mean_change(fight)] for walk, fight in pairs_of(folder)]
    assert all(fight > 1.2 * walk for walk, fight in changes)


@given(st.integers(8, 120), st.sampled_from([2, 4, 6]), st.integers(0, 2**31 - 1))
def test_a_fight_shows_every_frame_once_and_far_from_the_last(num_frames, sweeps, seed):
    order = synthetic.fight_order(num_frames, sweeps, np.random.default_rng(seed))
    np.testing.assert_array_equal(np.sort(order), np.arange(num_frames))
    steps = np.abs(np.diff(order, append=order[0]))
    assert np.sum(steps == sweeps) >= num_frames - sweeps
    assert np.all(steps < 2 * sweeps)


def test_a_body_stands_above_its_feet_and_mirrors_after_half_a_cycle():
    pose, half_a_cycle_on = synthetic_figures.pose(0.3), synthetic_figures.pose(0.8)
    assert pose[4, 2, 1] < pose[4, 1, 1] < 0 < pose[:2, 2, 1].min()
    np.testing.assert_allclose(half_a_cycle_on[[1, 0, 3, 2, 4]], pose, atol=1e-12)


@pytest.mark.slow
def test_the_same_seed_draws_the_same_frames(folder, tmp_path):
    drawn = []
    synthetic.draw_clips(tmp_path, count=COUNT, seed=42, on_clip=drawn.append)
    assert drawn == list(range(1, COUNT + 1))
    assert (tmp_path / "videos.csv").read_text() == (folder / "videos.csv").read_text()
    for row in rows_of(folder)[:8]:
        again, first = (frames_of(f / row["path"]) for f in (tmp_path, folder))
        np.testing.assert_array_equal(again, first)


def test_another_seed_draws_other_frames(folder, tmp_path):
    synthetic.draw_clips(tmp_path, count=12, seed=43)
    path = "nonviolent/walk0001.mp4"
    assert not np.array_equal(frames_of(tmp_path / path), frames_of(folder / path))


def test_a_half_written_clip_of_a_killed_run_is_swept(tmp_path):
    leftover = tmp_path / "violent" / "fight0001.partial-1.mp4"
    leftover.parent.mkdir()
    leftover.write_bytes(b"half")
    synthetic.draw_clips(tmp_path, count=12, seed=0)
    assert not leftover.exists()
    assert len(list(tmp_path.rglob("*.mp4"))) == 12


def test_the_mean_picture_baseline_gives_a_share(folder):
    assert 0.0 <= synthetic.mean_image_accuracy(folder) <= 1.0


def test_the_mean_picture_baseline_finds_a_difference_of_brightness(tmp_path):
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
def test_the_mean_picture_does_not_tell_the_classes_apart(tmp_path, seed=42):
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
