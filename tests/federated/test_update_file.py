"""Updates as hostile files: nothing is unpickled, unpacked or allocated before it is checked."""

import io
import zipfile

import numpy as np
import pytest

from violence_detection.federated import update_file
from violence_detection.federated.update_file import BadUpdateError

FORM = {"w": ("<f4", (2, 3))}
VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def update(**arrays) -> bytes:
    return update_file.encode({"round": 3}, arrays or {"w": VALUES})


def test_what_is_written_is_read():
    content = update()
    assert update_file.decode_facts(content)["round"] == 3
    assert np.array_equal(update_file.decode_arrays(content, FORM)["w"], VALUES)


def with_members(members: dict[str, bytes], compression=zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def npy(array: np.ndarray, **options) -> bytes:
    content = io.BytesIO()
    np.save(content, array, **options)
    return content.getvalue()


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return content.getvalue()


FACTS = {"facts.npy": npy(np.frombuffer(b'{"format_version": 1}', np.uint8))}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "torn"),
        (b"PK\x03\x04 not a zip", "torn"),
        (update()[:-40], "torn"),
        (update(w=VALUES.astype(np.float64)), "too large|float64"),
        (update(w=VALUES.T.copy()), "not"),
        (update(v=VALUES), "other arrays"),
        (update(w=VALUES, more=VALUES), "other arrays"),
        (update(w=VALUES * np.nan), "NaN"),
        (update(w=VALUES + np.inf), "NaN or infinity"),
        (with_members(FACTS | {"w.npy": npy(VALUES)}, zipfile.ZIP_DEFLATED), "compressed"),
        (with_members(FACTS | {"w.npy": header((2, 3))}), "torn"),
        (with_members(FACTS | {"w.npy": header((1 << 40, 3))}), "not float32"),
        (with_members(FACTS | {"w.npy": npy(np.array([{}]), allow_pickle=True)}), "w"),
        (with_members(FACTS | {"w.npy": npy(np.zeros((2000, 2000), np.float32))}), "too large"),
        (with_members(FACTS | {"w.npy": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 200}), "damaged"),
        (with_members({"w.npy": npy(VALUES)}), "no facts"),
        (with_members({"facts.npy": npy(np.frombuffer(b"[1", np.uint8))}), "no JSON"),
        (with_members({"facts.npy": npy(np.frombuffer(b"[1]", np.uint8))}), "no JSON"),
        (with_members({"facts.npy": npy(np.frombuffer(b"[" * 90_000, np.uint8))}), "no JSON"),
    ],
)
def test_anything_else_is_refused_with_a_reason(content, reason):
    with pytest.raises(BadUpdateError, match=reason):
        update_file.decode_facts(content)
        update_file.decode_arrays(content, FORM)


def test_a_flipped_bit_is_noticed():
    content = bytearray(update())
    place = content.index(VALUES.tobytes())
    content[place + 9] ^= 1
    with pytest.raises(BadUpdateError, match="damaged"):
        update_file.decode_arrays(bytes(content), FORM)


def test_a_file_of_another_version_is_refused(tmp_path):
    content = with_members({"facts.npy": npy(np.frombuffer(b'{"format_version": 2}', np.uint8))})
    with pytest.raises(BadUpdateError, match="another version"):
        update_file.decode_facts(content)
    with pytest.raises(BadUpdateError, match="cannot be read"):
        update_file.read(tmp_path / "absent.npz")
