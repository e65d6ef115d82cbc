"""`watch` and `watch replay` with runs of other kinds: of normal videos alone, and an ensemble."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.backbones import backbones_are_whole  # noqa: F401
from support.live_watch import Watch, Webhook, draw
from support.rtsp_server import RtspServer, TestCamera
from support.training import train_quickly
from support.watch_files import write_cameras_file

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spaces(backbones_are_small, tmp_path_factory) -> list[Path]:
    """Features of calm videos and of fights, of two streams."""
    from violence_detection.features.config import ExtractConfig
    from violence_detection.features.extraction.extract import extract_features

    folder = tmp_path_factory.mktemp("spaces")
    for number in range(8):
        seconds = 1 + number / 10
        draw(folder / "videos" / "calm" / f"{number}.mp4", seconds=seconds)
        draw(folder / "videos" / "fight" / f"{number}.mp4", seconds=seconds, fight_to_s=9.0)
    small = {"frames": 4, "frame_size": 32, "batch_size": 8, "weights": "random"}
    config = {"cache_dir": str(folder / "cache"), "backbone": "mobilenet", **small}
    return [
        extract_features(folder / "videos", ExtractConfig(**config, stream=stream)).features
        for stream in ("motion", "rgb")
    ]


@pytest.fixture(scope="module")
def one_class_run(spaces, tmp_path_factory) -> Path:
    from violence_detection.training.config import TrainConfig
    from violence_detection.training.train import train_classifier

    places = {"features": str(spaces[0]), "checkpoint_dir": str(tmp_path_factory.mktemp("runs"))}
    config = TrainConfig.from_flags({"run": "run", "one_class": "mahalanobis", **places})
    return Path(train_classifier(config).run)


@pytest.fixture(scope="module")
def ensemble_run(spaces, tmp_path_factory) -> Path:
    from violence_detection.training.config import EnsembleConfig
    from violence_detection.training.ensemble import EnsembleStage

    folder = tmp_path_factory.mktemp("ensemble")
    runs = [
        train_quickly(space, folder, run=name, epochs=40)["run"]
        for name, space in zip(("motion", "rgb"), spaces, strict=True)
    ]
    stage = EnsembleStage(runs, EnsembleConfig(checkpoint_dir=str(folder)), force=True)
    stage.prepare()
    return Path(stage.run().run)


@pytest.mark.parametrize(
    ("kind", "headline", "finds"),
    [
        ("one_class_run", "Something unusual", "unusual"),
        ("ensemble_run", "Possible violence", "violence"),
    ],
)
def test_a_watch_and_its_replay_with_a_run_of_another_kind(
    kind, headline, finds, request, short_tmp
):
    run = request.getfixturevalue(kind)
    mixed = draw(short_tmp / "mixed.mp4", seconds=9, fight_from_s=4, fight_to_s=6)
    with RtspServer({"door": TestCamera([mixed])}) as server, Webhook() as webhook:
        path = write_cameras_file(
            short_tmp,
            f"""
defaults: {{alert: {{threshold: run, confirm: {{windows: 1, of: 1}}, close_gaps_s: 0}}}}
cameras: [{{name: door, source: "{server.url("door")}"}}]
retention: {{min_free_gb: 0}}
web: {{enabled: false}}
sinks: [{{name: desk, webhook: "{webhook.url}", min_priority: low}}]
""",
        )
        path.write_text(path.read_text().replace("run: run", f"run: {run}"))
        watch = Watch(path)
        try:
            first = webhook.received.get(timeout=180)
            time.sleep(3.0)  # windows of the event follow
        finally:
            stderr = watch.end()
            print(watch.notices, stderr)  # shown where it fails
    assert first["headline"].startswith(headline) and first["finds"] == finds
    assert first["novelty"] is not None
    words = ["watch", "replay", str(path), "--hours", "1", "--json"]
    replayed = subprocess.run(
        [sys.executable, "-m", "violence_detection", *words], capture_output=True, text=True
    )
    assert replayed.returncode == 0, replayed.stderr
    (camera,) = json.loads(replayed.stdout)["cameras"]
    ends = [row for row in watch.notices if row["notice"] == "event" and row["change"] == "end"]
    assert camera["same"] is True and len(camera["events"]) == len(ends) >= 1
    assert camera["events"][0]["peak"] == pytest.approx(ends[0]["peak"], abs=1e-5)
