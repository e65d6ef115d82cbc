"""A cameras file is read with every error at its place, bounded, and with passwords masked."""

import dataclasses
import json
import pickle
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.watch_files import write_cameras_file

from violence_detection import cli
from violence_detection.errors import ConfigError
from violence_detection.live.access.config import WebSettings
from violence_detection.live.configuration import cameras_file, config
from violence_detection.live.configuration.camera_settings import (
    CameraAlert,
    CameraSettings,
    ClipSettings,
    Confirmation,
    LagSettings,
    PriorityLimit,
)
from violence_detection.live.configuration.config import (
    EscalationStep,
    QuietHours,
    Secret,
    Sink,
    WatchFile,
    settings_json,
)
from violence_detection.live.configuration.retention_settings import (
    RetentionConfig,
    RetentionDays,
    ReviewedDays,
)

SECTIONS = (
    CameraAlert,
    CameraSettings,
    ClipSettings,
    Confirmation,
    EscalationStep,
    ReviewedDays,
    LagSettings,
    PriorityLimit,
    RetentionConfig,
    RetentionDays,
    Sink,
    WatchFile,
    WebSettings,
)
DOOR = "{name: door, source: 'rtsp://192.0.2.10/stream', alert: {threshold: 0.9}}"


@pytest.fixture
def read(tmp_path):
    """Reads a text after `version`, `run` and `data`, which are lines 1 to 3."""

    def read_text(text: str, environment=None, mode=0o600) -> cameras_file.CamerasFile:
        return cameras_file.read(write_cameras_file(tmp_path, text, mode=mode), environment or {})

    return read_text


def errors_of(read, text: str, environment=None, mode=0o600) -> list[tuple[int, int, str]]:
    result = read(text, environment, mode)
    assert result.settings is None
    return [(error.line, error.column, error.message) for error in result.errors]


def only_error(read, text: str, environment=None, mode=0o600) -> str:
    ((_, _, message),) = errors_of(read, text, environment, mode)
    return message


def test_a_file_is_read_with_defaults_and_what_stands_in_a_camera(read, tmp_path):
    result = read(
        """
timezone: Europe/Berlin
camera_down_s: 30
defaults:
  stride_s: 2
  lag: {soft_s: 1.5}
  alert: {threshold: run, cooldown_s: 20, confirm: {windows: 1, of: 1}}
cameras:
  - {name: door, title: Front door, site: shop, source: "rtsp://u@192.0.2.10/2"}
  - name: off
    source: 0
    stride_s: 1
    alert: {threshold: 0.9, priorities: {high: {margin: 0.8}}}
quiet_hours:
  - {cameras: [off], days: "fri-mon", from: 22:00, to: 6:30, do: lower}
"""
    )
    assert (result.errors, result.warnings) == ((), ())
    settings = result.settings
    assert (settings.run, settings.data) == (tmp_path / "run", tmp_path / "data")
    assert (settings.timezone, settings.camera_down_s) == ("Europe/Berlin", 30.0)
    door, off = settings.cameras
    assert (door.title, door.site, door.settings.stride_s) == ("Front door", "shop", 2.0)
    assert door.settings.lag == LagSettings(soft_s=1.5)
    assert door.settings.alert.threshold == 0.62, "the run's"
    assert (off.title, off.settings.stride_s, off.settings.alert.threshold) == ("off", 1.0, 0.9)
    assert off.settings.alert.cooldown_s == 20.0, "as in defaults"
    assert off.settings.alert.priorities.high == PriorityLimit(margin=0.8, or_duration_s=8.0)
    assert off.settings.alert.confirm == Confirmation(windows=1, of=1)
    assert settings.quiet_hours == (QuietHours(("off",), (0, 4, 5, 6), 1320, 390, "lower"),)


