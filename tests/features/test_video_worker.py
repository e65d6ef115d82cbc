"""Each video leaves an array and a row, or a row with the reason of its failure."""

import csv
import hashlib
import os
import time

import av
import numpy as np
import pytest
from support.encoding import encode, encode_several, lose_packets
from support.extraction import (
    contents,
    counts,
    manifest_of,
    spoil,
)
from support.videos import draw_video

from violence_detection.datasets.table_files.manifest import MANIFEST_COLUMNS
from violence_detection.errors import ConfigError, DatasetError
from violence_detection.features.cache import FeatureCache
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.system.processes import ProcessPool


def test_every_video_leaves_an_array_and_a_row(extract, dataset_dir):
    extraction = extract()
    assert counts(extraction) == (12, 0, 0)
    entries = manifest_of(extraction)
    assert len(entries) == 12
    for path, entry in entries.items():
        video, array = dataset_dir / path, extraction.features / f"{path}.npy"
        values = np.load(array)
        assert (values.dtype, values.shape) == (np.float16, (4, 1280))
        assert np.isfinite(values).all() and values.any()
        assert entry.digest == hashlib.sha256(video.read_bytes()).hexdigest()
        assert entry.array_digest == hashlib.sha256(array.read_bytes()).hexdigest()
        assert (entry.size, entry.mtime) == (
            video.stat().st_size,
            video.stat().st_mtime_ns,
        )


