"""Every output builds on what any head encodes, and its score is a number in [0, 1]."""

import keras
import numpy as np
import pytest

from violence_detection import registry
from violence_detection.models import classifier

OUTPUTS = registry.available("outputs")
HEADS = ("bilstm_attention", "linear")  # one with a sequence and statistics, one without
each = pytest.mark.parametrize("name", OUTPUTS)


def test_there_is_an_output_and_it_is_the_one_of_every_run():
    assert classifier.OUTPUT in OUTPUTS


@each
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("count", [2, 3])
def test_an_output_answers_on_every_head_and_can_be_trained(name, head, count, rng):
    clips = rng.normal(size=(8, 5, 6)).astype(np.float16)
    output = registry.load("outputs", name, count=count)
    encoded = registry.load("heads", head, examples=clips, recurrence="loop")
    model = keras.Model(encoded.features, output.build(encoded))
    targets = output.targets(np.arange(8) % count)
    assert targets.shape == model.output_shape[:0] + (8, *model.output_shape[1:])
    assert targets.dtype == np.float32
    scores = output.score(output.predictions(np.array(model(clips.astype(np.float32)))))
    assert scores.shape == (8,)
    assert ((scores >= 0) & (scores <= 1)).all()


@each
def test_a_score_stays_in_range_at_extreme_outputs(name):
    output = registry.load("outputs", name, count=2)
    extreme = np.array([[-1e4], [0.0], [1e4]], np.float32)
    scores = output.score(output.predictions(extreme))
    assert np.isfinite(scores).all() and ((scores >= 0) & (scores <= 1)).all()
    assert list(scores) == sorted(scores)
