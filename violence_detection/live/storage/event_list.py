"""Events as people list and review them: with camera, clip, and the verdict that holds."""

from dataclasses import dataclass, fields

from violence_detection.live.storage.event_reader import EventReader
from violence_detection.live.storage.event_records import StoredEvent

VERDICTS = ("violent", "not_violent", "unsure")
DISPUTED = "disputed"
UNREVIEWED = "none"
MAX_COUNT = 1000  # of events that are counted: the page asks each second
REVIEWED_KINDS = ("violence", "spot_check", "reported")

# The last verdict of each person that was not undone; one text a different verdict.
_HELD = """(
    select group_concat(distinct v.verdict) from verdicts v
    where v.event = e.id and v.undone_by is null and v.n = (
        select max(w.n) from verdicts w
        where w.event = v.event and w.by = v.by and w.undone_by is null
    )
)"""
# Few events have different verdicts: the others need no closer look.
_SEVERAL = """
    select event from verdicts where undone_by is null
    group by event having count(distinct verdict) > 1
"""
_IS_UNREVIEWED = """not exists (
    select 1 from verdicts v where v.event = e.id and v.undone_by is null
)"""
_COLUMNS = ", ".join(f"e.{field.name}" for field in fields(StoredEvent))


@dataclass(frozen=True)
class EventFilter:
    """Restrictions of a list of events; None and empty texts do not restrict.

    Attributes:
        visible: Names of the cameras that the reader may see; None means all.
        camera, site: Of this camera or place only.
        from_ms, to_ms: That start in this time, without its end.
        priority: `low`, `medium` or `high`.
        kind: A kind of event.
        verdict: `violent`, `not_violent`, `unsure`, `disputed`, or `none` for unreviewed events.
    """

    visible: tuple[str, ...] | None = None
    camera: str = ""
    site: str = ""
    from_ms: int | None = None
    to_ms: int | None = None
    priority: str = ""
    kind: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class ListedEvent:
    """An event with what a list shows of it.

    Attributes:
        title, site: Of its camera.
        verdict: The one that holds; `disputed` if people differ, empty without any.
        clip: State of its clip; empty if it has none.
        has_poster: It has a contact sheet.
    """

    event: StoredEvent
    title: str
    site: str
    verdict: str
    clip: str
    has_poster: bool


def list_events(
    reader: EventReader, chosen: EventFilter, *, before: str | None = None, limit: int = 50
) -> list[ListedEvent]:
    """Events from the newest to the oldest.

    Args:
        chosen: Which of them.
        before: Older than the event of this id: the next page.
        limit: At most this many.
    """
    where, values = _conditions(chosen)
    if before:
        where.append("e.id < ?")
        values.append(before)
    return _listed(reader, where, [*values, limit])


def listed_event(reader: EventReader, event_id: str) -> ListedEvent | None:
    """One event; None if it does not exist."""
    return next(iter(_listed(reader, ["e.id = ?"], [event_id, 1])), None)


def next_to_review(
    reader: EventReader, visible: tuple[str, ...] | None, *, skip: str = ""
) -> str | None:
    """Id of the next event without a verdict: high, then reported, the spot checks, medium, low,
    the newest first; None if all have one.

    Spot checks are few, and behind a backlog of low events nobody would come to know what is
    missed.

    Args:
        visible: Names of the cameras that the reader may see; None means all.
        skip: Id of an event that is left out.
    """
    orders = [("violence", "high"), ("reported", ""), ("spot_check", "")]
    for kind, priority in [*orders, ("violence", "medium"), ("violence", "low")]:
        where, values = _conditions(EventFilter(visible, kind=kind, priority=priority))
        rows = reader.rows(
            f"select e.id from events e where {' and '.join(where)} and {_IS_UNREVIEWED} "
            "and e.state = 'ended' and e.id <> ? order by e.id desc limit 1",
            [*values, skip],
        )
        if rows:
            return rows[0][0]
    return None


def count_unreviewed(reader: EventReader, visible: tuple[str, ...] | None) -> int:
    """Count of events that wait for a verdict, up to `MAX_COUNT`."""
    where, values = _conditions(EventFilter(visible))
    marks = ", ".join("?" * len(REVIEWED_KINDS))
    where += [_IS_UNREVIEWED, "e.state = 'ended'", f"e.kind in ({marks})"]
    rows = reader.rows(
        f"select count(*) from (select 1 from events e where {' and '.join(where)} limit ?)",
        [*values, *REVIEWED_KINDS, MAX_COUNT],
    )
    return rows[0][0]


def _conditions(chosen: EventFilter) -> tuple[list[str], list[str | int]]:
    where: list[str] = ["1"]
    values: list[str | int] = []
    if chosen.visible is not None:
        where.append(f"e.camera in ({', '.join('?' * len(chosen.visible))})")
        values += chosen.visible
    for text, value in (
        ("e.camera = ?", chosen.camera),
        ("e.camera in (select name from cameras where site = ?)", chosen.site),
        ("e.start_ms >= ?", chosen.from_ms),
        ("e.start_ms < ?", chosen.to_ms),
        ("e.priority = ?", chosen.priority),
        ("e.kind = ?", chosen.kind),
    ):
        if value not in ("", None):
            where.append(text)
            values.append(value)
    if chosen.verdict == UNREVIEWED:
        where.append(_IS_UNREVIEWED)
    elif chosen.verdict == DISPUTED:
        where += [f"e.id in ({_SEVERAL})", f"{_HELD} like '%violent%violent%'"]
    elif chosen.verdict:
        where.append(f"{_HELD} = ?")
        values.append(chosen.verdict)
    return where, values


def _listed(reader: EventReader, where: list[str], values: list[str | int]) -> list[ListedEvent]:
    rows = reader.rows(
        f"select {_COLUMNS}, coalesce(c.title, e.camera), coalesce(c.site, ''), {_HELD}, "
        "coalesce(p.state, ''), p.poster_path is not null from events e "
        "left join cameras c on c.name = e.camera left join clips p on p.event = e.id "
        f"where {' and '.join(where)} order by e.id desc limit ?",
        values,
    )
    return [
        ListedEvent(StoredEvent(*event), title, site, agreed_verdict(held), clip, bool(has_poster))
        for *event, title, site, held, clip, has_poster in rows
    ]


def agreed_verdict(held: str | None) -> str:
    """The verdict that holds, of the different verdicts of several people joined by commas."""
    different = set((held or "").split(",")) - {""}
    if {"violent", "not_violent"} <= different:
        return DISPUTED
    return next((verdict for verdict in VERDICTS if verdict in different), "")
