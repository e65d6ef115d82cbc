"""The command line: the whole pipeline, help, options, exit status, stdout and stderr."""

import contextlib
import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.commands import all_commands
from support.features import draw_features
from support.videos import draw_video

from violence_detection import cli
from violence_detection.settings import COMMON, GROUPS
from violence_detection.system import progress
from violence_detection.training.train import TrainingStage

COMMANDS = all_commands()
TINY = "--backbone mobilenetv2 --weights random --frame-size 32 --frames 4".split()
SHORT = "--head linear --epochs 2 --batch-size 8".split()
EXTRACT_KEYS = "features videos extracted reused failed failures frames seconds videos_per_s engine"
CHECK_KEYS = "videos readable unreadable per_class leaks near_duplicates"
TRAIN_KEYS = "run epochs_run best_epoch resumed_from_epoch validation test videos_per_s effective"
EVALUATE_KEYS = (
    "run split videos clean accuracy accuracy_ci accuracy_ci_wilson auc auc_ci precision recall f1 "
    "recall_per_class threshold report"
)


def invoke(*words) -> click.testing.Result:
    """The command line in this process; stdout and stderr apart."""
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def run_json(*words, status=0):
    """The one JSON object on stdout."""
    result = invoke(*words, "--json")
    assert result.exit_code == status, result.stderr
    return json.loads(result.stdout)


def error_line(*words, status) -> str:
    """The one line on stderr of a command that fails; nothing is on stdout."""
    result = invoke(*words, "--json")
    assert (result.exit_code, result.stdout) == (status, ""), result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1 and result.stderr.endswith(lines[0] + "\n"), result.stderr
    return lines[0]


