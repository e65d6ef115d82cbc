"""JSON routes: state, events, verdicts, snooze; pictures and clips."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from violence_detection.live.access.user_accounts import User
from violence_detection.live.storage import event_list
from violence_detection.live.storage.event_list import EventFilter, ListedEvent
from violence_detection.live.web.page_state import WatchPage, page_of

router = APIRouter(prefix="/api")

_MAX_SNOOZE_MIN = 7 * 24 * 60
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_MEDIA = {
    "clip.mp4": ("path", "video/mp4"),
    "preview.mp4": ("preview_path", "video/mp4"),
    "poster.jpg": ("poster_path", "image/jpeg"),
}


def viewer(request: Request) -> User:
    """The user of a request; every user is a viewer."""
    return page_of(request).sign_in.user(request)


def reviewer(request: Request) -> User:
    """The user of a request, who may judge.

    Raises:
        HTTPException: 403 for a viewer.
    """
    return _with_role(viewer(request), "reviewer")


def admin(request: Request) -> User:
    return _with_role(viewer(request), "admin")


def _with_role(user: User, role: str) -> User:
    if not user.may(role):
        raise HTTPException(403, f"This needs the role {role}.")
    return user


Page = Annotated[WatchPage, Depends(page_of)]
Viewer = Annotated[User, Depends(viewer)]
Reviewer = Annotated[User, Depends(reviewer)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class VerdictBody(_Body):
    """A verdict; `start_s` and `end_s` are the violent part in seconds of the clip."""

    verdict: Literal["violent", "not_violent", "unsure"]
    start_s: float | None = Field(None, ge=0, le=86400)
    end_s: float | None = Field(None, gt=0, le=86400)
    note: str = Field("", max_length=1000)


class UndoBody(_Body):
    verdict: int = Field(gt=0)


class SnoozeBody(_Body):
    """Minutes from now; 0 ends a snooze."""

    minutes: float = Field(ge=0, le=_MAX_SNOOZE_MIN)


class MissedBody(_Body):
    """Seconds ago at which something happened that raised no alert."""

    seconds_ago: float = Field(ge=0, le=86400)


@router.get("/status")
def status(page: Page, user: Viewer) -> dict[str, Any]:
    """State of the cameras that the user may see, of the sinks and of the judge."""
    values = page.status().to_json()
    values["cameras"] = [row for row in values["cameras"] if user.may_see(row["name"])]
    for judge in values["judges"]:
        judge["cameras"] = [name for name in judge["cameras"] if user.may_see(name)]
    if user.cameras is not None:
        # Errors and counts of messages tell of the other cameras.
        values["sinks"] = [
            {name: row[name] for name in ("name", "state")} for row in values["sinks"]
        ]
    values["unreviewed"] = event_list.count_unreviewed(page.reader, user.cameras)
    values["now_ms"] = page.now_ms()
    return values


@router.get("/missed")
def missed(page: Page, user: Viewer) -> dict[str, Any]:
    """Estimates of the violence that no event tells of, from judged spot checks."""
    together, cameras = page.missed(user)
    return {"all": together.to_json(), "cameras": {row.camera: row.to_json() for row in cameras}}


@router.get("/events")
def events(
    page: Page,
    user: Viewer,
    camera: Annotated[str, Query(max_length=64)] = "",
    site: Annotated[str, Query(max_length=200)] = "",
    from_ms: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    to_ms: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    priority: Literal["", "low", "medium", "high"] = "",
    kind: Annotated[str, Query(max_length=32)] = "",
    verdict: Literal["", "violent", "not_violent", "unsure", "disputed", "none"] = "",
    before: Annotated[str, Query(max_length=26)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """Events from the newest to the oldest; `next` is the `before` of the next page, or empty."""
    chosen = EventFilter(user.cameras, camera, site, from_ms, to_ms, priority, kind, verdict)
    rows = event_list.list_events(page.reader, chosen, before=before or None, limit=limit)
    return {
        "events": [event_json(row) for row in rows],
        "next": rows[-1].event.id if len(rows) == limit else "",
    }


@router.get("/events/{event_id}")
def event(page: Page, user: Viewer, event_id: str) -> dict[str, Any]:
    """An event with its windows and verdicts."""
    listed = visible_event(page, user, event_id)
    verdicts = page.reader.verdicts(event_id)
    return event_json(listed) | {
        "windows": [
            {
                "start_ms": row.start_ms,
                "end_ms": row.end_ms,
                "probability": row.probability,
                "region": row.region,
                "novelty": row.novelty,
            }
            for row in page.reader.windows(event_id)
        ],
        "verdicts": [
            {
                "n": row.n,
                "verdict": row.verdict,
                "by": row.by,
                "at_ms": row.at_ms,
                "start_s": row.start_s,
                "end_s": row.end_s,
                "note": row.note,
                "label_row": row.label_row,
                "undone_by": row.undone_by,
            }
            for row in verdicts
        ],
    }


@router.post("/events/{event_id}/verdict")
def post_verdict(
    page: Page, user: Reviewer, request: Request, event_id: str, body: VerdictBody
) -> dict[str, Any]:
    """Stores a verdict, and writes it into the dataset; `next` is the next event to review."""
    listed = visible_event(page, user, event_id)
    if (body.start_s is None) != (body.end_s is None) or (
        body.start_s is not None and body.start_s >= body.end_s
    ):
        raise HTTPException(422, "start_s must be less than end_s; both or neither.")
    number = page.requests.record_verdict(
        event_id, body.verdict, user.name, body.start_s, body.end_s, body.note
    )
    page.record(request, user, f"judge {body.verdict}", event_id)
    page.labels.wake()
    return {
        "verdict": number,
        "next": event_list.next_to_review(page.reader, user.cameras, skip=listed.event.id) or "",
        "unreviewed": event_list.count_unreviewed(page.reader, user.cameras),
    }


@router.post("/events/{event_id}/undo")
def undo(
    page: Page, user: Reviewer, request: Request, event_id: str, body: UndoBody
) -> dict[str, Any]:
    """Takes back a verdict of the user on the event; an admin may take back those of others."""
    visible_event(page, user, event_id)
    verdict = next((row for row in page.reader.verdicts(event_id) if row.n == body.verdict), None)
    if verdict is None:
        raise HTTPException(404, "The event has no such verdict.")
    if verdict.by != user.name and not user.may("admin"):
        raise HTTPException(403, "Only an admin takes back the verdict of another person.")
    is_undone = page.requests.undo_verdict(body.verdict, user.name)
    page.record(request, user, "undo verdict", event_id)
    page.labels.wake()
    return {"undone": is_undone}


@router.post("/events/{event_id}/acknowledge")
def acknowledge(page: Page, user: Reviewer, request: Request, event_id: str) -> dict[str, Any]:
    """Says that somebody takes care; escalations that wait are not sent."""
    visible_event(page, user, event_id)
    is_first = page.requests.acknowledge(event_id, user.name)
    page.record(request, user, "acknowledge", event_id)
    return {"acknowledged": is_first}


@router.post("/cameras/{camera}/snooze")
def snooze(
    page: Page, user: Reviewer, request: Request, camera: str, body: SnoozeBody
) -> dict[str, Any]:
    """Sends nothing of a camera for some minutes; its events are stored."""
    check_camera(page, user, camera)
    until_ms = page.now_ms() + int(body.minutes * 60_000)
    page.requests.snooze(camera, until_ms, user.name)
    page.record(request, user, f"snooze {body.minutes:g} min", camera)
    return {"until_ms": until_ms}


@router.post("/cameras/{camera}/missed")
def report_missed(
    page: Page, user: Reviewer, request: Request, camera: str, body: MissedBody
) -> dict[str, Any]:
    """Makes an event of something that raised no alert."""
    check_camera(page, user, camera)
    at_ms = page.now_ms() - int(body.seconds_ago * 1000)
    event_id = page.requests.report_missed(camera, at_ms, user.name)
    page.record(request, user, "report missed", event_id)
    return {"event": event_id}


@router.get("/cameras/{camera}/picture.jpg")
def picture(page: Page, user: Viewer, camera: str) -> Response:
    """The newest picture of a camera."""
    check_camera(page, user, camera)
    content = page.picture(camera)
    if not content:
        raise HTTPException(404, "There is no picture of the camera yet.")
    return Response(content, media_type="image/jpeg")


@router.get("/cameras/{camera}/live.mp4")
async def live_video(page: Page, user: Viewer, camera: str) -> StreamingResponse:
    """Live video of a camera: fragments of MP4 without an end."""
    await anyio.to_thread.run_sync(check_camera, page, user, camera)
    return StreamingResponse(await page.video.open(camera), media_type="video/mp4")


@router.get("/cameras/{camera}/scores")
def scores(
    page: Page, user: Viewer, camera: str, minutes: Annotated[int, Query(ge=1, le=1440)] = 10
) -> dict[str, Any]:
    """Highest probability of each of the last minutes; null where nothing was judged."""
    check_camera(page, user, camera)
    return {"minutes": recent_maxima(page, camera, minutes)}


@router.get("/events/{event_id}/{name}")
def media(page: Page, user: Viewer, request: Request, event_id: str, name: str) -> Response:
    """The clip, its preview or its contact sheet: `clip.mp4`, `preview.mp4`, `poster.jpg`."""
    visible_event(page, user, event_id)
    if name not in _MEDIA:
        raise HTTPException(404, "There is no such file.")
    field, media_type = _MEDIA[name]
    clip = page.reader.clip(event_id)
    relative = getattr(clip, field) if clip and clip.state == "kept" else None
    path = _inside(page.data, relative) if relative else None
    try:
        stat = path.stat() if path else None
    except OSError:  # deleted since: retention does not wait for readers
        stat = None
    if stat is None:
        raise HTTPException(404, "The file is not there, or not any more.")
    if media_type == "video/mp4":
        page.record_look(request, user, event_id)
    return FileResponse(path, media_type=media_type, stat_result=stat)


# -- shared with the pages


def visible_event(page: WatchPage, user: User, event_id: str) -> ListedEvent:
    """
    Raises:
        HTTPException: 404 if the event does not exist, or the user may not see its camera.
    """
    listed = event_list.listed_event(page.reader, event_id) if _ULID.fullmatch(event_id) else None
    if listed is None or not user.may_see(listed.event.camera):
        raise HTTPException(404, "There is no such event.")
    return listed


def check_camera(page: WatchPage, user: User, camera: str) -> None:
    """
    Raises:
        HTTPException: 404 if the camera does not exist, or the user may not see it.
    """
    names = {row.name for row in page.status().cameras}
    if camera not in names or not user.may_see(camera):
        raise HTTPException(404, "There is no such camera.")


def event_json(listed: ListedEvent) -> dict[str, Any]:
    """An event as the API gives it; times are UTC in milliseconds."""
    row = listed.event
    return {
        "id": row.id, "camera": row.camera, "title": listed.title, "site": listed.site,
        "kind": row.kind, "start_ms": row.start_ms, "end_ms": row.end_ms, "peak": row.peak,
        "peak_ms": row.peak_ms, "priority": row.priority, "threshold": row.threshold,
        "state": row.state, "continues": row.continues, "suppressed_by": row.suppressed_by,
        "acknowledged_by": row.acknowledged_by, "acknowledged_ms": row.acknowledged_ms,
        "verdict": listed.verdict, "clip": listed.clip, "has_poster": listed.has_poster,
    }  # fmt: skip


def recent_maxima(page: WatchPage, camera: str, minutes: int) -> list[float | None]:
    """Highest probability of each of the last full minutes, oldest first; None without any."""
    last = page.now_ms() // 60_000 - 1
    highest: list[float | None] = [None] * minutes
    for row in page.reader.minutes(camera, first=last - minutes + 1, last=last):
        place = row.minute - last + minutes - 1
        if row.scores:
            highest[place] = round(max(*row.scores, highest[place] or 0.0), 4)
    return highest


def _inside(folder: Path, relative: str) -> Path | None:
    """A file below a folder; None if it is not there, or elsewhere."""
    root = folder.resolve()
    path = (root / relative).resolve()
    return path if path.is_relative_to(root) and path.is_file() else None


def json_text(value: Any) -> str:
    """JSON that can stand in a page."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
