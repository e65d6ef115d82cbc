"""A run as one folder for another machine: model, backbone weights, threshold, card, an example.

The folder is a run like any other: `predict` and `Predictor.load` take it. It holds no path of this
machine and no name of a video: `training_videos.csv` keeps the digests by which `evaluate` finds
videos that the model was trained on.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from violence_detection import registry
from violence_detection.errors import ConfigError, WeightsError
from violence_detection.features.extraction.extraction_record import WeightsOrigin
from violence_detection.features.run_extractor import extractor_of_run, weights_of_parts
from violence_detection.inference.predictor import Predictor
from violence_detection.models.run import VIDEO_COLUMNS, Run
from violence_detection.models.run_record import RunRecord
from violence_detection.reports import model_card
from violence_detection.system import devices, files
from violence_detection.video import video_file

log = logging.getLogger(__name__)

_WEIGHTS_DIR = "weights"
_CHECKED = 2  # validation videos
_PATHS = (
    "dataset_path",
    "features",
    "cache_dir",
    "checkpoint_dir",
    "init_from",
    "hosts",
    "teacher",
)
_EXAMPLE = '''"""Prints the probability of violence in a video: python example.py VIDEO."""

import sys
from pathlib import Path

from violence_detection import Predictor

predictor = Predictor.load(Path(__file__).parent)
print(predictor(sys.argv[1])["probability"])
'''


@dataclass(frozen=True)
class BundleResult:
    """The bundle that was written.

    Attributes:
        path: The folder.
        bytes: Size of its files together.
        weights: Names of the backbones' weights files in it; empty for random weights.
        videos_checked: Validation videos of the run that both predicted.
        max_abs_difference: Largest difference of their probabilities.
        dry_run: Nothing was written.
    """

    path: str
    bytes: int
    weights: tuple[str, ...]
    videos_checked: int
    max_abs_difference: float
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        values = asdict(self) | {"weights": list(self.weights)}
        return {"format": "bundle", "scope": "run", "latency_ms": 0.0, **values}


class BundleStage:
    """Writes a run as a bundle, and predicts some videos with both."""

    def __init__(
        self,
        run_dir: str,
        *,
        output: str | None = None,
        weights: str | None = None,
        force: bool = False,
    ) -> None:
        """
        Args:
            run_dir: The folder of a run.
            output: The folder to write; default: `export/bundle` in the run.
            weights: The backbone's weights, if they have moved.
            force: Replace an earlier bundle.
        """
        self._run_dir, self._output, self._weights = run_dir, output, weights
        self._force = force

    def prepare(self) -> BundleResult:
        """Finds everything that the bundle holds.

        Raises:
            RunError: If the run is not usable.
            ConfigError: If the folder exists and is no bundle, or `force` is not given.
            WeightsError: If weights are missing.
        """
        devices.import_tensorflow()
        self._run = Run.open(self._run_dir)
        self._record = self._run.record()
        self._folder = Path(self._output or self._run.dir / "export" / "bundle")
        if self._folder.exists() and not (self._folder / "example.py").is_file():
            raise ConfigError(
                f"The folder of a bundle must be new, or hold a bundle. Received: {self._folder}"
            )
        if self._folder.exists() and not self._force:
            raise ConfigError(f"--force replaces a bundle. Received: {self._folder} (it exists)")
        self._files = self._weights_files()
        names = tuple(dict.fromkeys(path.name for path in self._files if path))
        return BundleResult(str(self._folder), 0, names, 0, 0.0, dry_run=True)

    def run(self) -> BundleResult:
        """Writes the bundle.

        Raises:
            WeightsError: If the weights are not those that the features were made with.
            ViolenceDetectionError: See `prepare`; or if the folder cannot be written.
        """
        plan = self.prepare()
        files.ensure_writable(self._folder.parent)
        files.sweep_dead(self._folder.parent)
        temporary = self._folder.with_name(f"{self._folder.name}{files.temporary_mark()}")
        try:
            (temporary / _WEIGHTS_DIR).mkdir(parents=True)
            self._write(temporary)
            bundle = Run.open(temporary)
            # The digest of each backbone's weights is checked.
            extractor_of_run(bundle.record(), weights=None, batch_size=32)
            checked, difference = self._compare(temporary)
            size = sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file())
            if self._folder.exists():
                shutil.rmtree(self._folder)
            temporary.rename(self._folder)
        except OSError as error:
            raise files.write_error(self._folder, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return BundleResult(str(self._folder.resolve()), size, plan.weights, checked, difference)

    def _origins(self) -> tuple[WeightsOrigin, ...]:
        """The weights of each part of the feature space, which is mostly one."""
        record = self._record
        if record.feature_space.parts:
            return tuple(weights_of_parts(record.weights_parts, self._weights))
        digest = record.feature_space.weights_digest
        source = self._weights or record.weights_source
        return (WeightsOrigin(source, digest, record.weights_seed),)

    def _weights_files(self) -> list[Path | None]:
        """The weights file of each part; None for random weights."""
        spaces = self._record.feature_space.parts or (self._record.feature_space,)
        paths: list[Path | None] = []
        for space, origin in zip(spaces, self._origins(), strict=True):
            if origin.source == "random":
                paths.append(None)
                continue
            if origin.source == "imported":
                raise WeightsError(
                    "A bundle must hold the backbone, and features of another program have none. "
                    f"Received: {self._run.dir}"
                )
            path = Path(origin.source)
            if origin.source == "imagenet":
                from violence_detection.features.backbones import _applications

                part = registry.module("backbones", space.backbone)
                path = _applications.imagenet_file(part, space.frame_size)
            if not path.is_file():
                raise WeightsError(
                    "The backbone's weights must be there; --weights gives their place. "
                    f"Received: {path} (does not exist)"
                )
            paths.append(path)
        return paths

    def _write(self, folder: Path) -> None:
        """All files of the bundle."""
        run, sources = self._run, []
        for origin, path in zip(self._origins(), self._files, strict=True):
            if path is None:
                sources.append(origin)
                continue
            shutil.copyfile(path, folder / _WEIGHTS_DIR / path.name)
            sources.append(replace(origin, source=f"{_WEIGHTS_DIR}/{path.name}"))
        weights = sources[0]
        if self._record.feature_space.parts:
            weights = WeightsOrigin.from_json(run.config()["weights"])
            weights = replace(weights, parts=tuple(sources))
        shutil.copyfile(run.model_path, folder / run.model_path.name)
        config = _without_paths(run.config()) | {"weights": weights.to_json()}
        bundle = Run(folder)
        bundle.write_config(config)
        results = files.read_json(run.results_path)
        results |= {"run": run.dir.name, "failures": []}
        files.write_json(bundle.results_path, results)
        files.write_csv(bundle.videos_path, list(VIDEO_COLUMNS), _anonymous_videos(run))
        card = run.dir / model_card.NAME
        text = card.read_text(encoding="utf-8") if card.is_file() else f"# {run.dir.name}\n"
        files.write_text(folder / "README.md", front_matter(run, self._record) + text)
        files.write_text(folder / "example.py", _EXAMPLE)

    def _compare(self, bundle: Path) -> tuple[int, float]:
        """Number of validation videos that were predicted with both, and the largest difference."""
        root = Path(self._record.dataset.dir)
        videos = [
            root / row["path"]
            for row in self._run.own_videos()
            if row["split"] == "validation" and video_file.exists(root / row["path"])
        ][:_CHECKED]
        if not videos:
            log.info("The videos are not here: the bundle is not compared on any.")
            return 0, 0.0
        ours = Predictor.load(self._run.dir, weights=self._weights)
        theirs = Predictor.load(bundle)
        differences = [abs(ours(v)["probability"] - theirs(v)["probability"]) for v in videos]
        return len(videos), float(max(differences))


def front_matter(run: Run, record: RunRecord) -> str:
    """The YAML header that model hubs read (Hugging Face, `modelcards`); JSON values are YAML.

    Args:
        run: With its evaluation of the test split, if there is one, as results.
        record: Of the run.
    """
    space = record.feature_space
    values: dict[str, Any] = {
        "library_name": "keras",
        "pipeline_tag": "video-classification",
        "tags": ["violence-detection", "surveillance", space.backbone.replace("_", "-")],
    }
    metrics_path = run.evaluation_dir("test") / "metrics.json"
    if metrics_path.is_file():
        metrics = files.read_json(metrics_path)
        rows = [
            {
                "type": name,
                "value": metrics[name],
                "name": f"{name}, {metrics['recordings']} recordings",
            }
            for name in ("accuracy", "auc", "recall")
            if metrics.get(name) is not None
        ]
        dataset = {"name": record.dataset.name, "type": record.dataset.name, "split": "test"}
        task = {"type": "video-classification"}
        result = {"task": task, "dataset": dataset, "metrics": rows}
        values["model-index"] = [{"name": run.dir.name, "results": [result]}]
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    return "\n".join(["---", *lines, "---", "", ""])


def _without_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run without paths and names of machines."""
    settings = {
        name: None if name in _PATHS else value
        for name, value in (config.get("settings") or {}).items()
    }
    settings["weights"] = Path(str(settings.get("weights", ""))).name
    left_out = {name: value for name, value in config.items() if name not in ("machine",)}
    return left_out | {
        "settings": settings,
        "dataset": {"name": config["dataset"]["name"], "dir": ""},
        "features": Path(config["features"]).name,
        "init_from": None,
    }


def _anonymous_videos(run: Run) -> list[dict[str, str]]:
    """The videos of training_videos.csv without their names; recordings are numbered."""
    recordings: dict[str, str] = {}
    rows = []
    for number, row in enumerate(run.own_videos(), 1):
        group = recordings.setdefault(row["group"], f"recording {len(recordings) + 1}")
        rows.append({**row, "path": f"video {number}", "group": group})
    return rows
