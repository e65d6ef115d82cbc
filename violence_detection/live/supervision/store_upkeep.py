"""Upkeep of the event store: daily copies, old rows, and a word when its disk is full."""

import logging
import threading

from violence_detection.errors import ViolenceDetectionError
from violence_detection.live.access.accounts import Accounts
from violence_detection.live.configuration.retention_settings import RetentionConfig
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.page_start import ACCOUNTS
from violence_detection.live.storage import event_backups, row_retention
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.watching.watch_warnings import WatchWarnings

log = logging.getLogger(__name__)

_DAY_MS = 86_400_000
_DISK_EVERY_S, _COPY_EVERY_S, _ROWS_EVERY_S = 60.0, 3600.0, 3600.0


class StoreUpkeep:
    """Looks after the event store of a watch."""

    def __init__(
        self,
        store: EventStore,
        clock: JoinedClock,
        warnings: WatchWarnings,
        retention: RetentionConfig,
    ) -> None:
        """
        Args:
            store: The event store.
            clock: Monotonic times and UTC.
            warnings: Is told while the disk is full.
            retention: Has the days after which rows are deleted; may be set anew.
        """
        self._store, self._clock, self._warnings = store, clock, warnings
        self.retention = retention
        self._disk_s = self._copy_s = self._rows_s = self._audit_s = clock.monotonic()
        self._copying: threading.Thread | None = None

    def tick(self) -> None:
        """Does what is due; to be called each second."""
        now_s = self._clock.monotonic()
        if now_s >= self._disk_s:
            self._disk_s = now_s + _DISK_EVERY_S
            self._store.restore_ballast()
            self._warnings.set(
                "disk",
                f"The disk of {self._store.path.parent} is full. Events are still stored and sent.",
                holds=self._store.is_short_of_disk,
            )
        if now_s >= self._rows_s:
            deleted = row_retention.delete_old(
                self._store,
                event_days=self.retention.event_days,
                minute_days=self.retention.minute_days,
            )
            # What is left goes in the next seconds, so that no alert waits.
            self._rows_s = now_s + (_ROWS_EVERY_S if deleted.is_done else 0.0)
            if deleted.events or deleted.minutes:
                log.info(
                    f"Old rows deleted: {deleted.events} events, {deleted.minutes} minutes of "
                    "scores."
                )
        if now_s >= self._audit_s:
            self._audit_s = now_s + _ROWS_EVERY_S
            self._delete_old_deeds()
        if now_s >= self._copy_s:
            self._copy_s = now_s + _COPY_EVERY_S
            self._copying = threading.Thread(target=self._copy, name="backup", daemon=True)
            self._copying.start()

    def _delete_old_deeds(self) -> None:
        """Deletes old rows of the page's record of who did what, if there is one."""
        path = self._store.path.parent / ACCOUNTS
        if not path.is_file():
            return
        before_ms = self._clock.now_ms() - round(_DAY_MS * self.retention.audit_days)
        with Accounts(path) as accounts:
            if count := accounts.delete_before(before_ms):
                log.info(f"Old rows deleted: {count} of who did what on the page.")

    def close(self) -> None:
        """Waits for a copy that is being made."""
        if self._copying:
            self._copying.join()

    def _copy(self) -> None:
        try:
            event_backups.back_up_if_due(self._store.path, now_ms=self._clock.now_ms())
        except ViolenceDetectionError as error:
            log.error(f"The event store was not copied: {error}")
