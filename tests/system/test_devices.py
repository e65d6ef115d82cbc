"""Devices, precision and XLA: the best that the machine supports, and a warning otherwise."""

import json
import logging
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.tensorflow_start import start_tensorflow

from violence_detection.errors import ConfigError
from violence_detection.system import devices
from violence_detection.system.cluster_spec import ClusterSpec
from violence_detection.system.coordination import ClusterCoordinator
from violence_detection.system.devices import DeviceSetup, _try_xla, dtype_policy, precision

ASKED = {"seed": 1, "mixed_precision": False, "xla": False, "virtual_devices": None}


@pytest.fixture(autouse=True, scope="module")
def tensorflow():
    """TensorFlow with two virtual CPUs, as in the tests of the packages that need it."""
    start_tensorflow()


def start(**settings) -> DeviceSetup:
    return devices.start(**{**ASKED, "deterministic": False, **settings})


# -- golden


@pytest.mark.parametrize(
    ("mixed", "gpus", "bfloat16", "policy"),
    [
        (False, 1, True, "float32"),
        (True, 1, False, "mixed_float16"),
        (True, 0, True, "mixed_bfloat16"),
        (True, 0, False, "float32"),
    ],
)
def test_precision_is_the_best_that_the_machine_has(mixed, gpus, bfloat16, policy, monkeypatch):
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: bfloat16)
    assert precision(mixed, gpus=gpus) == policy


def test_the_precision_and_determinism_asked_for_are_set(monkeypatch):
    """The policy that layers are made with, and the determinism of operations."""
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: True)
    asked = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: asked.append(True))
    before = keras.config.dtype_policy().name
    try:
        machine = start(mixed_precision=True)
        assert machine.dtype_policy == keras.config.dtype_policy().name
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
        assert start().dtype_policy == keras.config.dtype_policy().name == "float32"
    finally:
        keras.config.set_dtype_policy(before)
    assert not asked
    start(deterministic=True)
    assert asked == [True]


def test_every_device_is_a_replica():
    machine = start(virtual_devices=2)
    assert (machine.replicas, machine.gpus) == (2, 0)
    assert start().replicas == max(1, start().gpus)


@pytest.mark.parametrize(
    ("deterministic", "replicas", "gpus", "got"),
    [
        (False, 1, 0, True),
        (True, 1, 0, False),
        (False, 2, 0, False),
        (False, 2, 2, True),
    ],
)
def test_xla_is_off_where_it_would_not_work(deterministic, replicas, gpus, got):
    assert _try_xla(True, deterministic, replicas, gpus) is got
    assert _try_xla(False, deterministic, replicas, gpus) is False


# -- relation


def test_the_same_seed_draws_the_same_weights():
    def kernel_of(seed):
        start(seed=seed)
        layer = keras.layers.Dense(4)
        layer.build((None, 3))
        return layer.kernel.numpy()

    np.testing.assert_array_equal(kernel_of(5), kernel_of(5))
    assert not np.array_equal(kernel_of(5), kernel_of(6))


def test_a_dtype_policy_ends_with_its_block():
    before = keras.config.dtype_policy().name
    with pytest.raises(KeyError), dtype_policy("mixed_bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
        raise KeyError
    assert keras.config.dtype_policy().name == before


def test_what_is_not_supported_is_logged_once(monkeypatch, caplog):
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: False)
    with caplog.at_level(logging.WARNING):
        precision(True, gpus=0)
        _try_xla(True, False, 2, 0)
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "Mixed precision is off",
        "XLA is off",
    ]


# -- error


def test_devices_cannot_be_split_again():
    start(virtual_devices=2)
    with pytest.raises(ConfigError, match="`virtual_devices` must be set before .* Received: 3"):
        start(virtual_devices=3)


def test_several_machines_need_a_process_that_has_not_used_tensorflow():
    start()
    with pytest.raises(ConfigError, match="that has not used TensorFlow yet"):
        start(coordinator=ClusterCoordinator(ClusterSpec(("127.0.0.1:1", "127.0.0.1:2"), 1)))


@pytest.mark.slow
def test_a_block_that_does_not_end_ends_the_process():
    code = """
import time
from violence_detection.system import devices
with devices._ending_after(1):
    pass
time.sleep(1.2)
print("still here", flush=True)
with devices._ending_after(1):
    time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "still here\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "import keras; keras.layers.Dense(1)"])
def test_the_keras_json_of_the_user_changes_nothing(tmp_path, before):
    (tmp_path / ".keras").mkdir()
    settings = {"floatx": "float16", "epsilon": 1e-3, "image_data_format": "channels_first"}
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(settings))
    code = f"""
{before}
from violence_detection.system import devices
devices.import_tensorflow()
import keras
print(keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format())
print(keras.layers.Dense(1).dtype_policy.name)
"""
    environment = os.environ | {"HOME": str(tmp_path)}
    environment.pop("KERAS_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stdout.split() == ["float32", "1e-07", "channels_last", "float32"], done.stderr


@pytest.mark.slow
def test_importing_tensorflow_prints_nothing():
    code = "from violence_detection.system import devices; devices.import_tensorflow()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_importing_tensorflow_does_not_import_what_is_not_used():
    code = """
import sys
from violence_detection.system import devices
devices.import_tensorflow()
assert not {"sklearn", "matplotlib"} & set(sys.modules)
import matplotlib.figure, sklearn.linear_model
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
