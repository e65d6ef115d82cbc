"""What of the videos that a run is judged on it has learned or chosen from."""

from violence_detection import dataset, files
from violence_detection.cache import Entry, FeatureCache
from violence_detection.runs import Run


def find_leaks(
    run: Run, entries: list[Entry], split: str, *, same_dataset: bool
) -> list[str]:
    """Recordings and identical files among `entries` that the run has learned or chosen from.

    Names of recordings are compared within one dataset only; contents always.
    """
    learned = ("train",) if split == "validation" else ("train", "validation")
    rows = [row for row in run.known_videos() if row["split"] in learned]
    groups = {row["group"] for row in rows} - {""} if same_dataset else set()
    digests = {row["digest"] for row in rows}
    leaks = {f"recording {entry.group}" for entry in entries if entry.group in groups}
    return sorted(
        leaks | {f"content of {e.path}" for e in entries if e.digest in digests}
    )


def is_same_dataset(run: Run, cache: FeatureCache) -> bool:
    """Whether names of recordings mean the same: by the dataset's folder, or by any content."""
    if cache.settings().get("dataset") == run.config()["dataset"]:
        return True
    learned = {
        row["digest"] for row in files.read_own_csv(run.videos_path, ("digest",))
    }
    return any(entry.digest in learned for entry in dataset.usable_entries(cache))
