"""The contact sheet: the right frames, the attention, or the reason why there are none."""

import base64
import dataclasses
import shutil
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest
from support.videos import draw_video, frames_of

from violence_detection.errors import VideoError
from violence_detection.evaluation.mistakes import anonymisation, contact_sheet, mistake_frames
from violence_detection.evaluation.predictions import prediction_rows
from violence_detection.features import dataset
from violence_detection.models.heads._layers import AttentionPooling
from violence_detection.models.neighbours.training_clips import TrainingClips
from violence_detection.system import files
from violence_detection.video import still_frames
from violence_detection.video.decoding.decoder import Decoder

LABELS = ["normal", "fight"]


def classifier(attention=True) -> keras.Model:
    clip = keras.Input((6, 8))
    pool = AttentionPooling(4) if attention else keras.layers.GlobalAveragePooling1D()
    return keras.Model(clip, keras.layers.Dense(1)(pool(clip)))


@pytest.fixture
def clips(video_cache, cached_videos, rng):
    """Features of existing videos, with their real digests."""
    _, entries = video_cache
    entries = [
        dataclasses.replace(entry, digest=files.sha256_of_file(cached_videos / entry.path))
        for entry in entries
    ]
    labels = np.array([LABELS.index(entry.label) for entry in entries])
    features = rng.normal(size=(len(entries), 6, 8)).astype(np.float16)
    return dataset.FeatureDataset(features, labels, tuple(entries))


def predictions(clips):
    """All wrong; the most confident are the first fight and the last normal video."""
    violence = 0.1 + 0.1 * np.arange(len(clips))
    return list(prediction_rows(clips.entries, violence, 1 - clips.labels, LABELS))


def sheet(video_cache, clips, *, with_frames=True, blur=False, attention=True):
    return contact_sheet.build_contact_sheet(
        video_cache[0],
        clips,
        predictions(clips),
        normal_class="normal",
        classifier=classifier(attention),
        with_frames=with_frames,
        blur=blur,
    )


def decoded(data_uri) -> np.ndarray:
    data = data_uri.removeprefix("data:image/jpeg;base64,")
    content = np.frombuffer(base64.b64decode(data), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_COLOR)


# -- golden


@pytest.mark.parametrize(
    ("drawn", "part", "expected"),
    [
        ({"frames": 24}, (), (2, 6, 10, 14, 18, 22)),
        # Frames 24 to 35.
        ({"frames": 48}, (2.0, 3.0), (25, 27, 29, 31, 33, 35)),
        # Long enough for seeking.
        ({"frames": 950, "fps": 25}, (0.0, 2.0), (4, 12, 20, 29, 37, 45)),
    ],
)
def test_frames_are_the_middles_of_equal_parts(tmp_path, drawn, part, expected):
    path = draw_video(tmp_path / "a.mp4", **drawn)
    frames, shown = frames_of(path), still_frames.shown_frames(path, *part)
    for frame, index in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(frame, frames[index])


def test_the_most_confident_mistakes_come_with_frames_and_attention(video_cache, clips):
    mistakes = sheet(video_cache, clips)
    paths = [row.path for row in mistakes.misses]
    assert paths == ["fight/0.mp4", "fight/1.mp4", "fight/2.mp4"]
    assert mistakes.false_alarms[0].path == "normal/2.mp4"
    assert mistakes.blurred is False
    for row in (*mistakes.misses, *mistakes.false_alarms):
        assert len(row.frames) == 6
        height, width, _ = decoded(row.frames[0]).shape
        assert (height, width) in ((267, 400), (300, 400))
        assert len(row.attention) == 6
        assert sum(row.attention) == pytest.approx(1, abs=1e-3)


# -- relation


def test_a_part_is_not_decoded_beyond_its_end(tmp_path, monkeypatch):
    path, grabbed, grab = draw_video(tmp_path / "a.mp4", frames=400), [], Decoder._grab
    monkeypatch.setattr(Decoder, "_grab", lambda video: grabbed.append(1) or grab(video))
    still_frames.shown_frames(path, 2.0, 3.0)  # frames 24 to 35, twice
    assert len(grabbed) < 80


def test_without_frames_no_video_is_opened(video_cache, clips, monkeypatch):
    monkeypatch.setattr(contact_sheet, "_images_of", None)
    row = sheet(video_cache, clips, with_frames=False).misses[0]
    assert (row.frames, row.missing_reason) == ((), "--no-show-frames was given")
    assert row.attention


def test_a_head_without_attention_has_none_to_show(video_cache, clips):
    mistakes = sheet(video_cache, clips, attention=False, with_frames=False)
    assert {row.attention for row in mistakes.misses} == {None}


def test_blurred_frames_are_anonymised(tmp_path, monkeypatch):
    path = draw_video(tmp_path / "a.mp4", frames=24)
    plain = mistake_frames.encode_frames(path, None, None, False)
    monkeypatch.setattr(
        anonymisation, "anonymise", lambda frames: [np.zeros_like(frame) for frame in frames]
    )
    assert mistake_frames.encode_frames(path, None, None, False) == plain
    dark = mistake_frames.encode_frames(path, None, None, True)
    assert cv2.imdecode(np.frombuffer(dark[0], np.uint8), 0).max() <= 2


# -- videos that cannot be shown


def test_a_missing_or_changed_video_has_a_reason(video_cache, cached_videos, clips, tmp_path):
    cache, _ = video_cache
    root = shutil.copytree(cached_videos, tmp_path / "other")
    (root / "fight/0.mp4").unlink()
    same_size = bytearray((root / "fight/1.mp4").read_bytes())
    same_size[-1] ^= 255
    (root / "fight/1.mp4").write_bytes(same_size)
    settings = cache.record().to_json() | {"dataset": {"name": "d", "dir": str(root)}}
    files.write_json(cache.extraction_path, settings)
    misses = sheet(video_cache, clips).misses
    reason = f"the video is no longer in {root.name}, or changed"
    assert [row.missing_reason for row in misses] == [reason, reason, ""]


def test_a_missing_folder_is_the_reason(video_cache, clips):
    cache, _ = video_cache
    settings = cache.record().to_json() | {"dataset": {"name": "d", "dir": "/nowhere"}}
    files.write_json(cache.extraction_path, settings)
    why = {row.missing_reason for row in sheet(video_cache, clips).misses}
    assert why == {"their folder /nowhere does not exist"}


def test_a_part_without_frames_is_an_error(tmp_path):
    path = draw_video(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="no frame of it can be decoded"):
        still_frames.shown_frames(path, 7.0, 8.0)


def test_mistakes_have_their_nearest_training_clips_with_a_picture(video_cache, clips):
    cache = video_cache[0]
    known = TrainingClips.from_features(clips)
    shown = contact_sheet.build_contact_sheet(
        cache,
        clips,
        predictions(clips),
        normal_class="normal",
        classifier=None,
        with_frames=True,
        blur=False,
        known=lambda row: known,
        training_cache=SimpleNamespace(entries=lambda: clips.entries, video_dir=cache.video_dir),
    )
    for mistake in shown.all:
        assert len(mistake.nearest) == 3
        assert mistake.nearest[0].clip.path == mistake.path
        assert max(decoded(mistake.nearest[0].image).shape) <= 160
    assert not any(mistake.is_novel for mistake in shown.all)
