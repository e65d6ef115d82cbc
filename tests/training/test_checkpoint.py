"""The state that a killed training resumes from: exact, hashed, and kept twice."""

import numpy as np
import pytest

from violence_detection.errors import TrainingError, ViolenceDetectionError
from violence_detection.training.saving.checkpoint import Checkpoint
from violence_detection.training.saving.training_state import (
    EpochResult,
    SelectionState,
    StepState,
    TrainingState,
    ValidationScores,
)

VARIABLES = [np.float32([[1.5, np.pi]]), np.int64(7), np.uint32([1, 2]), np.float16([])]


def state_after(epoch: int) -> TrainingState:
    scores = ValidationScores(0.5, 0.75, None, {"normal": 1.0, "violent": 0.5})
    history = [EpochResult(1 + number, 0.1, 1e-3, 2.0, 100.0, scores) for number in range(epoch)]
    return TrainingState(
        history, StepState(8 * epoch, 1.0, 0), SelectionState([0.1, 0.9], 1, epoch)
    )


def saved(folder, *epochs):
    for epoch in epochs:
        Checkpoint(folder).save(VARIABLES, state_after(epoch))


def newest(folder):
    return folder / "training_state.bin"


def flip(path, place=-1):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


# -- relation


def test_variables_come_back_to_the_bit_and_in_order(tmp_path):
    many = [np.float32([number]) for number in range(300)]
    Checkpoint(tmp_path).save([*VARIABLES, *many], state_after(2))
    values, state = Checkpoint(tmp_path).load()
    assert state == state_after(2)
    for value, before in zip(values, [*VARIABLES, *many], strict=True):
        assert (value.dtype, value.shape) == (before.dtype, before.shape)
        np.testing.assert_array_equal(value, before)


def test_the_newest_state_wins(tmp_path):
    saved(tmp_path, 1, 2, 3)
    assert Checkpoint(tmp_path).load()[1] == state_after(3)


@pytest.mark.parametrize("place", [0, 40, 200, -1])
def test_one_altered_bit_leads_back_to_the_state_before(tmp_path, place):
    saved(tmp_path, 1, 2)
    flip(newest(tmp_path), place)
    assert Checkpoint(tmp_path).load()[1] == state_after(1)


@pytest.mark.parametrize("length", [0, 10, 32, 100])
def test_a_truncated_file_leads_back_to_the_state_before(tmp_path, length):
    saved(tmp_path, 1, 2)
    newest(tmp_path).write_bytes(newest(tmp_path).read_bytes()[:length])
    assert Checkpoint(tmp_path).load()[1] == state_after(1)


def test_a_kill_between_the_two_renames_leaves_the_state_before(tmp_path):
    saved(tmp_path, 1)
    newest(tmp_path).rename(tmp_path / "training_state.previous.bin")
    assert Checkpoint(tmp_path).load()[1] == state_after(1)


def test_with_both_damaged_nothing_is_made_up(tmp_path):
    saved(tmp_path, 1, 2)
    for path in tmp_path.iterdir():
        flip(path)
    with pytest.raises(TrainingError, match="state of a training must be undamaged"):
        Checkpoint(tmp_path).load()


def test_nothing_saved_is_no_state(tmp_path):
    assert Checkpoint(tmp_path / "nowhere").load() is None


def test_only_two_files_stay(tmp_path):
    saved(tmp_path, 1, 2, 3, 4)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["training_state.bin", "training_state.previous.bin"]


# -- error


def test_a_file_in_the_way_is_one_clear_line(tmp_path):
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(
        ViolenceDetectionError, match="Cannot write .*a file where a folder must be"
    ):
        saved(tmp_path / "state", 1)
