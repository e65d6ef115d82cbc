"""The record of an extraction is read and written without loss."""

import json

import pytest
from support.features import draw_features

from violence_detection.errors import CacheError
from violence_detection.features.cache import FeatureCache
from violence_detection.system import files


@pytest.fixture
def cache(tmp_path):
    return FeatureCache.open(draw_features(tmp_path / "drawn" / "space"))


def test_a_record_keeps_the_keys_of_a_later_version(cache):
    values = json.loads(cache.extraction_path.read_text()) | {"of_tomorrow": [1], "ungrouped": 3}
    files.write_json(cache.extraction_path, values)
    record = cache.record()
    assert (record.ungrouped, record.has_all_recordings, record.weights.seed) == (3, False, 42)
    cache.write_record(record)
    written = json.loads(cache.extraction_path.read_text())
    assert written == written | values and written["feature_space"] == record.space.as_dict()


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("dataset", {"name": "d"}, "must hold the dataset"),
        ("weights", "imagenet", "must hold the dataset"),
        ("feature_space", {}, "A feature space must have every field"),
    ],
)
def test_a_record_that_was_edited_is_refused(cache, key, value, line):
    values = json.loads(cache.extraction_path.read_text()) | {key: value}
    files.write_json(cache.extraction_path, values)
    with pytest.raises(CacheError, match=line):
        cache.record()
