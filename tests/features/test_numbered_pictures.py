"""Numbered pictures go through extraction as videos do: same features, kept while unchanged."""

import shutil

import numpy as np
import pytest
from support.extraction import contents, counts, manifest_of
from support.videos import cut_to_pictures

from violence_detection.datasets.summaries import summary_cache
from violence_detection.datasets.table_files.label_table import LabelTable
from violence_detection.datasets.video_folder import read_folder
from violence_detection.errors import DatasetError
from violence_detection.evaluation.robustness.corrupted_features import unchanged_excerpts
from violence_detection.experiments.doctor import few_videos_of
from violence_detection.features.cache import FeatureCache
from violence_detection.features.checking.folder_check import check_folder
from violence_detection.features.config import CheckConfig

FPS = 12.0


@pytest.fixture
def pictures(dataset_dir, tmp_path):
    """The twelve clips as folders of numbered pictures."""
    root = tmp_path / "pictures"
    for video in sorted(dataset_dir.rglob("*.mp4")):
        cut_to_pictures(video, root / video.parent.name / video.stem)
    return root


def key_of(key: str) -> str:
    return key.replace(".mp4", f"@{FPS:g}fps")


@pytest.mark.slow
def test_pictures_have_the_features_of_their_videos(extract, dataset_dir, pictures):
    settings = {"stream": "rgb+motion(focus=true)", "views": 1, "dataset_name": "videos"}
    videos = extract(dataset_dir, **settings)
    of_pictures = extract(
        pictures, **settings | {"dataset_name": "pictures", "frames_fps": FPS, "workers": 2}
    )
    cache, cache_of_pictures = (FeatureCache(e.features) for e in (videos, of_pictures))
    rows = manifest_of(of_pictures)
    for entry in cache.entries():
        row = rows[key_of(entry.path)]
        assert (row.frames, row.fps, row.duration_s, row.status) == (
            *(entry.frames, entry.fps, entry.duration_s, entry.status),
        )
        shape = cache.space().shape
        ours, theirs = cache_of_pictures.read_arrays(row, shape), cache.read_arrays(entry, shape)
        assert np.allclose(ours[0], theirs[0], atol=1e-3)  # further views are drawn by the bytes


@pytest.mark.slow
def test_changed_pictures_alone_are_extracted_again(extract, pictures):
    first = extract(pictures, frames_fps=FPS)
    before = contents(first.features)
    (pictures / "fight" / "1" / "0002.png").touch()
    assert counts(extract(pictures, frames_fps=FPS)) == (0, 12, 0)
    again = {name: content for name, content in contents(first.features).items() if ".npy" in name}
    assert again == {name: before[name] for name in again}
    picture = pictures / "fight" / "1" / "0002.png"
    picture.write_bytes((pictures / "fight" / "1" / "0003.png").read_bytes())
    (pictures / "noFight" / "2" / "0004.png").unlink()
    changed = extract(pictures, frames_fps=FPS)
    assert counts(changed) == (2, 10, 0)
    assert manifest_of(changed)["noFight/2@12fps"].error.startswith("1 frame is missing")
    (pictures / "fight" / "3").rename(pictures / "fight" / "moved")
    assert counts(extract(pictures, frames_fps=FPS)) == (0, 12, 0)


@pytest.mark.slow
def test_the_videos_of_features_are_found_again_without_the_option(extract, pictures, tmp_path):
    cache = FeatureCache(extract(pictures, frames_fps=FPS).features)
    entries = cache.entries()
    videos, reason = summary_cache.unchanged_videos(entries, pictures)
    assert (len(list(filter(None, videos))), reason) == (12, "")
    picture = pictures / "fight" / "1" / "0002.png"
    picture.write_bytes((pictures / "fight" / "1" / "0003.png").read_bytes())
    excerpts, failures = unchanged_excerpts(cache, entries)
    assert len(excerpts) == 11
    assert [failure.path for failure in failures] == ["fight/1@12fps"]


def test_check_inspects_pictures_and_finds_copies(pictures):
    shutil.copytree(pictures / "noFight" / "3", pictures / "fight" / "copy")
    for picture in (pictures / "noFight" / "4").iterdir():
        picture.write_bytes(b"no picture")
    check = check_folder(pictures, CheckConfig(frames_fps=FPS, frames=4)).check
    assert (check.videos, check.readable) == (13, 12)
    assert check.duplicates == [["fight/copy@12fps", "noFight/3@12fps"]]
    assert [problem.path for problem in check.unreadable] == ["noFight/4@12fps"]
    with pytest.raises(DatasetError, match="--frames-fps must give the rate"):
        check_folder(pictures, CheckConfig())


def test_the_doctor_and_labels_take_pictures(pictures, tmp_path):
    few = few_videos_of(read_folder(pictures, frames_fps=FPS), tmp_path / "few")
    assert len(read_folder(few).videos) == 12
    table = LabelTable.of_dataset(pictures, {}, FPS)
    row = table.row_of("fight/1@12fps")
    table.write_row(row, row.cells | {"label": "noFight", "judged_by": "ann", "judged_at": "now"})
    labels = {video.path: video.label for video in read_folder(pictures).videos}
    assert labels["fight/1@12fps"] == "noFight"
