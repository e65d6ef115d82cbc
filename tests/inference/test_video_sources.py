"""A word of the command line stands for videos, and no password is ever shown."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.errors import ConfigError
from violence_detection.inference import video_sources
from violence_detection.inference.video_sources import (
    Source,
    list_sources,
    mask_passwords,
    output_stems,
    parse_source,
)

NOTHING = io.StringIO()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in (
        "a.mp4",
        "b/c.MKV",
        "b/d.avi",
        "b/notes.txt",
        ".hidden.mp4",
        "[1].mp4",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*words, stdin=NOTHING):
    return [one.name for one in list_sources(words, stdin)]


def test_words_stand_for_files_folders_and_patterns_in_their_order(folder):
    assert names("b", "a.mp4") == ["b/c.MKV", "b/d.avi", "a.mp4"]
    assert names("*.mp4") == ["[1].mp4", "a.mp4"]
    assert names("**/*.avi") == ["b/d.avi"]
    assert names("**") == ["[1].mp4", "a.mp4", "b/c.MKV", "b/d.avi"]
    assert names("b/*") == ["b/c.MKV", "b/d.avi"]


def test_a_folder_a_pattern_and_a_name_agree_on_what_a_video_is(folder):
    (folder / "b" / "ch0.dav").write_bytes(b"x")
    assert "b/ch0.dav" in names("b")
    assert "b/ch0.dav" in names("b/*")
    assert names("b/*.dav") == names("b/ch0.dav") == ["b/ch0.dav"]


def test_a_pattern_that_names_an_ending_names_its_files(folder):
    assert names("b/*.txt") == ["b/notes.txt"]


def test_a_pattern_of_files_that_are_passed_over_is_named_if_there_is_no_other_video(folder):
    assert names("b/n*", "a.mp4") == ["a.mp4"]
    with pytest.raises(ConfigError, match=r"b/n\* \(it matches 1 file that is not a video: 1 .txt"):
        names("b/n*")


def test_folders_of_systems_are_no_matches_unless_they_are_named(folder):
    (folder / "b" / "@eaDir").mkdir()
    (folder / "b" / "@eaDir" / "x.mp4").write_bytes(b"x")
    assert "b/@eaDir/x.mp4" not in names("**/*.mp4")
    assert names("b/@eaDir/*.mp4") == ["b/@eaDir/x.mp4"]


def test_a_file_whose_name_reads_like_a_pattern_is_that_file(folder):
    assert names("[1].mp4") == ["[1].mp4"]


def test_what_is_not_there_stays_to_be_told_of(folder):
    assert names("gone.mp4", "x*.mp4") == ["gone.mp4", "x*.mp4"]


def test_a_dash_is_a_list_on_stdin(folder):
    stdin = io.StringIO("a.mp4\n\nb\r\n-\nrtsp://u:secret@camera/1\n")
    found = names("-", stdin=stdin)
    assert found == ["a.mp4", "b/c.MKV", "b/d.avi", "rtsp://u:***@camera/1"]


def listed(content: bytes) -> list[str]:
    return names("-", stdin=io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_list_is_decoded_by_its_byte_order_mark(folder, encoding):
    assert listed("b/café.mp4\r\na.mp4\r\n".encode(encoding)) == ["b/café.mp4", "a.mp4"]


def test_a_list_in_another_encoding_is_read_by_the_byte_or_refused(folder):
    assert listed(b"caf\xe9.mp4\n") == [os.fsdecode(b"caf\xe9.mp4")]
    with pytest.raises(ConfigError, match="in UTF-16 with a byte-order mark"):
        listed("a.mp4\n".encode("utf-16-le"))
    with pytest.raises(ConfigError, match="must be in UTF-16, as its byte-order mark says"):
        listed(b"\xff\xfea")


def test_a_file_that_is_named_twice_is_one_source(folder, caplog):
    caplog.set_level("INFO", "violence_detection")
    (folder / "link.mp4").symlink_to("a.mp4")
    assert names("a.mp4", "./a.mp4", "b/c.MKV", "b", "link.mp4") == ["a.mp4", "b/c.MKV", "b/d.avi"]
    assert "./a.mp4 is named twice and predicted once, as a.mp4." in caplog.messages


@pytest.mark.parametrize(
    ("word", "target", "live"),
    [
        ("0", 0, True),
        ("/dev/video12", 12, True),
        ("rtsp://camera/1", "rtsp://camera/1", True),
        ("https://example.org/a.mp4", "https://example.org/a.mp4", True),
        ("file:///a.mp4", "file:///a.mp4", False),
        ("a:b.mp4", "a:b.mp4", False),
        ("0.mp4", "0.mp4", False),
    ],
)
def test_streams_and_cameras_are_told_from_files(word, target, live):
    found = parse_source(word)
    assert (found.target, found.is_live) == (target, live)


def test_a_file_that_is_called_0_is_a_file(folder):
    (folder / "0").write_bytes(b"x")
    assert not parse_source("0").is_live


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("rtsp://me:pa:ss@cam/1", "rtsp://me:***@cam/1"),
        ("rtsp://me:p@ss@cam/1", "rtsp://me:***@cam/1"),
        (
            "http://c/v.mp4?user=a&password=b&x=1",
            "http://c/v.mp4?user=a&password=***&x=1",
        ),
        ("http://c/v?token=abc", "http://c/v?token=***"),
        ("http://c/v?api_key=abc#t", "http://c/v?api_key=***#t"),
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("a:b@c.mp4", "a:b@c.mp4"),
    ],
)
def test_passwords_are_masked(word, shown):
    assert mask_passwords(word) == shown
    assert repr(parse_source(word)) == f"Source({shown!r})"


@given(st.text("abc123!$%", min_size=4), st.sampled_from(["rtsp", "http", "rtmp"]))
def test_no_password_is_shown_anywhere(password, scheme):
    word = f"{scheme}://someone:{password}@host/stream"
    source = parse_source(word)
    rest = f"{scheme}://someone:***@host/stream"
    assert source.name == rest
    assert password not in repr(source).replace(rest, "")
    assert password not in output_stems([source])[0].replace("host_stream", "")


def test_files_that_are_written_have_names_of_their_own(folder):
    given_ = [
        *map(
            parse_source,
            ("x/a.mp4", "y/a.avi", "z/A.mp4", "0", "rtsp://u:p@cam.local:554/live/1"),
        )
    ]
    assert output_stems(given_) == ["a", "a-2", "A-3", "camera_0", "cam.local_1"]


def test_a_stream_must_have_an_end():
    endless = [parse_source("a.mp4"), parse_source("rtsp://u:secret@cam/1")]
    with pytest.raises(ConfigError, match=r"does not end. Received: rtsp://u:\*\*\*@cam/1$"):
        video_sources.check_time_limits(endless, None)
    video_sources.check_time_limits(endless, 10.0)
    video_sources.check_time_limits(
        [parse_source("a.mp4"), parse_source("http://host/a.mp4")], None
    )


def test_a_path_that_is_not_utf8_cannot_be_written():
    name = os.fsdecode(b"caf\xe9.mp4")
    with pytest.raises(ConfigError, match="must be UTF-8"):
        video_sources.check_writable_names([Source(name, name)])


def test_numbered_pictures_are_sources_at_their_rate(tmp_path, monkeypatch):
    for path in ("v1/{:03d}.jpg", "flat/a_{}.png", "flat/b_{}.png"):
        for number in range(6):
            picture = tmp_path / path.format(number)
            picture.parent.mkdir(exist_ok=True)
            picture.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    at_12_5 = list_sources(["v1/", "flat"], NOTHING, 12.5)
    assert [source.name for source in at_12_5] == ["v1@12.5fps", "flat/a@12.5fps", "flat/b@12.5fps"]
    assert output_stems(at_12_5) == ["v1", "a", "b"]
    assert names("v1@12.5fps") == ["v1@12.5fps"]
    for folder in ("v1", "flat", "."):
        with pytest.raises(ConfigError, match="--frames-fps must give the rate"):
            names(folder)