def test_all_errors_are_found_at_once_each_at_its_place(read):
    no_threshold = (
        "`alert` must give a `threshold` for each camera, here or in `defaults`: a number, or "
        "`run` for the run's own; or `false_alarms_per_hour`. Received: nothing"
    )
    assert errors_of(
        read,
        """timezon: UTC
cameras:
  - {name: Door, source: exec:rm, titel: a}
  - {name: b, alert: {threshold: 7, confirm: {windows: 4}}}
  - {name: b, source: 0, stride_s: x}
""",
    ) == [
        (4, 1, "Unknown key `timezon` for a cameras file. Did you mean `timezone`?"),
        (6, 5, no_threshold),
        (
            6,
            12,
            "`name` must be at most 32 lower-case letters, digits, `-` and `_`, and begin with a "
            "letter or digit. Received: Door",
        ),
        (
            6,
            26,
            "`source` must be a URL of rtsp, rtsps, http, https, or the number of a local camera. "
            "Received: exec:rm",
        ),
        (6, 35, "Unknown key `titel` for a camera. Did you mean `title`?"),
        (7, 5, "`source` must be given for a camera. Received: nothing"),
        (7, 34, "`threshold` must be <= 1.0. Received: threshold=7.0"),
        (7, 46, "`windows` must be <= `of`. Received: windows=4, of=3"),
        (8, 5, no_threshold),
        (8, 5, "Each camera must have a name of its own. Received: b twice"),
        (8, 36, "`stride_s` must be of type float. Received: stride_s='x'"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cameras: [\n", "The file must be YAML. Received: while parsing a flow node"),
        ("cameras: []\n", "There must be a camera. Received: an empty list"),
        ("cameras: {}\n", "The value must be a list of cameras. Received: "),
        (f"cameras: [{DOOR}]\ncameras: [{DOOR}]\n", "A key must be given once. Received: `came"),
        (f"cameras: [{DOOR}]\n<<: {{a: b}}\n", "Keys must stand where they are used"),
        ("cameras: &all [*all]\n", "The file must have at most 100,000 values, 20 levels deep"),
        (f"cameras: {'[' * 50}", "The file must have at most 100,000 values, 20 levels deep"),
        (f"cameras: {'[' * 50_000}", "The file must be YAML. Received: "),
        ("cameras: !!python/name:os.system ''\n", "A value must have no tag. Received: tag:yaml"),
        ("cameras: \0", "The file must be YAML. Received: unacceptable character"),
        (f"cameras: [{DOOR}]\ntimezone: Europe/Berln", "Received: Europe/Berln. Did you mean `Eur"),
        (f"cameras: [{DOOR}]\nweb: {{listen: 8474}}", "`listen` must be `host:port`"),
        (f"cameras: [{DOOR}]\nweb: {{tls_key: no.pem}}", "There must be such a file. Received: "),
        (f"cameras: [{DOOR}]\nweb: {{url: 'http://a:b@c'}}", "without a name or password"),
        (f"cameras: [{DOOR}]\nweb: {{trusted_proxies: [me]}}", "An address must be as 192.0.2.1"),
        (f"cameras: [{DOOR}]\ntimezone: ../../etc/passwd", "`timezone` must be a zone"),
        (
            "cameras: [{name: a, source: 1, alert: {false_alarms_per_hour: 1, threshold: 0.5}}]",
            "one of `threshold` and `false_alarms_per_hour`. Received: both",
        ),
        (f"cameras: [{DOOR}]\nquiet_hours: [{{from: 25:00, to: '06:00'}}]", "A time must be from"),
        (
            f"cameras: [{DOOR}]\nquiet_hours: [{{from: 2:00, to: 6:00, cameras: [dor]}}]",
            "Cameras must be those of this file. Received: dor. Did you mean `door`?",
        ),
        (
            f"cameras: [{DOOR}]\nescalation: [{{to: [phone]}}]",
            "Sinks must be those of this file. Received: phone.",
        ),
    ],
)
def test_what_is_wrong_is_one_error(read, text, message):
    assert message in only_error(read, text)


def test_aliases_of_aliases_do_not_grow_beyond_the_limit(read):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "at most 100,000 values" in only_error(read, "\n".join(lines))


def test_version_and_run_are_checked(tmp_path):
    path = write_cameras_file(tmp_path, f"cameras: [{DOOR}]")
    path.write_text(
        path.read_text().replace("version: 1", "version: 2").replace("run: r", "run: n")
    )
    version, run = cameras_file.read(path, {}).errors
    assert version.message.startswith("`version` must be 1") and version.line == 1
    assert "RUN must be a folder that train left" in run.message and run.line == 2


def test_a_file_that_is_none_or_too_large_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"CAMERAS must be a readable YAML file in UTF-8.*`.* watch example`"
    ):
        cameras_file.read(tmp_path / "none.yaml", {})
    (tmp_path / "large.yaml").write_text("#" * 1_000_001)
    with pytest.raises(ConfigError, match="at most 1,000,000 bytes"):
        cameras_file.read(tmp_path / "large.yaml", {})


