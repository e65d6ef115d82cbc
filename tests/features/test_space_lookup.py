"""A feature space is found by its folder, by its dataset's folder and by its dataset's name."""

from pathlib import Path

import pytest

from violence_detection.errors import CacheError
from violence_detection.features.space_lookup import advice, find_space, resolved


def make_space(dataset: Path, name: str) -> Path:
    (dataset / name).mkdir(parents=True)
    (dataset / name / "extraction.json").write_text("{}")
    return dataset / name


@pytest.fixture
def space(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_space(Path("feature_cache/mine-0123abcd"), "mobilenetv2-rgb-20f-89abcdef")


@pytest.mark.parametrize("words", ["mine", "mine-0123abcd", "feature_cache/mine", "SPACE"])
def test_the_only_space_of_a_dataset_needs_no_name(space, words):
    given = str(space) if words == "SPACE" else words
    assert find_space(given) == space
    assert find_space(f"./{given}" if "/" in given else given) == space


def test_a_name_may_be_a_path_from_the_root_and_be_that_of_the_videos_too(space, tmp_path):
    """Settings hold paths from the root; the folder of the videos has the dataset's name."""
    assert find_space(tmp_path / "mine") == space
    (tmp_path / "mine" / "fight").mkdir(parents=True)
    assert find_space(tmp_path / "mine") == find_space("mine") == space
    assert find_space("mine", cache_dir="elsewhere") == Path("mine")


def test_several_spaces_are_listed_as_they_are_given(space):
    other = make_space(space.parent, "vgg19-rgb-20f-00000000")
    with pytest.raises(CacheError, match="Received: mine, which has 2: ") as raised:
        find_space(Path.cwd() / "mine")
    assert raised.value.choices == (str(space), str(other))
    assert find_space(other) == other
    # An ensemble takes the dataset with all of its spaces.
    assert resolved("mine") == str(space.parent) and resolved(str(other)) == str(other)


def test_a_cache_of_several_datasets_is_listed(space):
    make_space(Path("feature_cache/my clips-0123abcd"), "vgg19-rgb-20f-00000000")
    with pytest.raises(CacheError) as raised:
        find_space("feature_cache")
    assert raised.value.choices[1] == ("'feature_cache/my clips-0123abcd/vgg19-rgb-20f-00000000'")


def test_the_nearest_name_of_a_dataset_is_advised(space):
    assert advice("mien") == " Did you mean `mine`?"
    assert advice("others") == ""


@pytest.mark.parametrize("words", ["min", "mine-0123", "others", "feature_cache/x"])
def test_what_is_no_dataset_stays_as_it_is(space, words):
    make_space(Path("feature_cache/mine-too-0123abcd"), "vgg19-rgb-20f-00000000")
    assert find_space(words) == Path(words)
