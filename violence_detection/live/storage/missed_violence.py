"""Estimates the violence that no event tells of, from the spot checks that people have judged.

The spot checks of stratum `any` are windows at moments chosen by chance, while no event was open.
The share of them that shows violence is that of all such moments; of a day it is so many minutes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from violence_detection.live.storage import ulids
from violence_detection.live.storage.event_list import DISPUTED, agreed_verdict
from violence_detection.live.storage.event_reader import EventReader

MIN_CHECKS = 30  # with fewer the interval of a day without any is wider than two hours
DAYS = 90
_DAY_MS = 86_400_000
_MINUTES = 1440


@dataclass(frozen=True)
class MissedViolence:
    """Violent minutes a day that no event tells of.

    Attributes:
        camera: Name of the camera; empty for a camera of the average.
        checks: Judged spot checks that were used.
        violent: Those that show violence.
        unclear: Further ones of which people are unsure or differ.
        waiting: Further ones that nobody has judged.
        since_ms: The time of the first one, UTC, or None.
        minutes: Minutes of a camera's day, or None.
        interval: Its 95% interval, Wilson's, or None.
        refusal: Why there is no estimate; else empty.
    """

    camera: str
    checks: int
    violent: int
    unclear: int
    waiting: int
    since_ms: int | None = None
    minutes: float | None = None
    interval: tuple[float, float] | None = None
    refusal: str = ""

    @property
    def sentence(self) -> str:
        """The estimate with its interval and what it rests on, or why there is none."""
        if self.refusal:
            return self.refusal
        low, high = self.interval
        return (
            f"About {self.minutes:.0f} min of a camera's day show violence that no event tells of "
            f"({low:.0f} to {high:.0f} with 95% confidence): {self.violent} of {self.checks} "
            f"judged moments chosen by chance {'shows' if self.violent == 1 else 'show'} it."
        )

    def to_json(self) -> dict[str, Any]:
        """All of it, with the caveat that belongs to the figure."""
        return {
            "checks": self.checks,
            "violent": self.violent,
            "unclear": self.unclear,
            "waiting": self.waiting,
            "since_ms": self.since_ms,
            "minutes_a_day": self.minutes,
            "interval": self.interval,
            "refusal": self.refusal,
            "caveat": "" if self.refusal else CAVEAT,
        }


CAVEAT = (
    "It holds for time that was judged while no event was open, with this run and the thresholds "
    "of these days. Checks of one day may be alike, so the truth may lie outside the interval more "
    "often than one time in 20."
)


@dataclass(frozen=True)
class _Check:
    """A spot check: its camera, its time, and `violent`, `not_violent`, `unclear` or empty."""

    camera: str
    start_ms: int
    outcome: str


def estimate_missed(
    reader: EventReader, *, now_ms: int, visible: Sequence[str] | None = None
) -> tuple[MissedViolence, list[MissedViolence]]:
    """Estimates over all cameras, and of each that has a spot check.

    Those of the last 90 days with the run of the newest are used.

    Args:
        reader: The event store.
        now_ms: UTC in milliseconds.
        visible: Names of the cameras that may be used; None means all.
    """
    checks = [
        check
        for check in _spot_checks(reader, since_ms=now_ms - DAYS * _DAY_MS)
        if visible is None or check.camera in visible
    ]
    cameras = sorted({check.camera for check in checks})
    return _estimate("", checks), [
        _estimate(name, [check for check in checks if check.camera == name]) for name in cameras
    ]


def _estimate(camera: str, checks: Sequence[_Check]) -> MissedViolence:
    outcomes = [check.outcome for check in checks]
    violent, judged = outcomes.count("violent"), outcomes.count("not_violent")
    judged += violent
    counts = {
        "camera": camera,
        "checks": judged,
        "violent": violent,
        "unclear": outcomes.count("unclear"),
        "waiting": outcomes.count(""),
        "since_ms": min((check.start_ms for check in checks), default=None),
    }
    if judged < MIN_CHECKS:
        return MissedViolence(
            **counts,
            refusal=f"An estimate of what is missed needs {MIN_CHECKS} judged spot checks of "
            f"moments chosen by chance; there {'is' if judged == 1 else 'are'} {judged}.",
        )
    from violence_detection.metrics.intervals import wilson_interval  # imports SciPy

    low, high = wilson_interval(violent, judged)
    return MissedViolence(
        **counts,
        minutes=round(_MINUTES * violent / judged, 1),
        interval=(round(_MINUTES * low, 1), round(_MINUTES * high, 1)),
    )


def _spot_checks(reader: EventReader, *, since_ms: int) -> list[_Check]:
    """The spot checks of moments by chance, of the newest run, the oldest first."""
    newest = reader.rows(
        "select run_digest from events where stratum = 'any' order by id desc limit 1"
    )
    if not newest:
        return []
    chosen = "e.stratum = 'any' and e.id >= ? and e.run_digest = ?"
    values = [ulids.lowest(since_ms), newest[0][0]]
    verdicts: dict[str, dict[str, str]] = {}  # the last of each person, by event
    for event, start_ms, end_ms, clip_ms, person, verdict, from_s, to_s in reader.rows(
        "select e.id, e.start_ms, e.end_ms, c.start_ms, v.by, v.verdict, v.start_s, v.end_s "
        "from events e join verdicts v on v.event = e.id left join clips c on c.event = e.id "
        f"where {chosen} and v.undone_by is null order by v.n",
        values,
    ):
        part = None if clip_ms is None or from_s is None else (from_s, to_s)
        if verdict == "violent" and part:
            # The clip is longer than the window: the part that the person marked may lie beside it.
            from_ms, to_ms = (clip_ms + 1000 * time_s for time_s in part)
            verdict = "violent" if from_ms < end_ms and start_ms < to_ms else "not_violent"
        verdicts.setdefault(event, {})[person] = verdict
    rows = reader.rows(
        f"select e.id, e.camera, e.start_ms from events e where {chosen} order by e.id", values
    )
    return [
        _Check(camera, start_ms, _outcome(verdicts.get(event, {}).values()))
        for event, camera, start_ms in rows
    ]


def _outcome(verdicts: Iterable[str]) -> str:
    held = agreed_verdict(",".join(verdicts))
    return "unclear" if held in ("unsure", DISPUTED) else held
