"""Events of annotation programs as parts in videos.csv, checked against the videos."""

import json
from pathlib import Path

import pytest
from support.videos import cut_to_pictures, draw_video

from violence_detection.commands.import_annotations import import_lines
from violence_detection.datasets import video_folder
from violence_detection.datasets.annotations import annotation_formats
from violence_detection.datasets.annotations.annotated_parts import FileLength, parts_of
from violence_detection.datasets.annotations.annotation_formats import Annotation
from violence_detection.datasets.annotations.annotation_import import ImportStage
from violence_detection.datasets.config import AnnotationConfig
from violence_detection.errors import ConfigError, DatasetError

UCF = """Abuse028_x264.mp4  Abuse  165  240  -1  -1
Burglary005_x264.mp4  Burglary  4710  5040  5100  5250

Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1
"""
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><name>door</name><source>door.mp4</source></task>
</meta><track id="0" label="fight"><box frame="10" outside="0"/><box frame="40" outside="0"/>
<box frame="50" outside="1"/></track><track id="1" label="fight"><box frame="60" outside="0"/>
</track></annotations>"""
LABEL_STUDIO = [
    {
        "data": {"video": "/data/upload/3/1a2b3c4d-door%20two.mp4"},
        "annotations": [
            {
                "result": [
                    {
                        "type": "timelinelabels",
                        "value": {
                            "ranges": [{"start": 11, "end": 50}],
                            "timelinelabels": ["fight"],
                        },
                    }
                ]
            }
        ],
    },
    {"data": {"video": "quiet.mp4"}, "annotations": [{"result": []}]},
]
VIA = {
    "metadata": {
        "1_a": {"vid": "1", "z": [2.5, 4], "av": {"1": "0"}},
        "1_b": {"vid": "1", "z": [3.0], "xy": [2, 1, 1, 5, 5], "av": {}},
    },
    "attribute": {"1": {"options": {"0": "fight", "1": "nothing"}}},
    "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
    "file": {"1": {"fname": "door.mp4"}, "2": {"fname": "quiet.mp4"}},
}


def read(tmp_path: Path, text: str) -> list[tuple]:
    path = tmp_path / "annotations"
    path.write_text(text)
    _, found = annotation_formats.read_annotations(path)
    return [(a.file, a.label, a.start, a.end, a.in_frames) for a in found]


def test_each_format_gives_its_events(tmp_path):
    assert read(tmp_path, UCF) == [
        ("Abuse028_x264.mp4", "Abuse", 164, 240, True),
        ("Burglary005_x264.mp4", "Burglary", 4709, 5040, True),
        ("Burglary005_x264.mp4", "Burglary", 5099, 5250, True),
        ("Normal_Videos_003_x264.mp4", "Normal", None, None, False),
    ]
    assert read(tmp_path, CVAT) == [
        ("door.mp4", "fight", 10, 50, True),
        ("door.mp4", "fight", 60, 61, True),
    ]
    assert read(tmp_path, json.dumps(LABEL_STUDIO)) == [
        ("door two.mp4", "fight", 10, 50, True),
        ("quiet.mp4", "", None, None, False),
    ]
    assert read(tmp_path, json.dumps(VIA)) == [
        ("door.mp4", "fight", 2.5, 4.0, False),
        ("quiet.mp4", "", None, None, False),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Abuse028_x264.mp4  Abuse  165",
        "Abuse028_x264.mp4  Abuse  240  165  -1  -1",
        "<svg/>",
        CVAT.replace("<annotations>", '<!DOCTYPE a [<!ENTITY x "y">]><annotations>'),
        "[1, 2]",
        '{"metadata": {"1": {"vid": "9", "z": [1, 2]}}, "file": {}}',
        "[" * 100,
        "\x00",
    ],
)
def test_anything_else_is_refused(tmp_path, text):
    with pytest.raises(DatasetError, match="Annotations must"):
        read(tmp_path, text)


def test_a_line_whose_frames_are_no_numbers_is_named(tmp_path):
    with pytest.raises(DatasetError, match="line 1 has frames that are no numbers: x 165 -1 -1"):
        read(tmp_path, "Abuse028_x264.mp4  Abuse  x  165  -1  -1")


LENGTH = FileLength(20.0, 10.0)


def parts(annotations, *, classes=(), length=LENGTH):
    result = parts_of(
        annotations, ["a/x.mp4", "b/y.mp4"], lambda path: length, normal="normal", classes=classes
    )
    rows = [(video.path, video.label, video.start_s, video.end_s) for video in result.videos]
    return rows, dict(result.left_out)


def test_what_is_between_events_is_normal():
    rows, left_out = parts(
        [
            Annotation("x.mp4", "fight", 50, 80, in_frames=True),
            Annotation("x.mp4", "fight", 7.5, 9.0),  # overlaps with the first: one event
            Annotation("x.mp4", "Fight", 9.5, 20.4),  # the gap before it is too short for a part
            Annotation("y.mp4", "", place="no event"),
        ],
        classes=["normal", "fight"],
    )
    assert left_out == {}
    assert rows == [
        ("a/x.mp4", "normal", 0.0, 5.0),
        ("a/x.mp4", "fight", 5.0, 9.0),
        ("a/x.mp4", "fight", 9.5, 20.0),
        ("b/y.mp4", "normal", None, None),
    ]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ([Annotation("x.mp4", "fight", 250, 270, in_frames=True)], "not inside the file"),
        ([Annotation("x.mp4", "fight", 5, 25)], "not inside the file"),
        ([Annotation("x.mp4", "fight", 5, 5)], "ends before it starts"),
        ([Annotation("x.mp4", "dance", 5, 6)], "the class dance is not known"),
        ([Annotation("x.mp4", "fight", 5, 8), Annotation("x.mp4", "theft", 7, 9)], "contradict"),
        ([Annotation("x.mp4", "fight", 5, 8), Annotation("x.mp4", "normal")], "contradict"),
    ],
)
def test_a_video_with_a_wrong_annotation_is_left_out(wrong, reason):
    good = Annotation("y.mp4", "fight", 1, 3)
    rows, left_out = parts([*wrong, good], classes=["normal", "fight", "theft"])
    assert {path for path, *_ in rows} == {"b/y.mp4"}
    assert reason in left_out["a/x.mp4"]
    rows, left_out = parts([Annotation("z.mp4", "fight", 1, 3), good])
    assert left_out == {"z.mp4": "there is no such video"}
    unknown_rate = FileLength(20.0, 0.0)
    event = Annotation("x.mp4", "fight", 1, 3, in_frames=True)
    assert "tells no rate" in parts([event], length=unknown_rate)[1]["a/x.mp4"]


def run(folder: Path, text: str, *, force=False, dry_run=False, **settings):
    path = folder.with_name("annotations.txt")
    path.write_text(text)
    config = AnnotationConfig.from_flags(settings)
    stage = ImportStage(str(folder), [str(path)], config, force=force)
    return stage.prepare() if dry_run else stage.run()


def test_a_folder_of_long_videos_becomes_a_dataset(tmp_path):
    folder = tmp_path / "videos"
    for name in ("Fighting1.mp4", "Normal2.mp4"):
        draw_video(folder / name, frames=60, fps=10)
    text = "Fighting1.mp4 Fighting 21 40 -1 -1\nNormal2.mp4 Normal -1 -1 -1 -1\nno.mp4 A 1 2 -1 -1"
    assert run(folder, text, dry_run=True).dry_run and not (folder / "videos.csv").exists()
    result = run(folder, text, split="test")
    assert (result.videos, result.events, result.parts) == (2, 1, 4)
    assert [problem.path for problem in result.left_out] == ["no.mp4"]
    videos = video_folder.read_folder(folder).videos
    assert [(video.key, video.label, video.split) for video in videos] == [
        ("Fighting1.mp4@0-2", "Normal", "test"),
        ("Fighting1.mp4@2-4", "Fighting", "test"),
        ("Fighting1.mp4@4-6", "Normal", "test"),
        ("Normal2.mp4", "Normal", "test"),
    ]
    assert {video.group for video in videos} == {"Fighting1.mp4", "Normal2.mp4"}
    with pytest.raises(ConfigError, match="--force"):
        run(folder, text)
    again = run(folder, "Fighting1.mp4 Fighting 11 40 -1 -1", force=True)
    assert again.kept == 1
    keys = [video.key for video in video_folder.read_folder(folder).videos]
    assert keys == ["Fighting1.mp4@0-1", "Fighting1.mp4@1-4", "Fighting1.mp4@4-6", "Normal2.mp4"]


def test_classes_of_the_folder_are_the_known_ones(tmp_path):
    folder = tmp_path / "videos"
    for label in ("fight", "noFight"):
        draw_video(folder / label / f"{label}1.mp4", frames=60, fps=10)
    with pytest.raises(DatasetError, match="class Robbery is not known"):
        run(folder, "fight1.mp4 Robbery 11 40 -1 -1")
    result = run(folder, "fight1.mp4 Robbery 11 40 -1 -1", new_class=True)
    assert result.per_class == {"Robbery": 1, "noFight": 2} and result.kept == 1


def test_numbered_pictures_are_annotated_as_the_video_that_they_were_cut_from(tmp_path):
    folder = tmp_path / "frames"
    pictures = cut_to_pictures(draw_video(tmp_path / "v.mp4", frames=60, fps=10), folder / "Fight1")
    for picture in sorted(pictures.iterdir()):
        number = int(picture.stem)
        if number % 5:
            picture.unlink()  # every fifth frame is kept, at a fifth of the rate
    text = "Fight1.mp4 Fighting 20 40 -1 -1"
    with pytest.raises(DatasetError, match="there is no such video"):
        run(folder, text)
    result = run(folder, text, frames_fps=2.0, dry_run=True)
    assert (result.videos, result.events, result.left_out) == (1, 1, ())
    lines = import_lines(run(folder, text, frames_fps=2.0))
    assert lines[-1].endswith(f"extract-features {folder} --frames-fps 2")
    videos = video_folder.read_folder(folder, frames_fps=2.0).videos
    assert [(video.key, video.label) for video in videos] == [
        ("Fight1@2fps@0-1.9", "normal"),
        ("Fight1@2fps@1.9-4", "Fighting"),
        ("Fight1@2fps@4-6", "normal"),
    ]