def tree(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def draw_dataset(root: Path) -> Path:
    """A dozen clips of one length, in two classes."""
    for label, offset in (("fight", 0), ("noFight", 100)):
        for number in range(6):
            draw_video(root / label / f"{number}.mp4", seed=offset + number)
    return root


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """The JSON object of each command of the pipeline, from drawn videos to a prediction."""
    root = tmp_path_factory.mktemp("pipeline")
    videos, places = draw_dataset(root / "videos"), ("--cache-dir", root / "cache")
    results = {"root": root, "videos": videos}
    results["checked"] = run_json("check", videos, status=3)
    results["extracted"] = run_json("extract-features", videos, *places, *TINY)
    features = results["extracted"]["features"]
    runs = ("--checkpoint-dir", root / "runs", "--run", "first")
    results["trained"] = run_json("train", "--features", features, *runs, "--epochs", 2)
    run = results["trained"]["run"]
    results["evaluated"] = run_json("evaluate", run, "--bootstrap", 100)
    clips = [videos / "fight" / "0.mp4", *_of_split(Path(features), videos, "test")]
    results["predicted"] = run_json("predict", run, *clips)
    return results


def _of_split(features: Path, videos: Path, split: str) -> list[Path]:
    with open(features / "manifest.csv") as file:
        return [videos / row["path"] for row in csv.DictReader(file) if row["split"] == split]


# -- the whole pipeline


@pytest.mark.slow
def test_every_command_prints_the_keys_of_the_contract(pipeline):
    assert set(CHECK_KEYS.split()) <= set(pipeline["checked"])
    assert (pipeline["checked"]["videos"], pipeline["checked"]["readable"]) == (12, 12)
    assert set(EXTRACT_KEYS.split()) | {"precision"} <= set(pipeline["extracted"])
    assert set(TRAIN_KEYS.split()) <= set(pipeline["trained"])
    assert set(EVALUATE_KEYS.split()) <= set(pipeline["evaluated"])
    extracted = pipeline["extracted"]
    assert (extracted["videos"], extracted["extracted"], extracted["failed"]) == (
        12,
        12,
        0,
    )
    assert sum(counts["videos"] for counts in extracted["splits"].values()) == 12
    assert pipeline["trained"]["epochs_run"] == 2
    counts = pipeline["evaluated"]["leak_counts"]  # drawn clips are near-duplicates
    assert (counts["recordings"], counts["identical"]) == (0, 0)
    for name in ("features", "run"):
        assert Path({**extracted, **pipeline["trained"]}[name]).is_absolute()
    assert Path(pipeline["evaluated"]["report"]).is_file()
    assert {"path", "probability", "label", "windows", "segments", "error"} <= set(
        pipeline["predicted"]["videos"][0]
    )


@pytest.mark.slow
def test_an_evaluation_looks_at_the_videos(pipeline):
    judged = pipeline["evaluated"]
    assert {"recording", "resolution", "brightness"} <= judged["errors_by"].keys()
    assert {"metadata", "mean_picture", "motion_energy"} <= judged["baselines"].keys()
    assert judged["baselines_left_out"] == judged["errors_left_out"] == []
    page = Path(judged["report"]).read_text()
    wrong = 1 - judged["accuracy"] > 0
    assert ("data:image/jpeg;base64," in page) is wrong
    assert (Path(pipeline["trained"]["run"]) / "MODEL_CARD.md").is_file()


@pytest.mark.slow
def test_a_raw_video_is_predicted_as_its_features_were_evaluated(pipeline):
    with open(Path(pipeline["evaluated"]["report"]).with_name("predictions.csv")) as file:
        evaluated = {row["path"]: float(row["probability"]) for row in csv.DictReader(file)}
    predicted = {row["path"]: row["probability"] for row in pipeline["predicted"]["videos"][1:]}
    assert len(evaluated) == pipeline["evaluated"]["videos"] == len(predicted)
    for path, probability in predicted.items():
        key = str(Path(path).relative_to(pipeline["videos"]))
        assert probability == pytest.approx(evaluated[key], abs=2e-6)


@pytest.mark.slow
def test_extraction_again_reuses_everything(pipeline):
    again = run_json(
        "extract-features", pipeline["videos"], "--cache-dir", pipeline["root"] / "cache", *TINY
    )
    assert (again["extracted"], again["reused"]) == (0, 12)
    assert again["features"] == pipeline["extracted"]["features"]


@pytest.mark.slow
def test_the_text_ends_with_the_next_command(pipeline):
    trained = invoke(
        "train", "--resume", "--checkpoint-dir", pipeline["root"] / "runs", "--run", "first"
    )
    assert (
        trained.stdout.splitlines()[-1]
        == f"next        violence-detection evaluate {pipeline['trained']['run']}"
    )
    assert "validation  " in trained.stdout and trained.exit_code == 0


@pytest.mark.slow
def test_some_videos_that_fail_are_listed_and_the_status_is_3(pipeline, tmp_path):
    torn = tmp_path / "torn.mp4"
    torn.write_text("no video")
    whole = pipeline["videos"] / "fight" / "0.mp4"
    rows = run_json("predict", pipeline["trained"]["run"], torn, whole, status=3)["videos"]
    assert [bool(row["error"]) for row in rows] == [True, False]
    assert rows[0]["path"] == str(torn)


@pytest.mark.slow
def test_no_readable_video_at_all_is_a_failure(pipeline, tmp_path):
    torn = tmp_path / "torn.mp4"
    torn.write_text("no video")
    line = error_line("predict", pipeline["trained"]["run"], torn, status=1)
    assert "At least one video must be readable. Received:" in line


@pytest.mark.slow
def test_train_extracts_what_is_missing_and_leaves_with_3_for_what_fails(pipeline, tmp_path):
    (pipeline["root"] / "torn").mkdir()
    torn = draw_dataset(pipeline["root"] / "torn")
    (torn / "fight" / "text.mp4").write_text("no video")
    asked = [
        "--dataset-path",
        torn,
        "--cache-dir",
        pipeline["root"] / "cache",
        *TINY,
        *SHORT,
    ]
    result = run_json("train", *asked, "--checkpoint-dir", tmp_path, status=3)
    assert [failure["path"] for failure in result["failures"]] == ["fight/text.mp4"]


@pytest.mark.slow
def test_the_command_of_the_previous_system_runs_unchanged(pipeline, tmp_path):
    documented = (
        "train --dataset-path {D} --epochs 150 --batch-size 64 --learning-rate 0.0005 "
        "--mixed-precision --cache-dir {C} --checkpoint-dir {K} --early-stopping-patience 15"
    )
    words = documented.format(
        D=pipeline["videos"], C=pipeline["root"] / "cache", K=tmp_path
    ).split()
    result = run_json(*words, *TINY)
    assert 1 <= result["best_epoch"] <= result["epochs_run"] <= 150
    assert result["effective"]["precision"] in (
        "mixed_bfloat16",
        "mixed_float16",
        "float32",
    )


# -- train's flags


def train(features_dir, folder, *flags, **asked):
    places = ("--features", features_dir, "--checkpoint-dir", folder, "--run", "run")
    return run_json("train", *places, *SHORT, *flags, **asked)


def settings_of(folder):
    return json.loads((folder / "run" / "training_config.json").read_text())["settings"]


def planned(features_dir, tmp_path, values, *flags):
    """The settings of a training that is planned only, with a file of settings."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(values))
    places = ("--features", features_dir, "--checkpoint-dir", tmp_path / "runs")
    return run_json("train", *places, "--dry-run", "--config", file, *flags)["settings"]


@pytest.mark.parametrize(
    ("flag", "name", "value"),
    [
        ("--warmup-epochs 1", "warmup_epochs", 1.0),
        ("--label-smoothing 0.2", "label_smoothing", 0.2),
        ("--use-focal-loss", "loss", "focal(alpha=auto, gamma=2.0)"),
        ("--no-use-focal-loss", "loss", "crossentropy"),
        ("--use-class-weights", "use_class_weights", True),
        ("--no-use-class-weights", "use_class_weights", False),
        ("--mixed-precision", "mixed_precision", True),
        ("--no-mixed-precision", "mixed_precision", False),
        ("--no-xla", "xla", False),
        ("--resume", "resume", True),
    ],
)
def test_every_documented_flag_changes_its_setting(features_dir, tmp_path, flag, name, value):
    assert planned(features_dir, tmp_path, {}, *flag.split())[name] == value


@pytest.mark.slow
def test_a_training_records_the_settings_of_its_plan(features_dir, tmp_path):
    flags = "--warmup-epochs 1 --label-smoothing 0.2 --no-use-focal-loss --mixed-precision".split()
    plan = planned(features_dir, tmp_path, {}, *SHORT, *flags, "--run", "run")
    assert train(features_dir, tmp_path / "runs", *flags)["epochs_run"] == 2
    assert plan.items() <= settings_of(tmp_path / "runs").items()


@pytest.mark.slow
def test_the_effective_xla_is_reported(features_dir, tmp_path):
    assert train(features_dir, tmp_path, "--xla")["effective"]["xla"] is True


@pytest.mark.slow
def test_virtual_devices_are_replicas(features_dir, tmp_path):
    result = train(features_dir, tmp_path, "--virtual-devices", "2", "--xla")
    assert result["effective"] == {
        "replicas": 2,
        "workers": 1,
        "precision": "float32",
        "xla": False,
        "engine": "tensorflow",
        "calibrate_by": "validation",
    }


@pytest.mark.slow
def test_warnings_and_the_baseline_are_in_the_text_and_in_the_json(tmp_path):
    noise = draw_features(tmp_path / "space", shift=0.0)

    def flags(name):
        places = ("--features", noise, "--checkpoint-dir", tmp_path / "runs")
        return ("train", *places, "--run", name, *SHORT, "--recall-bar", "1")

    warnings = run_json(*flags("json"))["warnings"]
    lines = invoke(*flags("text")).stdout.splitlines()
    assert warnings and [f"warning     {line}" for line in warnings] == [
        line for line in lines if line.startswith("warning ")
    ]
    (line,) = [line for line in lines if line.startswith("baseline ")]
    assert "a linear classifier, on validation: " in line


def test_a_shorthand_that_contradicts_the_loss_is_wrong_usage(features_dir):
    flags = ("--loss", "crossentropy", "--use-focal-loss")
    line = error_line("train", "--features", features_dir, *flags, status=2)
    assert line == "Error: --use-focal-loss and --loss must agree. Received: --loss crossentropy"


@pytest.mark.slow
def test_an_existing_run_needs_force_or_resume(features_dir, tmp_path):
    train(features_dir, tmp_path)
    places = ("--features", features_dir, "--checkpoint-dir", tmp_path, "--run", "run")
    assert "--resume or --force" in error_line("train", *places, *SHORT, status=2)
    assert train(features_dir, tmp_path, "--resume")["epochs_run"] == 2
    assert "epochs=2. Received: epochs=3" in error_line(
        "train", *places, "--resume", "--epochs", 3, status=2
    )
    assert train(features_dir, tmp_path, "--force")["resumed_from_epoch"] == 0


# -- settings from a file


def test_a_flag_beats_the_file_and_the_file_beats_the_default(features_dir, tmp_path):
    default = planned(features_dir, tmp_path, {})
    in_file = default["epochs"] + 1
    assert planned(features_dir, tmp_path, {"epochs": in_file})["epochs"] == in_file
    settings = planned(features_dir, tmp_path, {"epochs": in_file}, "--epochs", 77)
    assert settings == {**default, "epochs": 77}


def test_a_flag_that_is_off_beats_a_file_that_says_on(features_dir, tmp_path):
    values = {"mixed-precision": True}
    assert planned(features_dir, tmp_path, values)["mixed_precision"] is True
    assert (
        planned(features_dir, tmp_path, values, "--no-mixed-precision")["mixed_precision"] is False
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"epoch": 3}', "Unknown setting `epoch`. Did you mean `epochs`?"),
        ('{"epochs": "3"}', "`epochs` must be of type int. Received: epochs='3'"),
        ('{"epochs": 0}', "`epochs` must be >= 1. Received: epochs=0"),
        ("[1]", "--config must hold a JSON object. Received: a list"),
        ("{", "--config must name a readable JSON file. Received: "),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, text, message):
    (tmp_path / "settings.json").write_text(text)
    line = error_line("train", "--features", "x", "--config", tmp_path / "settings.json", status=2)
    assert message in line


# -- several trainings


TUNE_KEYS = "study trials completed pruned failed best_trial best_value best_settings"


@pytest.mark.slow
def test_tune_leaves_a_config_that_train_takes(features_dir, tmp_path):
    places = ("--features", features_dir, "--checkpoint-dir", tmp_path)
    result = run_json("tune", *places, *SHORT[:-2], "--trials", 1)
    assert set(TUNE_KEYS.split()) <= set(result)
    best = ("--config", result["best_config"], "--run", "best")
    trained = run_json("train", *places, *best)
    assert trained["validation"]["loss"] == pytest.approx(result["best_value"])
    text = invoke("tune", *places, *SHORT[:-2], "--trials", 1, "--resume").stdout
    assert "note        The value is the best of 1 trial on" in text
    assert text.splitlines()[-1].startswith("next        violence-detection train ")


@pytest.mark.slow
def test_the_text_sums_up_the_members(features_dir, tmp_path):
    places = ("--features", features_dir, "--checkpoint-dir", tmp_path, *SHORT)
    text = invoke("train", *places, "--members", 2, "--run", "two").stdout
    assert "kept        seed 4" in text and "lowest validation loss of 2" in text
    assert "test" not in text.split("next")[0].replace(str(tmp_path), "")
    line = error_line("train", *places, "--ensemble", status=2)
    assert "--ensemble must come with members >= 2" in line


# -- dry runs


@pytest.mark.parametrize(
    "words",
    ["train --features {F}", "evaluate {R}", "tune --features {F} --head linear"],
)
def test_a_dry_run_writes_nothing(features_dir, run_dir, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    before = tree(run_dir), tree(features_dir), tree(tmp_path)
    plan = run_json(*words.format(F=features_dir, R=run_dir).split(), "--dry-run")
    assert plan["dry_run"] is True
    assert (tree(run_dir), tree(features_dir), tree(tmp_path)) == before


@pytest.mark.slow
@pytest.mark.parametrize("words", ["extract-features {D}", "train --dataset-path {D}"])
def test_a_dry_run_of_stage_one_writes_nothing(tmp_path, monkeypatch, words):
    videos = draw_dataset(tmp_path / "videos")
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    plan = run_json(*words.format(D=videos).split(), *TINY, "--dry-run")
    assert (plan["dry_run"], plan["to_extract"], tree(tmp_path)) == (True, 12, before)


# -- help


def example_of(help_text: str) -> str:
    """The command at the end of a help, which may take several lines."""
    return help_text.partition("\nExample:\n")[2].replace("\\\n", " ").strip()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help_that_ends_with_an_example(name):
    command, result = COMMANDS[name], invoke(*name.split(), "--help")
    assert result.exit_code == 0 and command.help
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"--{option.name} of {name} is missing its help"
    assert f"{example_of(result.stdout)} ".startswith(f"violence-detection {name} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_command_that_parses(name):
    program, *words = shlex.split(example_of(invoke(*name.split(), "--help").stdout))
    depth = len(name.split())
    assert (program, words[:depth]) == ("violence-detection", name.split())
    COMMANDS[name].make_context(name, words[depth:])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_what_all_commands_take(name):
    taken = {flag for option in COMMANDS[name].params for flag in option.opts}
    assert {
        "--config",
        "--json",
        "--verbose",
        "-v",
        "--quiet",
        "-q",
        "--debug",
        "--seed",
    } <= taken
    # The first ones write no results; the accounts of `users` have nothing to plan or replace.
    if name not in ("check", "doctor", "cache list", "cache verify") and not name.startswith(
        ("users ", "watch ")
    ):
        assert {"--dry-run", "--force"} <= taken


def headings(text: str) -> list[str]:
    """The headings between the usage and the example."""
    lines = re.findall(r"^([A-Z][A-Za-z ]+):$", text, re.M)
    return [line for line in lines if line != "Example"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_groups_of_the_help_come_in_one_order_the_common_options_last(name):
    shown = headings(invoke(*name.split(), "--help").stdout)
    assert shown == [title for title in GROUPS if title in shown]
    assert shown[-1] == COMMON and (len(shown) >= 2 or name.startswith(("users ", "watch ")))


def test_rare_options_are_under_advanced():
    rare = {
        "train": "virtual_devices profile video_timeout_s",
        "extract-features": "executor address machines shard",
        "export": "prune cluster",
    }
    for command, names in rare.items():
        groups = {
            option.name: getattr(option, "group", None) for option in COMMANDS[command].params
        }
        assert {groups[name].title for name in names.split()} == {"Advanced"}


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("name", ["train", "cache import"])
def test_the_help_fits_the_terminal(name, columns):
    command = [sys.executable, "-m", "violence_detection", *name.split(), "--help"]
    environment = os.environ | {"COLUMNS": str(columns)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) < columns
    assert [line for line in lines if re.search(r"[\w-]-$", line)] == []  # no word is broken
    beside = re.search(r"^  --seed INTEGER  +Seed of all", result.stdout, re.M)
    assert bool(beside) is (columns > 60)  # on a narrow terminal, the text stands below


def test_help_names_the_parts_and_the_defaults():
    text = " ".join(invoke("train", "--help").stdout.split())
    assert (
        "One of bilstm_attention, gru_attention, linear, mean_pool, mlp, tcn, transformer" in text
    )
    assert "[default: 42]" in text


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("--version",)])
def test_the_commands_are_listed_in_pipeline_order(words):
    result = invoke(*words)
    assert result.exit_code == (0 if words else 2)
    if words != ("--version",):
        places = [result.output.index(f"\n  {name}") for name in cli.main.commands]
        assert places == sorted(places)


@pytest.mark.parametrize("words", ["", "cache "])
def test_the_line_of_a_command_is_not_cut(words):
    text = invoke(*f"{words}--help".split()).output
    assert "..." not in text.partition("COMMAND [ARGS]...")[2]


def test_an_option_that_takes_a_path_says_so_and_completes_it():
    options = {option.name: option for option in cli.train.params}
    for name, metavar, kind in (
        ("dataset_path", "DIRECTORY", "dir"),
        ("checkpoint_dir", "DIRECTORY", "dir"),
        ("config", "FILE", "file"),
    ):
        context = click.Context(cli.train)
        completed = options[name].type.shell_complete(context, options[name], "my_")
        assert (options[name].metavar, [item.type for item in completed]) == (metavar, [kind])


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["check", "--help"]])
def test_help_is_quick_and_imports_neither_tensorflow_nor_numpy(words):
    code = (
        "import sys, time; from violence_detection.cli import main\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'cv2', 'pandas'}\n"
        f"try: main({words})\n"
        "except SystemExit: print(sorted(heavy & set(sys.modules)), time.process_time())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    imported, _, cpu_s = done.stdout.splitlines()[-1].rpartition(" ")
    assert imported == "[]", done.stderr
    assert float(cpu_s) < 1.0  # of the processor, since others may use the machine, too


@pytest.mark.slow
@pytest.mark.parametrize("module", ["violence_detection", "violence_detection.cli"])
def test_the_package_runs_as_a_module(module):
    command = [sys.executable, "-m", module, "train", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith("Usage: violence-detection train [OPTIONS]"), done.stderr


def test_ctrl_c_during_the_imports_prints_no_traceback():
    code = (
        "import os, signal, sys\n"
        "from violence_detection.__main__ import main\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'violence_detection.cli':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


@pytest.mark.parametrize("name", ["violence-detection", "extract-features", "train"])
def test_the_commands_are_installed(name):
    path = Path(sys.executable).with_name(name)
    done = subprocess.run([path, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "Usage:" in done.stdout


# -- exit status


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trian", "No such command 'trian'. Did you mean 'train'?"),
        (
            "train --epoch 3",
            "No such option '--epoch'. (Did you mean one of: '--epochs'",
        ),
        ("train --seeds 3", "No such option: --seeds. It is called --members."),
        ("evaluate x --no-pictures", "It is called --no-read-videos."),
        ("evaluate x --frames=1", "No such option: --frames. It is called --show-frames."),
        ("train --features x --epochs many", "'many' is not a valid integer"),
        ("train --features x --epochs 0", "--epochs must be >= 1. Received: epochs=0"),
        (
            "train --features x --learning-rate nan",
            "--learning-rate must be finite",
        ),
        (
            "train --features x --head bilstm",
            "Received: bilstm. Did you mean `bilstm_attention`?",
        ),
        (
            "train --features x --loss focl",
            "The loss must be one of crossentropy, focal. Received: focl. Did you mean `focal`?",
        ),
        ("train --features x --loss focal(", "A spec must read name(key=value, ...)"),
        (
            "train",
            "Exactly one of --dataset-path and --features must be given. Received: neither",
        ),
        ("train --features x --dataset-path y", "must be given. Received: both"),
        (
            "train --features x --run a/b",
            "--run must be the name of a folder. Received: 'a/b'",
        ),
        (
            "train --features x --epochs 3 --warmup-epochs 3",
            "--warmup-epochs must be < epochs",
        ),
        (
            "evaluate x --split al",
            "--split must be one of train, validation, test, all",
        ),
        ("robustness x --conditions dark", "The corruption must be one of"),
        ("robustness x --conditions blur,blur", "must name each once. Received: blur"),
        ("cross-dataset", "Missing argument 'FEATURES...'"),
        ("evaluate", "evaluate --help` has an example."),
        ("predict x", "Missing argument 'VIDEO...'"),
        (
            "extract-features gone",
            "VIDEO_DIR must be a folder of videos. Received: gone",
        ),
        (
            "train --dataset-path gone",
            "gone (it does not exist)",
        ),
        (
            "extract-features x --backbone vgg",
            "The backbone must be one of densenet121, ",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in error_line(*words.split(), status=2)
    assert tree(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "train --features gone",
            "Features must be a folder that extract-features left",
        ),
        (
            "evaluate gone",
            "RUN must be a folder that train left. Received: gone (does not exist)",
        ),
        ("predict gone a.mp4", "RUN must be a folder that train left. Received: gone"),
    ],
)
def test_a_missing_input_is_one_line_and_status_1(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in error_line(*words.split(), status=1)
    assert tree(tmp_path) == []


def test_a_video_in_the_place_of_the_run_is_answered_with_the_order(tmp_path):
    (tmp_path / "a.mp4").touch()
    line = error_line("predict", tmp_path / "a.mp4", tmp_path, status=1)
    assert line.endswith("(a video; are the arguments swapped? RUN comes first)")


def test_a_wrong_argument_of_a_part_is_named(features_dir, tmp_path):
    asked = (
        "--features",
        features_dir,
        "--checkpoint-dir",
        tmp_path,
        "--loss",
        "focal(beta=1)",
    )
    line = error_line("train", *asked, *SHORT, status=2)
    assert "The loss focal takes gamma, alpha. Received: beta" in line


def ending_in(monkeypatch, error):
    monkeypatch.setattr(TrainingStage, "run", lambda stage: error())
    return invoke("train", "--features", "x", "--json")


def _raise(error):
    raise error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (
            lambda: _raise(KeyboardInterrupt()),
            130,
            "Interrupted; start the same command again",
        ),
        (
            lambda: os.kill(os.getpid(), signal.SIGTERM),
            143,
            "Terminated; start the same",
        ),
        (lambda: _raise(MemoryError()), 1, "Error: Out of memory"),
        (
            lambda: _raise(RuntimeError("a\nb")),
            1,
            "Error: Unexpected RuntimeError: a b (--debug",
        ),
    ],
)
def test_every_error_has_its_status_and_one_line(monkeypatch, error, status, message):
    result = ending_in(monkeypatch, error)
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.strip().startswith(message) and "\n" not in result.stderr.strip()


@pytest.mark.parametrize(
    ("sent", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143)],
    ids=["int", "term"],
)
@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_in_a_loop_finishes_the_item_and_a_second_does_not(
    monkeypatch, sent, status, times
):
    done = []

    def loop():
        with progress.track("Training", 9, "epochs") as step:
            for number in range(9):
                for _ in range(times):
                    os.kill(os.getpid(), sent)
                done.append(number)
                step()

    result = ending_in(monkeypatch, loop)
    assert (result.exit_code, done) == (status, [0] if times == 1 else [])


def test_a_signal_that_a_library_swallowed_ends_the_next_loop(monkeypatch):
    def swallowed():
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with progress.track("Training", 9, "epochs") as step:
            step()
        raise AssertionError("the loop must have ended")

    assert ending_in(monkeypatch, swallowed).exit_code == 130


def test_a_command_does_not_inherit_an_earlier_signal(monkeypatch, run_dir):
    assert ending_in(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGINT)).exit_code == 130
    assert invoke("evaluate", run_dir, "--dry-run").exit_code == 0
    with progress.track("Training", 1, "epochs") as step:
        step()


def test_debug_prints_the_traceback():
    result = invoke("evaluate", "gone", "--debug")
    assert "Traceback" in result.stderr and result.exit_code == 1
    assert "Traceback" not in invoke("evaluate", "gone").stderr


def test_what_libraries_print_does_not_reach_stdout(monkeypatch):
    def download():
        print("Downloading data from https://...")
        raise KeyboardInterrupt

    result = ending_in(monkeypatch, download)
    assert result.stdout == "" and "Downloading" in result.stderr


@pytest.mark.slow
def test_quiet_logs_nothing_and_verbose_logs_the_epochs(features_dir, tmp_path):
    places = ("train", "--features", features_dir, "--checkpoint-dir", tmp_path, *SHORT)
    quiet = invoke(*places, "--run", "quiet", "--quiet")
    loud = invoke(*places, "--run", "loud", "--verbose")
    assert quiet.stderr == ""
    assert re.search(r"epoch=1 loss=[\d.]+ .*val_loss=", loud.stderr)
    assert "val_loss" not in loud.stdout and quiet.stdout.startswith("run  ")


def test_an_option_is_no_path(run_dir):
    # else the prediction would be written into a folder named --json
    done = invoke("predict", run_dir, "a.mp4", "--timeline", "--json")
    assert done.exit_code == 2
    assert "must be a path, not an option. Received: --json" in done.stderr


# -- as a program


@pytest.mark.slow
def test_as_a_program_stdout_is_the_json_and_stderr_has_no_noise(tmp_path):
    features = draw_features(tmp_path / "space")
    program = Path(sys.executable).with_name("violence-detection")
    words = [
        "train",
        "--features",
        features,
        "--checkpoint-dir",
        tmp_path,
        *SHORT,
        "--json",
        "-q",
    ]
    done = subprocess.run([program, *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["epochs_run"] == 2


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error(run_dir):
    program = Path(sys.executable).with_name("violence-detection")
    command = f"{program} evaluate {run_dir} --dry-run | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == ""
