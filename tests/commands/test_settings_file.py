"""The file of --config: JSON or YAML, and what is wrong in it."""

import pytest

from violence_detection.commands._settings_file import read_settings
from violence_detection.errors import ConfigError
from violence_detection.training.config import TrainConfig


def written(folder, name: str, text: str | bytes):
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


@pytest.mark.parametrize("name", ["x.json", "settings", "x.yaml"])
def test_dashes_are_underscores_and_a_byte_order_mark_is_passed_over(tmp_path, name):
    file = written(tmp_path, name, b'\xef\xbb\xbf{"batch-size": 8, "head": "linear"}')
    assert read_settings(file) == {"batch_size": 8, "head": "linear"}


def test_yaml_has_the_values_that_people_mean(tmp_path):
    text = """
    # of another tool
    learning-rate: 1e-4
    epochs: 80
    xla: on
    monitor: none
    normal_class: ~
    start_time: 2024-05-31T22:15:00
    run: 010
    """
    assert read_settings(written(tmp_path, "x.yml", text)) == {
        "learning_rate": 1e-4,
        "epochs": 80,
        "xla": True,
        "monitor": "none",
        "normal_class": None,
        "start_time": "2024-05-31T22:15:00",
        "run": "010",
    }
    assert read_settings(written(tmp_path, "empty.yaml", "# nothing")) == {}


def test_a_former_name_in_a_file_is_an_error_that_names_the_new_one(tmp_path):
    values = read_settings(written(tmp_path, "x.yaml", "clip-norm: 0.5"))
    with pytest.raises(ConfigError, match="`clip_norm`. It is called `global_clipnorm`"):
        TrainConfig.from_flags({}, values)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.json", "[1]", "must hold a JSON object. Received: a list"),
        ("x.json", "{", "must name a readable JSON file.*a YAML file ends in .yaml"),
        ("x.json", '{"batch-size": 8, "batch_size": 16}', "`batch_size` is given twice"),
        ("x.yaml", "batch-size: 8\nbatch_size: 16", "`batch_size` is given twice"),
        ("x.yaml", "a: [1", "must name a readable YAML file. Received: .*x.yaml"),
        ("x.yaml", "a: !!python/name:os.system", "must name a readable YAML file"),
        ("x.yaml", "- 1", "must hold lines `name: value`, each with one value"),
        ("x.yaml", "train: {epochs: 3}", "Received: lists, or names within names"),
        ("x.yaml", "a: &a [1]\nb: [*a, *a]", "each with one value"),
        ("x.yaml", "a: 1\n---\nb: 2", "must name a readable YAML file"),
    ],
)
def test_a_file_that_holds_no_settings_is_wrong_usage(tmp_path, name, text, message):
    with pytest.raises(ConfigError, match=message):
        read_settings(written(tmp_path, name, text))


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path):
    with pytest.raises(ConfigError, match="Received: .*none.json"):
        read_settings(tmp_path / "none.json")
