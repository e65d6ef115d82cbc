"""`watch check`: what is found about cameras and about this machine."""

import dataclasses
from pathlib import Path

import pytest
from support.encoding import encode
from support.rtsp_server import RtspServer, TestCamera
from support.watch_files import write_cameras_file

from violence_detection.commands.watch import _camera_lines
from violence_detection.errors import WeightsError
from violence_detection.live.checking.camera_check import check_cameras
from violence_detection.live.checking.camera_probe import CameraProbe, probe_camera
from violence_detection.live.configuration import cameras_file
from violence_detection.live.judging.engine_benchmark import EngineSpeed

WELL = CameraProbe(
    opened=True,
    codec="h264",
    profile="Main",
    pixels="yuv420p",
    width=640,
    height=360,
    fps=25.0,
    kbps=900.0,
    key_frame_s=2.0,
    frames=200,
    decode_cores=0.05,
    images_per_s=20.0,
)
SPEED = EngineSpeed("openvino bfloat16", 400.0)


def check(tmp_path: Path, *probes: CameraProbe, benchmark=lambda run: SPEED):
    """The check of cameras c0, c1, ... that are so."""
    cameras = ", ".join(
        f"{{name: c{n}, source: {n}, alert: {{threshold: 0.5}}}}" for n in range(len(probes))
    )
    file = cameras_file.load(write_cameras_file(tmp_path, f"cameras: [{cameras}]"))
    by_name = {camera.name: probe for camera, probe in zip(file.cameras, probes, strict=True)}
    return check_cameras(file, probe=lambda camera, run: by_name[camera.name], benchmark=benchmark)


def test_cameras_that_are_well_have_no_findings(tmp_path):
    result = check(tmp_path, WELL, WELL)
    values = result.to_json()
    assert values["findings"] == []
    assert (values["engine"], values["images_per_s"], values["can_judge_all"]) == (
        "openvino bfloat16",
        40.0,
        True,
    )
    assert result.load == pytest.approx(0.1 / result.cores + 0.1)
    assert all(camera["plays_in_browser"] for camera in values["cameras"])


def test_the_lines_of_a_check_stand_beside_the_name_or_below_it(tmp_path):
    gone = dataclasses.replace(WELL, opened=False, error="refused")
    first, second = check(tmp_path, WELL, gone).cameras
    long_name = dataclasses.replace(first.camera, name="behind-the-house")
    lines = _camera_lines(first)
    assert lines[0].startswith("c0          h264 Main, 640x360, 25 frames/s")
    assert _camera_lines(second) == ["c1          refused"]
    assert _camera_lines(dataclasses.replace(first, camera=long_name)) == [
        "behind-the-house",
        f"{'':12s}{lines[0][12:]}",
        *lines[1:],
    ]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (
            {"opened": False, "error": "it cannot be opened: refused", "error_kind": "refused"},
            "it cannot be opened: refused",
        ),
        ({"error": "it sends nothing any more", "error_kind": "timeout"}, "it sends nothing"),
        ({"frames": 0}, "no frame can be decoded"),
        ({"key_frame_s": 10.0}, "key frames are 10 s apart"),
        ({"key_frame_s": None}, "key frames are over 9 s apart"),
        ({"fps": 2.0}, "2 frames per second"),
        ({"corrupt": 7}, "7 damaged frames or packets of 200 frames"),
        ({"clip_error": "it answers 404"}, "its `clip_source` gives nothing: it answers 404"),
        ({"clock_skew_s": -3600.0}, "its clock is -3600 s from this machine's"),
    ],
)
def test_what_is_wrong_with_a_camera_is_a_finding(tmp_path, changes, what):
    (finding,) = check(tmp_path, WELL, dataclasses.replace(WELL, **changes)).findings()
    assert finding.camera == "c1" and finding.what.startswith(what) and finding.help


def test_a_codec_that_browsers_do_not_play_is_said_and_is_no_finding(tmp_path):
    values = check(tmp_path, dataclasses.replace(WELL, codec="hevc")).to_json()
    assert (values["cameras"][0]["plays_in_browser"], values["findings"]) == (False, [])


def test_a_machine_that_is_too_small_is_a_finding(tmp_path):
    result = check(tmp_path, WELL, WELL, benchmark=lambda run: EngineSpeed("tensorflow", 20.0))
    assert [finding.camera for finding in result.findings()] == [""]
    assert not result.to_json()["can_judge_all"]


def test_an_engine_that_does_not_start_is_a_finding(tmp_path):
    def fail(run):
        raise WeightsError("The weights must be there. Received: none")

    values = check(tmp_path, WELL, benchmark=fail).to_json()
    assert (values["load"], values["can_judge_all"]) == (0.0, False)
    assert "The weights must be there" in values["findings"][0]["what"]


@pytest.mark.slow
def test_a_camera_is_probed_as_it_sends(tmp_path):
    video = encode(tmp_path / "calm.mp4", frames=80, fps=10, g=20, bf=0)
    camera = TestCamera([video], login="viewer:geheim", clock_offset_s=60.0)
    with RtspServer({"door": camera}) as server:
        address = server.url("door").removeprefix("rtsp://")
        sources = [f"rtsp://viewer:{password}@{address}" for password in ("geheim", "falsch")]
        listed = ", ".join(
            f"{{name: c{n}, source: '{source}', alert: {{threshold: 0.5}}}}"
            for n, source in enumerate(sources)
        )
        file = cameras_file.load(write_cameras_file(tmp_path, f"cameras: [{listed}]"))
        probe, refused = (probe_camera(camera, file.run, 9.0) for camera in file.cameras)
    assert (probe.error, probe.codec, probe.width, probe.key_frame_s) == ("", "h264", 96, 2.0)
    assert probe.fps == pytest.approx(10, abs=0.5)
    assert probe.clock_skew_s == pytest.approx(60, abs=1)
    assert probe.images_per_s == pytest.approx(2.0, abs=0.5)
    assert refused.error_kind == "refused" and not refused.opened
    assert "geheim" not in repr(probe) and "falsch" not in repr(refused)


@pytest.mark.slow
def test_the_stream_of_clips_is_opened_too(tmp_path):
    video = encode(tmp_path / "calm.mp4", frames=40, fps=10, g=10, bf=0)
    with RtspServer({"door": TestCamera([video])}) as server:
        listed = ", ".join(
            f"{{name: c{n}, source: '{server.url('door')}', clip_source: '{url}', "
            "alert: {threshold: 0.5}}"
            for n, url in enumerate((server.url("door"), server.url("large", "me:geheim")))
        )
        file = cameras_file.load(write_cameras_file(tmp_path, f"cameras: [{listed}]"))
        errors = [probe_camera(camera, file.run, 2.0).clip_error for camera in file.cameras]
    assert errors[0] == "" and "404" in errors[1] and "geheim" not in errors[1]