def test_a_command_names_a_key_of_the_file_as_it_stands_there(tmp_path):
    """`watch calibrate` has an option of the same name."""
    alert = "{false_alarms_per_hour: -1}"
    text = f"cameras: [{{name: door, source: 'rtsp://192.0.2.10/s', alert: {alert}}}]"
    path = write_cameras_file(tmp_path, text)
    answer = CliRunner().invoke(cli.main, ["watch", "calibrate", str(path), "door"])
    assert answer.exit_code == 2
    assert "cameras.yaml:4:" in answer.stderr and "`false_alarms_per_hour` must" in answer.stderr
    assert "--false-alarms-per-hour" not in answer.stderr


def test_a_command_without_a_file_says_how_to_get_one():
    for words in (["watch", "check"], ["watch", "run"], ["users", "list"]):
        answer = CliRunner().invoke(cli.main, words)
        assert answer.exit_code == 2
        assert "'CAMERAS.yaml'. `violence-detection watch example` prints one." in answer.stderr


# -- passwords


def test_a_variable_is_taken_from_the_environment_or_a_credential_file(read, tmp_path):
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "USER").write_text("viewer\n")
    result = read(
        "cameras: [{name: a, alert: {threshold: 0.5}, source: 'rtsp://${USER}:${PW}@h/$${x}'}]",
        {"PW": "p@ss/w?rd", "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")},
        mode=0o644,
    )
    (camera,) = result.settings.cameras
    assert camera.source.reveal() == "rtsp://viewer:p%40ss%2Fw%3Frd@h/${x}"
    assert str(camera.source) == "rtsp://***:***@h/${x}"
    assert result.warnings == ()


def test_no_text_of_the_records_holds_a_password(read):
    camera = "{name: a, alert: {threshold: 0.5}, source: 'rtsp://u:${PW}@h/s?token=${TOKEN}'}"
    settings = read(f"cameras: [{camera}]", {"PW": "canary/1", "TOKEN": "canary2"}).settings
    shown = [repr(settings), str(settings), json.dumps(settings_json(settings))]
    assert [text for text in shown if "canary" in text] == []
    source = pickle.loads(pickle.dumps(settings.cameras[0].source))
    assert "canary" not in source.scrub(f"cannot open {source.reveal()}: 'canary/1', canary2")
    assert source == settings.cameras[0].source


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "`PW` must have a value in the environment. Received: none"),
        ({"PW": ""}, "`PW` must have a value in the environment. Received: an empty one"),
        ({"PW": "a\nb"}, "The value of `PW` must be one line of text"),
    ],
)
def test_a_variable_without_a_usable_value_is_an_error(read, environment, reason):
    camera = "{name: a, alert: {threshold: 0.5}, source: 'rtsp://u:${PW}@h/'}"
    assert reason in only_error(read, f"cameras: [{camera}]", environment)


def test_a_password_in_the_file_needs_a_private_file_and_is_warned_of(read):
    text = "cameras: [{name: a, alert: {threshold: 0.5}, source: 'rtsp://u:geheim@h/'}]"
    assert "A password must be a variable" in only_error(read, text, mode=0o640)
    result = read(text, mode=0o600)
    (warning,) = result.warnings
    assert (warning.line, result.settings.cameras[0].source.reveal()) == (4, "rtsp://u:geheim@h/")
    assert "geheim" not in warning.message + repr(result)


