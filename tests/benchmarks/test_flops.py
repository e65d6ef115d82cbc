"""What benchmarks count by themselves is what others counted."""

import importlib.util

import keras
import pytest
from support.folders import ROOT

PATH = ROOT / "benchmarks" / "flops.py"


@pytest.fixture(scope="module")
def flops():
    spec = importlib.util.spec_from_file_location("flops", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "multiply_adds"),
    [
        ("VGG19", 19.5e9),  # 19.6 with the top, of which that has 0.12
        ("MobileNet", 0.568e9),  # Howard et al., 2017: 569 million with the top
        ("MobileNetV2", 0.299e9),  # Sandler et al., 2018: 300 million with the top
    ],
)
def test_flops_are_those_that_the_papers_name(flops, name, multiply_adds):
    network = getattr(keras.applications, name)(
        weights=None, include_top=False, input_shape=(224, 224, 3)
    )
    assert flops.count_flops(network) == pytest.approx(2 * multiply_adds, rel=0.005)


@pytest.mark.slow
def test_flops_of_each_kind_of_layer_are_the_closed_form(flops):
    inputs = keras.Input((8, 8, 6))
    layers = keras.layers
    inner = keras.Sequential(
        [
            layers.Conv2D(4, 3, padding="same", groups=2),  # 8 8 places, 3 3 3 4
            layers.SeparableConv2D(5, 3, strides=2, padding="same"),  # 4 4, 3 3 4 + 4 5
        ]
    )
    outputs = layers.DepthwiseConv2D(2, depth_multiplier=3)(inner(inputs))  # 3 3, 2 2 15
    outputs = layers.Dense(7)(layers.Flatten()(outputs))  # 135 7
    expected = 64 * 108 + 16 * (36 + 20) + 9 * 60 + 945
    assert flops.count_flops(keras.Model(inputs, outputs)) == 2 * expected
