"""The table of backbones on your own videos: extraction rate, and accuracy on recordings apart.

    python benchmarks/mission.py my_videos --backbones vgg19 efficientnetb0

For each backbone it extracts features with its ImageNet weights, which Keras downloads once, and
cross-validates the classifier, grouped by recording. It needs a network at the first start; a GPU
is used where there is one. Every step resumes, so that a stopped run goes on with the same command.
The last lines are a Markdown table, and --output has them as JSON.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import machine

COLUMNS = (
    "backbone | features | stream | videos | extraction, videos/s | engine | accuracy (sd) | AUC | "
    "linear: accuracy / AUC"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video_dir")
    parser.add_argument("--backbones", nargs="+", default=["vgg19", "efficientnetb0"])
    parser.add_argument("--streams", nargs="+", default=["motion(focus=true)", "rgb(focus=true)"])
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--cache-dir", default="feature_cache")
    parser.add_argument("--checkpoint-dir", default="checkpoints/mission")
    parser.add_argument("--extract", default="", help="options of extract-features, in quotes")
    parser.add_argument("--train", default="", help="options of cross-validate, in quotes")
    parser.add_argument("--output", default="mission.json")
    arguments = parser.parse_args()
    rows = []
    for backbone in arguments.backbones:
        for stream in arguments.streams:
            rows.append(row_of(backbone, stream, arguments))
            content = {"machine": machine.describe(), "rows": rows}
            Path(arguments.output).write_text(json.dumps(content, indent=2))
    print(f"| {COLUMNS} |\n|{'---|' * (COLUMNS.count('|') + 1)}")
    for row in rows:
        print(line_of(row))


def row_of(backbone: str, stream: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Extracts and cross-validates one backbone on one stream."""
    extracted = command(
        *("extract-features", arguments.video_dir, "--backbone", backbone, "--stream", stream),
        *("--weights", arguments.weights, "--cache-dir", arguments.cache_dir),
        *shlex.split(arguments.extract),
    )
    features = Path(extracted["features"])
    record = json.loads((features / "extraction.json").read_text())
    validated = command(
        *("cross-validate", "--features", str(features), "--grouped"),
        *("--checkpoint-dir", arguments.checkpoint_dir, "--run", features.name),
        *shlex.split(arguments.train),
    )
    linear = validated["baselines"]["linear"]
    return {
        "backbone": backbone,
        "features": record["feature_space"]["dim"],
        "stream": stream,
        "videos": extracted["videos"] - extracted["failed"],
        # None where all was in the cache: that rate is none of the backbone.
        "videos_per_s": extracted["videos_per_s"] if extracted["extracted"] else None,
        "engine": f"{extracted['engine']} {extracted['precision']}",
        "accuracy": validated["accuracy"],
        "auc": validated["auc"],
        "linear": linear,
    }


def command(*words: str) -> dict[str, Any]:
    """The JSON object of a command of the program; its log goes to stderr."""
    line = [sys.executable, "-m", "violence_detection", *words, "--json"]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 3):  # 3: some videos could not be read
        raise SystemExit(f"violence-detection {words[0]} failed with status {done.returncode}")
    return json.loads(done.stdout)


def line_of(row: dict[str, Any]) -> str:
    rate = "in the cache" if row["videos_per_s"] is None else f"{row['videos_per_s']:.1f}"
    accuracy, auc, linear = row["accuracy"], row["auc"], row["linear"]
    cells = [
        row["backbone"],
        str(row["features"]),
        f"`{row['stream']}`",
        str(row["videos"]),
        rate,
        row["engine"],
        f"{accuracy['mean']:.3f} ({accuracy['sd']:.3f})",
        f"{auc['mean']:.3f}",
        f"{linear['accuracy']:.3f} / {linear['auc']:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
