"""Deletes clips by age, size and free disk; evidence is kept, whatever the disk says.

By age, each clip goes after the days of its priority, or of the verdict on it. If clips then take
more than `max_bytes`, or the disk has less than `min_free_bytes`, clips are deleted in this order,
the oldest first: judged not violent, low, medium, high that somebody judged. A high event that
nobody has reviewed, and an event that somebody judged violent, is never deleted for room: new clips
of low and medium events are not written instead, and people are told.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from violence_detection.live.recording.clips import FOLDER, PART
from violence_detection.live.storage import messages
from violence_detection.live.storage.event_store import EventStore

log = logging.getLogger(__name__)

_DAY_MS = 24 * 3_600_000
_ORPHAN_MS = _DAY_MS
_WEEK_MS = 7 * _DAY_MS
# Each person's last verdict that was not taken back; of an event that anybody calls violent,
# `violent`.
_KEPT_CLIPS = """
    select p.event, p.path, p.bytes, e.priority, coalesce(p.end_ms, e.end_ms, e.start_ms),
        (select case when count(*) = 0 then '' when sum(v.verdict = 'violent') then 'violent'
                when sum(v.verdict = 'not_violent') then 'not_violent' else 'unsure' end
         from verdicts v where v.event = p.event and v.undone_by is null and not exists
            (select 1 from verdicts w where w.event = v.event and w.by = v.by
             and w.undone_by is null and w.n > v.n))
    from clips p join events e on e.id = p.event where p.state = 'kept' order by p.event
