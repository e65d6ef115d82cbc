"""Shards divide a dataset, and wait for extractions of the same videos only."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.features.extraction import shards
from violence_detection.features.extraction.shards import Shard


@pytest.mark.slow
@given(st.lists(st.text(), unique=True), st.integers(1, 9))
def test_each_video_is_in_one_shard(keys, count):
    for key in keys:
        holders = [n for n in range(1, count + 1) if Shard(n, count).contains(key)]
        assert len(holders) == 1


def test_shards_are_about_equal():
    keys = [f"fight/{number}.mp4" for number in range(4000)]
    sizes = [sum(map(Shard(number, 4).contains, keys)) for number in (1, 2, 3, 4)]
    assert sum(sizes) == 4000
    assert max(sizes) < 1.15 * min(sizes)


def test_a_video_stays_in_its_shard_from_version_to_version():
    held = [number for number in range(20) if Shard(2, 3).contains(f"{number}.mp4")]
    assert held == PINNED


PINNED = [1, 5, 6, 7, 9, 11]


def test_a_shard_is_parsed_from_its_number():
    assert Shard.parse("2/8") == Shard(2, 8)
    assert str(Shard(2, 8)) == "2-of-8"


@pytest.mark.parametrize("spec", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", " 1/2"])
def test_other_specs_are_refused(spec):
    with pytest.raises(ConfigError, match="`shard` must be I/N with 1 <= I <= N"):
        Shard.parse(spec)


def entered(context) -> threading.Event:
    """Enters and leaves a context in another thread; the event is set when it has left."""
    event = threading.Event()

    def enter():
        with context:
            pass
        event.set()

    threading.Thread(target=enter, daemon=True).start()
    return event


ONE, TWO = Shard(1, 2), Shard(2, 2)


def test_two_shards_work_at_the_same_time(tmp_path):
    with shards.locked_shard(tmp_path, ONE):
        assert entered(shards.locked_shard(tmp_path, TWO)).wait(10)
        with shards.locked_for_merge(tmp_path) as busy:
            assert busy == {"1-of-2"}
    with shards.locked_for_merge(tmp_path) as busy:
        assert busy == set()


@pytest.mark.parametrize(
    "holder, waiter",
    [
        (lambda folder: shards.locked_shard(folder, ONE), lambda f: shards.locked_shard(f, ONE)),
        (lambda folder: shards.locked_shard(folder, ONE), shards.locked_folder),
        (shards.locked_folder, lambda folder: shards.locked_shard(folder, ONE)),
        (shards.locked_folder, shards.locked_folder),
        (shards.locked_folder, shards.locked_for_merge),
    ],
)
def test_an_extraction_of_the_same_videos_waits(tmp_path, holder, waiter):
    with holder(tmp_path):
        event = entered(waiter(tmp_path))
        time.sleep(0.3)
        assert not event.is_set()
    assert event.wait(10)


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(ViolenceDetectionError, match="there is a file where a folder"),
        shards.locked_folder(tmp_path / "file" / "folder"),
    ):
        pass
