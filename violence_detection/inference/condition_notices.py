"""Notices about the system and not about violence: a camera is down, a disk is full, and the like."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

ConditionKind = Literal["camera_down", "camera_blind", "disk", "sink_down", "falling_behind"]
_TOGETHER_S = 10.0  # within which the same begins for several: it is the network
_CLEAR_S = 60.0  # a condition has ended once it is absent so long


@dataclass(frozen=True)
class Notice:
    """A message about a condition; it is subject to no cool-down, quiet hours or snooze.

    Attributes:
        kind: The condition.
        has_ended: False when it begins.
        subjects: The cameras, sinks or disks that have it, sorted; several cameras that fell at
            about the same time are one notice.
        since: When it began for the first of them.
        detail: What is known of it; of the first that has any.
    """

    kind: ConditionKind
    has_ended: bool
    subjects: tuple[str, ...]
    since: datetime
    detail: str = ""

    def sinks(self, names: Iterable[str]) -> tuple[str, ...]:
        """The sinks that are told: not one that is down itself."""
        is_sink = self.kind == "sink_down"
        return tuple(name for name in names if not (is_sink and name in self.subjects))


class _Condition:
    """A condition of a subject, from its beginning until it has been absent for a minute.

    Attributes:
        since: When it began.
        present_since: When it last came back; None while it is absent.
        absent_since: When it was last seen to end; None while it is present.
        lasted: How long it was present before `present_since`.
        is_told: People know of it.
    """

    def __init__(self, since: datetime, detail: str) -> None:
        self.since, self.detail, self.is_told = since, detail, False
        self.present_since: datetime | None = since
        self.absent_since: datetime | None = None
        self.lasted = timedelta(0)

    def set_present(self, at: datetime, detail: str) -> None:
        self.detail = detail or self.detail
        if self.present_since is None:
            self.present_since, self.absent_since = at, None

    def set_absent(self, at: datetime) -> None:
        if self.present_since is not None:
            self.lasted += at - self.present_since
            self.present_since, self.absent_since = None, at

    def is_over(self, at: datetime) -> bool:
        absent = self.absent_since
        return absent is not None and at - absent >= timedelta(seconds=_CLEAR_S)

    def is_due(self, at: datetime, delay: timedelta) -> bool:
        present = self.present_since
        return present is not None and self.lasted + (at - present) >= delay


class ConditionNotices:
    """Decides when people are told of conditions, and of their ends.

    A condition is told once it has lasted as long as its kind must, and its end once it has been
    absent for a minute: one that comes and goes is one notice, and its parts count together. It has
    no clock: times are given, and do not go back.
    """

    def __init__(self, *, camera_down_s: float = 60.0) -> None:
        """
        Args:
            camera_down_s: Seconds that `camera_down` must last before it is told; other kinds are
                told at once.
        """
        self._delays = {"camera_down": timedelta(seconds=camera_down_s)}
        self._conditions: dict[tuple[ConditionKind, str], _Condition] = {}

    def note(
        self, kind: ConditionKind, subject: str, present: bool, at: datetime, detail: str = ""
    ) -> None:
        """Notes that a condition is present or absent; noting the same again changes nothing.

        Args:
            kind: The condition.
            subject: Name of the camera, the sink or the disk.
            present: Whether it has it.
            at: The time, UTC.
            detail: What is known of it.
        """
        key = kind, subject
        condition = self._conditions.get(key)
        if condition is not None and not condition.is_told and condition.is_over(at):
            del self._conditions[key]
            condition = None
        if condition is None:
            if present:
                self._conditions[key] = _Condition(at, detail)
        elif present:
            condition.set_present(at, detail)
        else:
            condition.set_absent(at)

    def forget(self, subject: str) -> None:
        """Drops a camera, a sink or a disk that is not watched any more."""
        for key in [key for key in self._conditions if key[1] == subject]:
            del self._conditions[key]

    def is_told(self, kind: ConditionKind, subject: str) -> bool:
        """True from the notice of its beginning to that of its end."""
        condition = self._conditions.get((kind, subject))
        return condition is not None and condition.is_told

    def due(self, at: datetime) -> list[Notice]:
        """The notices that are to be sent now."""
        return [*self._beginnings(at), *self._ends(at)]

    def _beginnings(self, at: datetime) -> list[Notice]:
        untold: dict[ConditionKind, list[tuple[datetime, str, _Condition]]] = {}
        for (kind, subject), condition in self._conditions.items():
            if not condition.is_told and condition.present_since is not None:
                row = condition.since, subject, condition
                untold.setdefault(kind, []).append(row)
        notices = []
        for kind, rows in untold.items():
            delay = self._delays.get(kind, timedelta(0))
            rows.sort(key=lambda row: row[:2])
            while first := next((row for row in rows if row[2].is_due(at, delay)), None):
                # Those that fell at about the same time do not wait for a notice of their own.
                together = [
                    row for row in rows if abs(row[0] - first[0]) <= timedelta(seconds=_TOGETHER_S)
                ]
                rows = [row for row in rows if row not in together]
                for _, _, condition in together:
                    condition.is_told = True
                detail = next((row[2].detail for row in together if row[2].detail), "")
                subjects = tuple(sorted(subject for _, subject, _ in together))
                notices.append(Notice(kind, False, subjects, together[0][0], detail))
        return notices

    def _ends(self, at: datetime) -> list[Notice]:
        over = [key for key, condition in self._conditions.items() if condition.is_over(at)]
        ended: dict[ConditionKind, dict[str, datetime]] = {}
        for kind, subject in over:
            condition = self._conditions.pop((kind, subject))
            if condition.is_told:
                ended.setdefault(kind, {})[subject] = condition.since
        return [
            Notice(kind, True, tuple(sorted(began)), min(began.values()))
            for kind, began in ended.items()
        ]
