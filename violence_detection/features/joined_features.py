"""Features of several spaces of a dataset, side by side in a folder of their own.

The folder is a feature cache like any other, so that everything that reads features reads it. It is
made of the folders of its parts, and again where these have changed.
"""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.extraction.extraction_record import ExtractionRecord, WeightsOrigin
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.system import files, locks, provenance
from violence_detection.units import counted

log = logging.getLogger(__name__)

_LOCK = ".joined.lock"
_SOURCES = "joined.json"  # the digests of the parts' arrays that each array was made of


def open_joined(space: FeatureSpace, folder: str | Path) -> FeatureCache:
    """The joined features of a dataset, made of those of the parts where these have changed.

    Args:
        space: A joined space.
        folder: The folder of one of its parts, of the joined features, or of the dataset in the
            cache.

    Raises:
        CacheError: If the features of a part are missing.
        ViolenceDetectionError: If the joined features cannot be written.
    """
    folder = Path(folder).resolve()
    dataset_dir = folder.parent if (folder / "extraction.json").is_file() else folder
    by_fingerprint = {
        cache.space().fingerprint: cache
        for path in sorted(dataset_dir.glob("*/extraction.json"))
        for cache in [FeatureCache.open(path.parent)]
    }
    missing = [part for part in space.parts if part.fingerprint not in by_fingerprint]
    if not missing:
        return join_features([by_fingerprint[part.fingerprint] for part in space.parts])
    if space.fingerprint in by_fingerprint:
        return by_fingerprint[space.fingerprint]
    part = missing[0]
    raise CacheError(
        f"Features of an ensemble must be there in each of its {len(space.parts)} feature spaces. "
        f"Received: {dataset_dir}, which lacks {part.name} (extract-features --backbone "
        f"{part.backbone} --stream '{part.stream}' --frames {part.frames} --engine {part.engine} "
        "makes it)"
    )


def join_features(caches: Sequence[FeatureCache]) -> FeatureCache:
    """Writes the features of several spaces of a dataset side by side, beside the first of them.

    Videos that are not in all spaces, or of another content there, are left out and counted.

    Args:
        caches: Finished extractions of the same videos, in the order of the features.

    Raises:
        ConfigError: If their spaces cannot be joined.
        CacheError: If an extraction is not finished, or they have no video in common.
        ViolenceDetectionError: If the joined features cannot be written.
    """
    records = [cache.record() for cache in caches]
    space = FeatureSpace.joined([record.space for record in records])
    joined = FeatureCache(caches[0].dir.parent / space.name)
    with locks.locked_after_waiting(joined.dir / _LOCK, f"Another process joins {joined.dir}."):
        rows = _common_rows(caches)
        made, sources = _made_arrays(joined), {}
        entries = []
        for parts in rows:
            path, wanted = parts[0].path, _source_of(parts)
            before = made.get(path)
            if before is None or before[0] != wanted:
                arrays = [
                    cache.read_arrays(part, record.space.shape)
                    for cache, record, part in zip(caches, records, parts, strict=True)
                ]
                views = min(map(len, arrays))
                side_by_side = np.concatenate([array[:views] for array in arrays], axis=-1)
                digests = joined.write_arrays(path, side_by_side)
            else:
                digests = before[1]
            entries.append(_joined_entry(parts, digests))
            sources[path] = wanted
        joined.write_manifest(entries)
        joined.write_record(_joined_record(records, space))
        files.write_json(joined.dir / _SOURCES, sources)
    return joined


def _common_rows(caches: Sequence[FeatureCache]) -> list[list[ManifestEntry]]:
    """The rows of each video that all caches have with the same content."""
    by_path = [{row.path: row for row in dataset.usable_entries(cache)} for cache in caches]
    common, paths = [], set().union(*by_path)
    for path in sorted(paths):
        rows = [rows.get(path) for rows in by_path]
        if None not in rows and len({row.digest for row in rows}) == 1:
            common.append(rows)
    if not common:
        raise CacheError(
            "Features that are joined must be of the same videos. Received: "
            f"{' and '.join(str(cache.dir) for cache in caches)}, which have none in common"
        )
    left_out = len(paths) - len(common)
    if left_out:
        log.warning(
            f"Left out, because not in all feature spaces: {counted(left_out, 'video')}; start "
            "extract-features again in each."
        )
    return common


def _source_of(parts: Sequence[ManifestEntry]) -> str:
    """The digests of the arrays that a joined array is made of."""
    return " | ".join(" ".join(part.digests) for part in parts)


def _made_arrays(joined: FeatureCache) -> dict[str, tuple[str, list[str]]]:
    """The arrays that are there: by path, what each is made of, and the digests of its views."""
    if not (joined.dir / _SOURCES).is_file():
        return {}
    sources = files.read_json(joined.dir / _SOURCES)
    return {
        entry.path: (sources[entry.path], entry.digests)
        for entry in joined.entries()
        if entry.path in sources and joined.array_path(entry.path).is_file()
    }


def _joined_entry(parts: Sequence[ManifestEntry], digests: Sequence[str]) -> ManifestEntry:
    """The row of a video; it is damaged if a part says so."""
    damaged = next((part for part in parts if part.status != "ok"), parts[0])
    return dataclasses.replace(
        parts[0],
        status=damaged.status,
        error=damaged.error,
        array_digest=digests[0],
        views=" ".join(digests[1:]),
    )


def _joined_record(records: Sequence[ExtractionRecord], space: FeatureSpace) -> ExtractionRecord:
    first = records[0]
    return ExtractionRecord(
        dataset=first.dataset,
        grouping=first.grouping,
        ungrouped=first.ungrouped,
        classes=first.classes,
        space=space,
        weights=WeightsOrigin(
            "joined", space.weights_digest, parts=tuple(record.weights for record in records)
        ),
        complete=True,
        effective={"engine": space.engine, "precision": space.precision},
        versions=provenance.versions(),
    )