"""


@dataclass(frozen=True)
class RetentionSettings:
    """Limits of what is kept.

    Attributes:
        low_days, medium_days, high_days: Days that a clip is kept, by the event's priority.
        violent_days, not_violent_days: The same for events that somebody judged; `unsure` counts
            as no verdict.
        max_bytes: Most bytes of clips; None sets no limit.
        min_free_bytes: Free space of the disk that is not used for clips.
    """

    low_days: float = 7.0
    medium_days: float = 14.0
    high_days: float = 30.0
    violent_days: float = 90.0
    not_violent_days: float = 7.0
    max_bytes: int | None = None
    min_free_bytes: int = 10 << 30


@dataclass(frozen=True)
class KeptClip:
    """A clip that may be deleted.

    Attributes:
        event: Id of the event.
        path: Path of the video, relative to the data folder.
        bytes: Size of the video and its pictures.
        priority: That of the event.
        end_ms: Its end, UTC.
        verdict: `violent`, `not_violent`, `unsure`, or empty.
    """

    event: str
    path: str
    bytes: int
    priority: str
    end_ms: int
    verdict: str = ""

    @property
    def is_protected(self) -> bool:
        """True if it is never deleted for room."""
        return self.verdict == "violent" or (self.priority == "high" and not self.verdict)

    @property
    def deletion_rank(self) -> int:
        """Place in the order of deletion for room."""
        if self.verdict == "not_violent":
            return 0
        return 1 + messages.PRIORITIES.index(self.priority)


@dataclass(frozen=True)
class RetentionPlan:
    """The clips to delete, and whether that is enough.

    Attributes:
        expired: Clips that are too old.
        for_room: Clips that are deleted to make room.
        lacking_bytes: Bytes that are still too many; what there is may not be deleted.
    """

    expired: tuple[KeptClip, ...]
    for_room: tuple[KeptClip, ...]
    lacking_bytes: int


@dataclass(frozen=True)
class RetentionReport:
    """The outcome of a sweep.

    Attributes:
        expired, for_room: Number of clips that were deleted, by reason.
        freed_bytes: Their size.
        is_short: New clips of low and medium events are not written.
        notice: A sentence for people if `is_short` has changed; else empty.
        days_that_fit: Days of clips, at the rate of the last week, for which there is room; None
            if there were none.
    """

    expired: int
    for_room: int
    freed_bytes: int
    is_short: bool
    notice: str
    days_that_fit: float | None


@dataclass(frozen=True)
class SweepReport:
    """Repairs at the start: files without a row that were deleted and their size, and
    rows without a file that count as lost."""

    orphans: int
    orphan_bytes: int
    lost: int


def plan_deletions(
    clips: Iterable[KeptClip],
    settings: RetentionSettings,
    *,
    now_ms: int,
    free_bytes: int,
) -> RetentionPlan:
    """The clips to delete.

    Args:
        clips: All clips that are kept.
        settings: The limits.
        now_ms: UTC in milliseconds.
        free_bytes: Free space of the disk.
    """
    expired, rest = [], []
    for clip in clips:
        is_old = now_ms - clip.end_ms > _days(clip, settings) * _DAY_MS
        (expired if is_old else rest).append(clip)
    freed = sum(clip.bytes for clip in expired)
    too_large = sum(clip.bytes for clip in rest) - (settings.max_bytes or 0)
    lacking = max(
        too_large if settings.max_bytes is not None else 0,
        settings.min_free_bytes - free_bytes - freed,
        0,
    )
    candidates = sorted(
        (clip for clip in rest if not clip.is_protected),
        key=lambda clip: (clip.deletion_rank, clip.end_ms),
    )
    for_room = []
    for clip in candidates:
        if lacking <= 0:
            break
        for_room.append(clip)
        lacking -= clip.bytes
    return RetentionPlan(tuple(expired), tuple(for_room), max(0, lacking))


class Retention:
    """Keeps the clips of a data folder within their limits."""

    def __init__(
        self,
        store: EventStore,
        data: Path,
        settings: RetentionSettings,
        *,
        free_bytes: Callable[[], int] | None = None,
    ) -> None:
        """
        Args:
            store: Has the rows of the clips, and the clock.
            data: The folder that paths of clips are relative to.
            settings: The limits.
            free_bytes: Free space of the disk; None asks the system.
        """
        self._store, self._data, self._settings = store, data, settings
        self._free_bytes = free_bytes or (lambda: _free_bytes(data))
        self._is_short = False

    def may_write(self, priority: str) -> bool:
        """True if the clip of a new event of this priority is written."""
        return priority == "high" or not self._is_short

    def sweep(self) -> RetentionReport:
        """Deletes what is too old or too much; call it every minute and before each clip.

        Raises:
            ViolenceDetectionError: If the store cannot be written.
        """
        self._store.restore_ballast()
        now, clips = self._store.now_ms(), kept_clips(self._store)
        plan = plan_deletions(clips, self._settings, now_ms=now, free_bytes=self._free_bytes())
        deleted = [*plan.expired, *plan.for_room]
        # The files go first: on a full disk rows can be written only after that.
        for clip in deleted:
            self._delete_files(clip)
        self._store.mark_clips([clip.event for clip in deleted], "expired")
        if deleted:
            log.info(
                f"Clips deleted: {len(plan.expired)} by age, {len(plan.for_room)} to make room."
            )
        return RetentionReport(
            len(plan.expired),
            len(plan.for_room),
            sum(clip.bytes for clip in deleted),
            is_short=plan.lacking_bytes > 0,
            notice=self._notice(plan.lacking_bytes),
            days_that_fit=self._days_that_fit(clips, deleted, now),
        )

    def sweep_at_start(self) -> SweepReport:
        """Deletes files without a row that are older than a day, and marks rows without their file.

        A `.part` file of a killed process counts as its file: the capture finishes it.
        """
        rows = self._store.clips("writing", "kept")
        known = {_stem(self._data / clip.path) for clip in rows}
        lost = [clip.event for clip in rows if not self._has_file(clip.path)]
        self._store.mark_clips(lost, "lost")
        files, size = self._delete_orphans(known)
        self._delete_empty_folders()
        if files or lost:
            log.warning(
                f"Clips: {files} files without a row were deleted ({size >> 20} MB), "
                f"{len(lost)} rows without a file are marked as lost."
            )
        return SweepReport(files, size, len(lost))

    def sweep_pictures(self) -> int:
        """Deletes files without the row of a clip that are older than a day, such as pictures of
        events of cameras without clips, which messages were sent with; how many there were."""
        rows = self._store.clips("writing", "kept")
        return self._delete_orphans({_stem(self._data / clip.path) for clip in rows})[0]

    def _delete_orphans(self, known: set[Path]) -> tuple[int, int]:
        """Number and bytes of the files that were deleted."""
        orphans = [path for path in self._files() if self._is_orphan(path, known)]
        size = 0
        for path in orphans:
            with contextlib.suppress(OSError):
                size += path.lstat().st_size
                path.unlink()
        return len(orphans), size

    def _has_file(self, name: str) -> bool:
        path = self._data / name
        return path.is_file() or path.with_name(path.name + PART).is_file()

    def _notice(self, lacking_bytes: int) -> str:
        was_short, self._is_short = self._is_short, lacking_bytes > 0
        if self._is_short and not was_short:
            return (
                f"{max(1, lacking_bytes >> 20)} MB too many are used, and what there is may not be "
                "deleted: events of high priority that nobody has reviewed, and events judged "
                "violent. Clips of low and medium events are not written until there is room; "
                "events and messages go on."
            )
        if was_short and not self._is_short:
            return "There is room again: clips of all events are written."
        return ""

    def _days_that_fit(
        self, clips: Sequence[KeptClip], deleted: Sequence[KeptClip], now: int
    ) -> float | None:
        week = [clip.bytes for clip in clips if now - clip.end_ms <= _WEEK_MS]
        oldest = min((clip.end_ms for clip in clips), default=now)
        days = min(_WEEK_MS, max(1, now - oldest)) / _DAY_MS
        if not sum(week):
            return None
        kept = sum(clip.bytes for clip in clips) - sum(clip.bytes for clip in deleted)
        room = kept + self._free_bytes() - self._settings.min_free_bytes
        if self._settings.max_bytes is not None:
            room = min(room, self._settings.max_bytes)
        return max(0.0, room / (sum(week) / days))

    def _delete_files(self, clip: KeptClip) -> None:
        """Deletes the video and what was made of it; they share the name up to the first dot."""
        path = self._data / clip.path
        for sibling in path.parent.glob(f"{path.name.partition('.')[0]}.*"):
            with contextlib.suppress(OSError):
                sibling.unlink()

    def _files(self) -> list[Path]:
        """All files below the folder of clips, links not followed."""
        return [
            Path(folder, name)
            for folder, _, names in os.walk(self._data / FOLDER)
            for name in names
        ]

    def _is_orphan(self, path: Path, known: set[Path]) -> bool:
        try:
            age_ms = self._store.now_ms() - path.lstat().st_mtime * 1000
        except OSError:
            return False
        return age_ms > _ORPHAN_MS and _stem(path) not in known

    def _delete_empty_folders(self) -> None:
        folders = [Path(folder) for folder, *_ in os.walk(self._data / FOLDER, topdown=False)]
        for folder in folders[:-1]:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


def kept_clips(store: EventStore) -> list[KeptClip]:
    """All clips that are kept, the oldest event first."""
    return [KeptClip(*row) for row in store.rows(_KEPT_CLIPS)]


def _days(clip: KeptClip, settings: RetentionSettings) -> float:
    judged = {"violent": settings.violent_days, "not_violent": settings.not_violent_days}
    by_priority = {
        "low": settings.low_days,
        "medium": settings.medium_days,
        "high": settings.high_days,
    }
    return judged.get(clip.verdict, by_priority[clip.priority])


def _stem(path: Path) -> Path:
    return path.with_name(path.name.partition(".")[0])


def _free_bytes(folder: Path) -> int:
    """Free space for this user, of the disk of a folder or of the first above it that exists."""
    while not folder.exists():
        folder = folder.parent
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize
