"""The engine and its precision depend on what is installed, the GPUs and the backbone."""

import pytest

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.features import engine_choice
from violence_detection.system import devices


def test_auto_takes_the_fastest_that_is_installed(monkeypatch):
    fast = registry.module("engines", "openvino")
    monkeypatch.setattr(fast, "missing", lambda: "")
    assert engine_choice.choose_engine("auto") == "openvino"
    monkeypatch.setattr(devices, "gpu_count", lambda: 1)
    assert engine_choice.choose_engine("auto") == "tensorflow"
    monkeypatch.setattr(devices, "gpu_count", lambda: 0)
    monkeypatch.setattr(fast, "missing", lambda: "the extra `openvino`")
    assert engine_choice.choose_engine("auto") == "tensorflow"
    assert engine_choice.choose_engine("tensorflow") == "tensorflow"
    with pytest.raises(ConfigError, match="Received: openvino, which needs the extra"):
        engine_choice.choose_engine("openvino")


@pytest.mark.parametrize(
    ("engine", "backbone", "gpus", "expected"),
    [
        ("tensorflow", "vgg19", 0, "mixed_bfloat16"),
        ("tensorflow", "mobilenetv2", 0, "float32"),
        ("tensorflow", "mobilenetv2", 1, "mixed_float16"),
        ("openvino", "mobilenetv2", 0, "mixed_bfloat16"),
        ("openvino", "vgg19", 1, "mixed_bfloat16"),
    ],
)
def test_mixed_precision_is_off_where_it_is_slower(monkeypatch, engine, backbone, gpus, expected):
    monkeypatch.setattr(devices, "gpu_count", lambda: gpus)
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: True)
    assert engine_choice.choose_precision(engine, True, backbone=backbone) == expected
    assert engine_choice.choose_precision(engine, False, backbone=backbone) == "float32"