def test_rows_have_the_frames_rate_and_duration_that_were_read(extract):
    extraction = extract()
    with open(extraction.features / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == MANIFEST_COLUMNS
    first = {name: rows[0][name] for name in ("path", "label", "group", "status", "error")}
    path = "fight/0.mp4"
    assert first == {
        "path": path,
        "label": "fight",
        "group": path,
        "status": "ok",
        "error": "",
    }
    assert [int(row["frames"]) for row in rows] == [*range(10, 16)] * 2
    assert {float(row["fps"]) for row in rows} == {12.0}
    assert float(rows[0]["duration_s"]) == pytest.approx(10 / 12, abs=1e-5)


def test_parts_of_a_recording_have_an_array_each(extract, tmp_path):
    root = tmp_path / "long"
    draw_video(root / "a.mp4", frames=48)
    lines = [
        "path,label,start_s,end_s",
        "a.mp4,calm,0,2",
        "a.mp4,fight,2,4",
        "a.mp4,fight,0.5,1",
    ]
    (root / "videos.csv").write_text("\n".join(lines))
    extraction = extract(root)
    assert {key: entry.frames for key, entry in manifest_of(extraction).items()} == {
        "a.mp4@0-2": 24,
        "a.mp4@2-4": 24,
        "a.mp4@0.5-1": 6,
    }
    assert (extraction.features / "a.mp4@0.5-1.npy").is_file()
    assert counts(extract(root)) == (0, 3, 0)


def test_workers_and_batches_do_not_change_the_features(extract, tmp_path):
    one = extract(workers=1, cache_dir=str(tmp_path / "one"))
    four = extract(workers=4, cache_dir=str(tmp_path / "four"))
    assert contents(one.features) == contents(four.features)


def test_a_failed_video_has_a_reason_and_no_array(extract, dataset_dir):
    spoil(dataset_dir / "fight" / "0.mp4")
    extraction = extract()
    assert counts(extraction) == (11, 0, 1)
    assert extraction.failures == (("fight/0.mp4", "not a video that can be opened"),)
    entry = manifest_of(extraction)["fight/0.mp4"]
    assert (entry.status, entry.error) == ("failed", "not a video that can be opened")
    assert not (extraction.features / "fight" / "0.mp4.npy").exists()
    assert extraction.to_json()["failures"] == [
        {"path": "fight/0.mp4", "reason": "not a video that can be opened"}
    ]


def test_a_video_that_is_spoiled_loses_its_array(extract, dataset_dir):
    extraction = extract()
    spoil(dataset_dir / "fight" / "0.mp4")
    assert counts(extract()) == (0, 11, 1)
    assert not (extraction.features / "fight" / "0.mp4.npy").exists()


def test_a_row_without_a_file_fails(extract, dataset_dir):
    lines = [f"fight/{n}.mp4,fight" for n in range(6)] + [f"noFight/{n}.mp4,no" for n in range(6)]
    (dataset_dir / "videos.csv").write_text("\n".join(["path,label", *lines]))
    (dataset_dir / "fight" / "3.mp4").unlink()
    assert extract().failures == (("fight/3.mp4", "no such file"),)


def test_a_damaged_video_is_used_and_marked(extract, dataset_dir):
    path = draw_video(dataset_dir / "fight" / "x.avi", frames=40, codec="MJPG")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    extraction = extract()
    entry = manifest_of(extraction)["fight/x.avi"]
    assert counts(extraction) == (13, 0, 0)
    assert entry.status == "damaged"
    assert entry.error == f"{entry.frames} of 40 declared frames can be decoded"
    assert (extraction.features / "fight" / "x.avi.npy").is_file()


def test_corrupt_frames_and_odd_files_are_said(extract, dataset_dir, caplog):
    lossy = encode(dataset_dir / "fight" / "lossy.ts", size=(320, 240), g=25, bf=0)
    lose_packets(lossy, every=20)
    draw_video(dataset_dir / "fight" / "fast.avi", fps=600, codec="MJPG")
    encode_several(dataset_dir / "noFight" / "two.mkv", [(64, 48), (160, 120)])
    caplog.set_level("WARNING", logger="violence_detection")
    entries = manifest_of(extract())
    assert entries["fight/lossy.ts"].status == "damaged"
    assert entries["fight/lossy.ts"].error.endswith("of 60 frames are corrupt")
    assert (entries["fight/fast.avi"].status, entries["noFight/two.mkv"].status) == ("ok", "ok")
    assert "fight/fast.avi: 600 frames per second is not plausible" in caplog.text
    assert "noFight/two.mkv: it has 2 video streams: 160x120 is read" in caplog.text
    assert "fight/lossy.ts: " + entries["fight/lossy.ts"].error in caplog.text


def test_features_that_are_not_finite_fail(extract, monkeypatch):
    monkeypatch.setattr(
        FeatureExtractor,
        "encode",
        lambda self, x: np.full((len(x), 1280), np.inf, np.float16),
    )
    reason = (
        "At least one video must be readable. Received: 12 unreadable videos, e.g. fight/0.mp4 "
    )
    with pytest.raises(DatasetError) as raised:
        extract(max_failures=1.0)
    assert str(raised.value) == f"{reason}(its features are not finite in float16)"


@pytest.mark.slow
def test_views_are_further_arrays_and_do_not_change_the_first(extract, tmp_path):
    plain = extract()
    before = contents(plain.features)
    with_views = extract(cache_dir=str(tmp_path / "other"), views=3)
    after = contents(with_views.features)
    assert plain.features.name == with_views.features.name
    assert {name: after[name] for name in before if name.endswith(".npy")} == {
        name: content for name, content in before.items() if name.endswith(".npy")
    }
    cache = FeatureCache.open(with_views.features)
    for entry in cache.entries():
        arrays = cache.read_arrays(entry, (4, 1280))
        assert arrays.shape == (4, 4, 1280)
        assert len({array.tobytes() for array in arrays}) == 4
    assert sum(name.endswith(".npy") for name in after) == 12 * 4


@pytest.mark.slow
def test_views_of_kinds_are_recorded_and_not_mixed_with_others(extract):
    features_dir = extract(views=2, view_kinds="blur, low").features
    cache = FeatureCache.open(features_dir)
    assert cache.record().view_kinds == ("blur", "downscale")
    blurred = contents(features_dir)
    extract()  # without views: what is there stays, and so do its kinds
    assert FeatureCache.open(features_dir).record().view_kinds == ("blur", "downscale")
    with pytest.raises(ConfigError, match="must be those of the views in the cache.*cache blur"):
        extract(views=2)
    extract(views=2, view_kinds="noise,blur", force=True)
    assert FeatureCache.open(features_dir).record().view_kinds == ("noise", "blur")
    name = "fight/0.mp4.view1.npy"
    assert contents(features_dir)[name] != blurred[name]
    with pytest.raises(ConfigError, match="must come with views"):
        extract(view_kinds="blur")


@pytest.mark.slow
def test_views_of_a_changed_video_are_removed(extract, dataset_dir):
    features_dir = extract(views=2).features
    draw_video(dataset_dir / "fight" / "0.mp4", frames=30, seed=50)
    extract()
    assert not (features_dir / "fight" / "0.mp4.view1.npy").exists()
    spoil(dataset_dir / "fight" / "1.mp4")
    extract()
    assert not list((features_dir / "fight").glob("1.mp4*"))


@pytest.mark.slow
def test_a_crash_of_the_decoder_costs_one_video(extract, monkeypatch):
    call = ProcessPool.__call__

    def crashing(self, read, path, *part, **limits):
        read, part = (os.abort, ()) if path.name == "3.mp4" else (read, (path, *part))
        return call(self, read, *part, **limits)

    monkeypatch.setattr(ProcessPool, "__call__", crashing)
    extraction = extract(max_failures=1.0)
    assert counts(extraction) == (10, 0, 2)
    reasons = {reason for _, reason in extraction.failures}
    assert reasons == {"the decoder crashed (SIGABRT)"}


@pytest.mark.slow
def test_a_decoder_that_hangs_costs_one_video(extract, monkeypatch):
    call = ProcessPool.__call__

    def hanging(self, read, path, *part, **limits):
        read, part = (time.sleep, (99,)) if path.name == "3.mp4" else (read, (path, *part))
        return call(self, read, *part, **limits)

    monkeypatch.setattr(ProcessPool, "__call__", hanging)
    noted, note = [], FeatureCache.append_to_journal
    monkeypatch.setattr(
        FeatureCache,
        "append_to_journal",
        lambda self, entry: noted.append(entry.path) or note(self, entry),
    )
    # Batches of one video: with larger ones, the last waits for the hanging ones.
    extraction = extract(max_failures=1.0, video_timeout_s=8.0, workers=3, batch_size=4)
    assert counts(extraction) == (10, 0, 2)
    assert set(noted[-2:]) == {"fight/3.mp4", "noFight/3.mp4"}  # no other waited
    reasons = {reason for _, reason in extraction.failures}
    assert reasons == {"it took longer than 8 s (--video-timeout-s)"}


def test_a_pipe_in_place_of_a_video_is_not_waited_for(extract, dataset_dir):
    path = dataset_dir / "fight" / "0.mp4"
    path.unlink()
    os.mkfifo(path)
    for _ in range(2):
        assert extract().failures == (("fight/0.mp4", "it is not a plain file"),)


def test_a_name_that_is_too_long_fails_its_video(extract, dataset_dir):
    draw_video(dataset_dir / "fight" / ("n" * 248 + ".mp4"))
    extraction = extract(max_failures=0.5)
    assert counts(extraction) == (12, 0, 1)
    assert "its name is too long" in extraction.failures[0][1]
    (dataset_dir / "videos.csv").write_text(
        "path,label\n" + "".join(f"fight/{n}.mp4,a\n" for n in range(6)) + "b" * 300 + ".mp4,b\n"
    )
    assert counts(extract(max_failures=1.0))[2] == 1


def test_a_video_in_which_nothing_moves_is_named(extract, dataset_dir, caplog):
    picture = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)
    with av.open(str(dataset_dir / "fight" / "0.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(24):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        file.mux(stream.encode(None))
    extract()
    still = [text for text in caplog.messages if "nothing moves in it" in text]
    assert [text.split(":")[0] for text in still] == ["fight/0.mp4"]