# -- sinks


def test_a_sink_has_the_options_of_its_notifier_and_shows_none_of_its_texts(read):
    result = read(
        f"""cameras: [{DOOR}]
sinks:
  - {{name: phone, apprise: "${{NTFY}}", min_priority: high}}
  - {{name: desk, webhook: "https://desk.example/hook", secret: "${{KEY}}", timeout_s: 3}}
  - {{name: home, mqtt: "mqtt://broker", user: "${{KEY}}", discovery: no, per_10_min: 5}}
escalation: [{{to: [phone, home], unacknowledged_s: 20}}]
""",
        {"NTFY": "ntfy://canary", "KEY": "canary"},
        mode=0o644,
    )
    phone, desk, home = result.settings.sinks
    assert (phone.notifier, phone.min_priority) == ("apprise", "high")
    assert phone.options["url"].reveal() == "ntfy://canary"
    assert (desk.options["secret"].reveal(), desk.options["timeout_s"]) == ("canary", 3)
    assert (home.options["discovery"], home.per_10_min) == (False, 5)
    assert result.settings.escalation == (
        EscalationStep(priority="high", unacknowledged_s=20.0, to=("phone", "home")),
    )
    shown = json.dumps(settings_json(result.settings)) + repr(result)
    assert "canary" not in shown and "desk.example" not in shown


@pytest.mark.parametrize(
    ("sink", "message"),
    [
        ("{name: a, webhok: 'https://h'}", "A sink must have one of the keys apprise, mqtt, webh"),
        ("{name: a, webhook: 'http://h', mqtt: 'mqtt://h'}", "Received: mqtt and webhook"),
        ("{webhook: 'https://h/'}", "`name` must be given for a sink with `webhook`"),
        ("{name: a, mqtt: 'mqtt://h', client: x}", "Unknown key `client` for a sink with `mqtt`"),
        ("{name: a, webhook: 'https://h', timeout_s: 300}", "must be float in [0.1, 120]"),
        ("{name: a, mqtt: 'mqtt://h', scores: 2}", "must be true or false. Received: scores=2"),
        ("{name: a, webhook: 'https://h', min_priority: x}", "`min_priority` must be one of low"),
        ("{name: a, apprise: 'ntfy://topic'}", "A password must be a variable"),
        ("{name: a, webhook: 'https://u:p@h'}", "A password must be a variable"),
        ("{name: a, webhook: 'https://h', secret: abc}", "A password must be a variable"),
    ],
)
def test_a_wrong_sink_is_one_error(read, sink, message):
    assert message in only_error(read, f"cameras: [{DOOR}]\nsinks: [{sink}]", mode=0o644)


# -- the schema


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_of_the_file_has_a_help_and_a_default_in_its_range(section):
    assert section.settings()
    for setting in section.settings():
        assert setting.rule.help.endswith("."), setting.name
        if setting.default is not None:
            assert setting.rule.check(setting.name, setting.default) == setting.default


def test_every_section_is_tested():
    sections = {
        kind
        for kind in vars(config).values()
        if dataclasses.is_dataclass(kind) and issubclass(kind, config.Config) and kind.settings()
    }
    options = {
        config.WatchConfig,
        config.ReplayConfig,
        config.CalibrateConfig,
        config.CommandConfig,
    }
    assert sections - set(SECTIONS) == options


def test_who_connects_to_nothing_needs_no_passwords(tmp_path):
    """`watch status` and `users` are used by people who do not have those of the service."""
    text = """
cameras:
  - {name: door, source: "rtsp://u:${PW}@192.0.2.1:${PORT}/x", alert: {threshold: run}}
  - {name: yard, source: "${URL}", alert: {threshold: run}}
sinks:
  - {name: phone, apprise: "${TOPIC}"}
  - {name: hook, webhook: "https://${HOST}/x", secret: "${KEY}"}
"""
    result = cameras_file.read(write_cameras_file(tmp_path, text), environment=None)
    assert result.errors == () and [camera.name for camera in result.settings.cameras]


