"""Extractions with a small backbone that is built once, and what they leave."""

import functools
import subprocess
import sys
from pathlib import Path

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.features.cache import FeatureCache
from violence_detection.features.extraction.extraction_result import ExtractionResult
from violence_detection.features.extractor import FeatureExtractor

SMALL = {"backbone": "mobilenetv2", "weights": "random", "frame_size": 32, "frames": 4}


_BUILT_ONCE = functools.cache(FeatureExtractor.build)


def build_once(*, engine_dir, **settings) -> FeatureExtractor:
    return _BUILT_ONCE(**settings)


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of the arrays and of the manifest."""
    files = [*folder.rglob("*.npy"), folder / "manifest.csv"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def contents_with_split(folder: Path) -> dict[str, bytes]:
    """Bytes that must be the same however the work was divided."""
    return contents(folder) | {"splits.csv": (folder.parent / "splits.csv").read_bytes()}


def manifest_of(extraction: ExtractionResult) -> dict[str, ManifestEntry]:
    return {entry.path: entry for entry in FeatureCache.open(extraction.features).entries()}


def split_of(extraction: ExtractionResult) -> dict[str, str]:
    return {path: entry.split for path, entry in manifest_of(extraction).items()}


def array_times(folder: Path) -> dict[str, int]:
    return {path.as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*.npy")}


def counts(extraction: ExtractionResult) -> tuple[int, int, int]:
    return extraction.extracted, extraction.reused, extraction.failed


def spoil(path: Path) -> Path:
    path.write_text("This is no video.")
    return path


def write_table(root: Path, *more: str) -> None:
    """The videos.csv of the twelve clips, and more rows."""
    rows = [f"{label}/{n}.mp4,{label}" for n in range(6) for label in ("fight", "noFight")]
    (root / "videos.csv").write_text("\n".join(["path,label", *rows, *more]) + "\n")


# For a child process, so that its backbone is that of this process.
SMALL_BACKBONES = f"""
import sys
sys.path.append({str(Path(__file__).parents[1])!r})
from violence_detection.system import devices
devices.import_tensorflow()
from support.backbones import small_backbones
small = small_backbones()
small.__enter__()
"""


def in_child(program: str, *arguments: object) -> subprocess.CompletedProcess:
    """Runs `extract-features` in a process of its own, after `program`."""
    program = SMALL_BACKBONES + program
    program += "\nimport sys; from violence_detection.cli import main; main(sys.argv[1:])"
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    command = [sys.executable, "-c", program, "extract-features", *arguments, *flags]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
