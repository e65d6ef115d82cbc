"""Specs are parsed and printed, and their parts found in the registry folders."""

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.registry import Spec

WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda word: not keyword.iskeyword(word)
)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = WORDS | st.text(max_size=8) | st.sampled_from(["none", "True", "if", "None", "ſ"])
VALUES = st.none() | st.booleans() | NUMBERS | TEXTS
SPECS = st.builds(Spec, WORDS, st.dictionaries(WORDS, VALUES, max_size=3))


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("rgb", [Spec("rgb", {})]),
        (" rgb ", [Spec("rgb", {})]),
        ("rgb()", [Spec("rgb", {})]),
        (
            "focal(gamma=2.0, alpha=auto)",
            [Spec("focal", {"gamma": 2.0, "alpha": "auto"})],
        ),
        ("a(x=-1, y='two words')", [Spec("a", {"x": -1, "y": "two words"})]),
        ("a(x=True, y=false, z=None)", [Spec("a", {"x": True, "y": False, "z": None})]),
        ("a+b(x=1)+c", [Spec("a", {}), Spec("b", {"x": 1}), Spec("c", {})]),
    ],
)
def test_specs_read_as_they_look(text, specs):
    assert registry.parse(text) == specs


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "a b",
        "a(",
        "a(1)",
        "a-b",
        "a(x=f())",
        "a.b",
        "a(**x)",
        "a(x=1, x=2)",
        "a+",
        "\0",
    ],
)
def test_an_invalid_spec_is_wrong_usage(text):
    with pytest.raises(ConfigError) as raised:
        registry.parse(text)
    assert str(raised.value) == (
        f"A spec must read name(key=value, ...), several joined by +. Received: {text}"
    )


@given(st.lists(SPECS, min_size=1, max_size=3))
def test_a_printed_spec_reads_back_equal(specs):
    assert registry.parse("+".join(map(str, specs))) == specs


def test_the_canonical_text_does_not_depend_on_order_or_spaces():
    asked = "focal( gamma=2.0,alpha = auto )"
    assert registry.check("losses", asked) == "focal(alpha=auto, gamma=2.0)"
    assert registry.check("losses", registry.check("losses", asked)) == registry.check(
        "losses", asked
    )


def test_the_folder_is_the_registry():
    for folder, names in {"backbones": "mobilenetv2", "streams": "motion rgb"}.items():
        available = registry.available(folder)
        assert {*names.split()} <= {*available} and available == sorted(available)
        assert not [name for name in available if name.startswith("_")]


def test_a_file_added_to_a_registry_folder_is_a_part(tmp_path, monkeypatch):
    folder = tmp_path / "models" / "losses"
    folder.mkdir(parents=True)
    for name in ("hinge.py", "_shared.py", "__init__.py", "notes.txt"):
        (folder / name).touch()
    monkeypatch.setattr(registry, "_PACKAGE_DIR", tmp_path)
    assert registry.available("losses") == ["hinge"]


def test_an_unknown_part_is_answered_with_the_existing_ones():
    with pytest.raises(ConfigError) as raised:
        registry.load("losses", "focl(gamma=2.0)")
    assert str(raised.value) == (
        "The loss must be one of crossentropy, focal. Received: focl. Did you mean `focal`?"
    )


def test_a_part_may_be_named_with_capitals_as_keras_writes_it():
    assert registry.check("backbones", "MobileNetV2") == "mobilenetv2"
    assert registry.check("streams", "RGB(focus=true)+motion") == "rgb(focus=true)+motion"
    with pytest.raises(ConfigError, match="Did you mean `resnet50`"):
        registry.check("backbones", "ResNet18")


def test_private_files_and_paths_are_not_parts():
    for name in ("_applications", "__init__"):
        with pytest.raises(ConfigError, match=f"The backbone must be .*Received: {name}"):
            registry.module("backbones", name)


def test_an_argument_that_a_part_does_not_take_is_named():
    with pytest.raises(ConfigError) as raised:
        registry.load("streams", "rgb(zoom=2)", frame_size=32)
    assert str(raised.value) == "The stream rgb takes focus. Received: zoom"


def test_one_part_is_loaded_at_a_time():
    with pytest.raises(ConfigError, match=r"^There must be one stream here. Received: rgb\+rgb$"):
        registry.load("streams", "rgb+rgb", frame_size=32)


def test_the_nearest_word_is_offered_only_when_it_is_near():
    assert registry.did_you_mean("epoch", ["epochs", "seed"]) == " Did you mean `epochs`?"
    assert registry.did_you_mean("zzzz", ["epochs", "seed"]) == ""


# -- what an argument must be


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("linear(dropout=2)", "`dropout` of the head linear must be float in [0, 0.99]"),
        ("linear(dropout=1e999)", "must be float in [0, 0.99]. Received: dropout=inf"),
        ("linear(dropout=abc)", "Received: dropout='abc'"),
        ("bilstm_attention(units=0)", "must be int in [1, 4096]. Received: units=0"),
        ("bilstm_attention(units=1.5)", "must be int in [1, 4096]"),
        ("bilstm_attention(units=true)", "must be int in [1, 4096]"),
        ("bilstm_attention(change=1)", "must be true or false. Received: change=1"),
    ],
)
def test_an_argument_of_another_type_or_out_of_range_is_refused(spec, message):
    with pytest.raises(ConfigError) as caught:
        registry.check_arguments("heads", spec)
    assert message in str(caught.value)


def test_an_argument_may_be_of_several_types():
    for alpha in ("auto", "none", "0.3", "1"):
        registry.check_arguments("losses", f"focal(alpha={alpha})")
    with pytest.raises(ConfigError, match="must be float or a word or none"):
        registry.check_arguments("losses", "focal(alpha=[1])")


@pytest.mark.parametrize("spec", ["linear(dropout={[1]})", "+".join(["a"] * 9999)])
def test_a_spec_that_python_cannot_read_is_wrong_usage(spec):
    with pytest.raises(ConfigError, match="must read name"):
        registry.parse(spec)
