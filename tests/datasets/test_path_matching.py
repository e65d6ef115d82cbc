"""A path of a table is the file that only can be meant; else the nearest is offered."""

import unicodedata

import pytest

from violence_detection.datasets.table_files.path_matching import match_paths

KNOWN = ("a/1.mp4", "a/École.mp4", "b/1.mp4", "b/2.mp4")


def matched(tmp_path, *written, known=KNOWN):
    return match_paths(written, tmp_path / "videos", known)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a/1.mp4", "a/1.mp4"),
        ("./a/1.mp4", "a/1.mp4"),
        (" a/1.mp4\u00a0", "a/1.mp4"),
        ("a\\1.mp4", "a/1.mp4"),
        (".\\a\\1.mp4", "a/1.mp4"),
        ("A/1.MP4", "a/1.mp4"),
        ("D:\\cctv\\a\\1.mp4", "a/1.mp4"),
        ("D:/cctv/a/1.mp4", "a/1.mp4"),
        ("\\\\server\\share\\a\\1.mp4", "a/1.mp4"),
        ("/data/cctv/a/1.mp4", "a/1.mp4"),
        ("videos/a/1.mp4", "a/1.mp4"),
        ("2.mp4", "b/2.mp4"),
        ("b/2", "b/2.mp4"),
        ("2", "b/2.mp4"),
        ("=b/2.mp4", "b/2.mp4"),
        (unicodedata.normalize("NFD", "a/École.mp4"), "a/École.mp4"),
    ],
)
def test_a_path_that_is_written_in_another_way_is_found(tmp_path, written, meant):
    result = matched(tmp_path, written)
    assert result.paths == {written: meant}
    assert result.missing == ()


def test_composed_and_decomposed_names_beside_each_other_stay_two(tmp_path):
    names = [unicodedata.normalize(form, "a/École.mp4") for form in ("NFC", "NFD")]
    assert matched(tmp_path, *names, known=names).paths == dict(zip(names, names, strict=True))


def test_a_name_that_several_files_have_is_not_guessed(tmp_path):
    result = matched(tmp_path, "1.mp4")
    assert result.missing == ("1.mp4",)
    assert result.missing_text == ("1 path is not there, e.g. 1.mp4; a/1.mp4 is: did you mean it?")


def test_a_missing_file_is_not_taken_for_one_of_its_name_in_another_folder(tmp_path):
    result = matched(tmp_path, "test/2.mp4")
    assert result.paths == {"test/2.mp4": "test/2.mp4"}
    assert result.suggestion == "b/2.mp4"


def test_files_that_other_paths_mean_are_not_offered(tmp_path):
    result = matched(tmp_path, "b/2.mp4", "b/3.mp4", known=("b/2.mp4",))
    assert result.missing == ("b/3.mp4",)
    assert result.suggestion == ""


def test_paths_of_another_machine_have_one_place_in_common(tmp_path):
    written = ("/x/a/1.mp4", "/x/b/1.mp4", "/x/other/b/2.mp4")
    assert matched(tmp_path, *written).missing == ("/x/other/b/2.mp4",)