def test_a_secret_shows_nothing_of_itself():
    secret = Secret("geheim")
    assert (str(secret), repr(secret), f"{secret}") == ("***", "Secret('***')", "***")
    assert settings_json({"a": [secret, Path("b")]}) == {"a": ["***", "b"]}


# -- privacy masks

MASKED = """
defaults: {{alert: {{threshold: 0.5}}}}
cameras:
  - {{name: door, source: 0, privacy_masks: {masks}}}
"""


def test_clips_pictures_and_what_is_ignored_are_read(read):
    text = """
defaults: {alert: {threshold: 0.5}, clips: {keep: blurred}}
cameras:
  - name: door
    source: "rtsp://192.0.2.1/small"
    clip_source: "rtsp://u:${PW}@192.0.2.1/large"
    ignore: [[[0.8, 0], [1, 0], [1, 0.2]]]
    decoder: software
sinks:
  - {name: a, webhook: "https://h/", picture: blurred, end: false}
  - {name: b, webhook: "https://h/"}
"""
    result = read(text, {"PW": "geheim"})
    assert result.errors == ()
    (camera,) = result.settings.cameras
    assert camera.settings.ignore == (((0.8, 0.0), (1.0, 0.0), (1.0, 0.2)),)
    assert camera.settings.clips.keep == "blurred"
    assert camera.clip_source.reveal() == "rtsp://u:geheim@192.0.2.1/large"
    assert camera.scrub("no answer of u:geheim") == "no answer of u:***"
    assert [(sink.picture, sink.end) for sink in result.settings.sinks] == [
        ("blurred", False),
        ("none", None),
    ]


@pytest.mark.parametrize(
    ("keys", "message", "column"),
    [
        ("clips: {keep: masked}", "`clips.keep: masked` must have `privacy_masks`", 5),
        ("clips: {keep: bright}", "`keep` must be one of original, masked, blurred, none", 68),
        ("decoder: cuda", "`decoder` must be auto or software", 63),
        ("clip_source: 3", "`clip_source` must be a URL of rtsp", 67),
        ("ignore: [[[0, 0], [1, 1]]]", "3 to 64 points", 63),
    ],
)
def test_wrong_keys_of_a_camera_have_their_place(read, keys, message, column):
    result = read(f"cameras:\n  - {{name: door, source: 0, alert: {{threshold: 0.5}}, {keys}}}")
    (error,) = result.errors
    assert message in error.message
    assert (error.line, error.column) == (5, column)


def test_masks_are_polygons_in_shares_of_the_frame(read):
    masks = "[[[0, 0], [0.3, 0], [0.3, 1]], [[0.5, .5], [1, 0.5], [1, 1], [0.5, 1.0]]]"
    result = read(MASKED.format(masks=masks))
    assert result.errors == ()
    (camera,) = result.settings.cameras
    assert camera.settings.privacy_masks == (
        ((0.0, 0.0), (0.3, 0.0), (0.3, 1.0)),
        ((0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (0.5, 1.0)),
    )


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        ("[[[0, 0], [1, 1]]]", "3 to 64 points"),
        ("[[[0, 0], [1, 1], [1, 1.5]]]", "Received: [1, 1.5]"),
        ("[[[0, 0], [1, 1], [1, x]]]", "Received: [1, x]"),
        ("[[[0, 0], [1, 1], [1, .nan]]]", "A point must be [x, y]"),
        ("[[0, 0], [1, 1], [1, 0]]", "Received: no list"),
        ("[[[0, 0], [1, 1], 7]]", "Received: no list"),
        ("[" + ",".join(["[[0, 0], [1, 1], [1, 0]]"] * 17) + "]", "There may be 16 masks"),
        ("7", "must be a list of masks"),
    ],
)
def test_a_mask_that_would_show_what_it_should_hide_is_refused(read, masks, words):
    result = read(MASKED.format(masks=masks))
    assert result.settings is None
    assert any(words in error.message for error in result.errors), result.errors
