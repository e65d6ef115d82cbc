import dataclasses
import os

import numpy as np

from violence_detection.video.decoding import codec_trials
from violence_detection.video.decoding.codec_trials import CODECS, Codec, try_codecs


def test_a_drawn_clip_of_each_codec_is_read(tmp_path):
    trials = try_codecs(tmp_path)
    assert {trial.codec for trial in trials} == {codec.name for codec in CODECS}
    assert not [trial for trial in trials if trial.status == "failed"]
    assert sum(trial.status == "ok" for trial in trials) >= 5
    assert os.sched_getscheduler(0) == os.SCHED_OTHER  # SVT-AV1 makes root's threads real-time


def test_a_codec_without_an_encoder_is_skipped(tmp_path):
    (trial,) = try_codecs(tmp_path, [Codec("future", "libfuture", ".mp4")])
    assert (trial.status, trial.seconds) == ("skipped", 0.0) and "libfuture" in trial.text


def test_another_picture_and_a_file_that_cannot_be_read_are_failures(tmp_path, monkeypatch):
    codec = next(codec for codec in CODECS if codec.name == "mjpeg")
    monkeypatch.setattr(
        codec_trials, "drawn_frame", lambda number: np.zeros((96, 128, 3), np.uint8)
    )
    (trial,) = try_codecs(tmp_path, [codec])
    assert trial.status == "failed" and "grey levels" in trial.text

    monkeypatch.setattr(codec_trials, "encode", lambda codec, path: path.write_text("none") and "")
    (trial,) = try_codecs(tmp_path, [dataclasses.replace(codec, name="text")])
    assert trial.status == "failed"
