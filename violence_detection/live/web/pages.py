"""HTML routes: the wall of cameras, events, the review queue, health, settings, and the login."""

import dataclasses
import functools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import parse_qs, urlencode
from zoneinfo import ZoneInfo

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from violence_detection.errors import RunError
from violence_detection.live.access.login_delays import LoginError
from violence_detection.live.access.login_sessions import DEVICE_S, SESSION_LONGEST_S
from violence_detection.live.access.user_accounts import User
from violence_detection.live.processes.watch_status import SinkStatus, WatchStatus
from violence_detection.live.storage import event_list
from violence_detection.live.storage.event_list import EventFilter
from violence_detection.live.storage.event_records import StoredClip
from violence_detection.live.storage.messages import local_time
from violence_detection.live.storage.missed_violence import CAVEAT
from violence_detection.live.web.api import (
    Page,
    Viewer,
    admin,
    check_camera,
    event_json,
    json_text,
    recent_maxima,
    visible_event,
)
from violence_detection.live.web.page_state import WatchPage, page_of
from violence_detection.live.web.sign_in import COOKIE, DEVICE_COOKIE, check_same_origin

router = APIRouter(default_response_class=HTMLResponse)

_PAGE = 50
_LINE_MINUTES = 10
_SHOWN_GAPS = 20
_OLD_PICTURE_S = 5
_MAX_WAITING_LOGINS = 20


def _status_for(page: WatchPage, user: User) -> WatchStatus:
    """The status without what sinks say, which names cameras, for who may see some cameras only."""
    status = page.status()
    if user.cameras is None:
        return status
    sinks = tuple(SinkStatus(row.name, row.state) for row in status.sinks)
    return dataclasses.replace(status, sinks=sinks)


@router.get("/")
def wall(page: Page, user: Viewer, request: Request) -> HTMLResponse:
    """All cameras, those with an open event first, then those that are not up."""
    status = _status_for(page, user)
    cameras = sorted(
        (row for row in status.cameras if user.may_see(row.name)),
        key=lambda row: (not row.event, row.state == "up"),  # else in the order of the file
    )
    lines = {
        row.name: score_points(recent_maxima(page, row.name, _LINE_MINUTES)) for row in cameras
    }
    return _render(request, "wall.html.j2", user, status=status, cameras=cameras, lines=lines)


@router.get("/cameras/{name}")
def camera(page: Page, user: Viewer, request: Request, name: str) -> HTMLResponse:
    """One camera: its picture, its last day, its gaps and its events."""
    check_camera(page, user, name)
    status = _status_for(page, user)
    day = recent_maxima(page, name, 24 * 60)
    gaps = page.reader.gaps(name, since_ms=page.now_ms() - 24 * 3600 * 1000)
    rows = event_list.list_events(page.reader, EventFilter(camera=name), limit=10)
    return _render(
        request,
        "camera.html.j2",
        user,
        status=status,
        camera=next(row for row in status.cameras if row.name == name),
        line=score_points(day),
        judged_minutes=sum(score is not None for score in day),
        gaps=gaps[-_SHOWN_GAPS:][::-1],
        events=rows,
    )


@router.get("/events")
def events(
    page: Page,
    user: Viewer,
    request: Request,
    before: Annotated[str, Query(max_length=26)] = "",
    camera: Annotated[str, Query(max_length=64)] = "",
    site: Annotated[str, Query(max_length=200)] = "",
    day: Annotated[str, Query(max_length=10)] = "",
    priority: Annotated[str, Query(max_length=10)] = "",
    verdict: Annotated[str, Query(max_length=12)] = "",
) -> HTMLResponse:
    """Events by camera, place, day, priority and verdict; 50 a page."""
    given = {"camera": camera, "site": site, "day": day, "priority": priority, "verdict": verdict}
    from_ms, to_ms = day_span_ms(day, page.timezone)
    chosen = EventFilter(user.cameras, camera, site, from_ms, to_ms, priority, verdict=verdict)
    rows = event_list.list_events(page.reader, chosen, before=before or None, limit=_PAGE)
    query = {name: value for name, value in given.items() if value}
    following = urlencode(query | {"before": rows[-1].event.id}) if len(rows) == _PAGE else ""
    cameras = [row for row in page.status().cameras if user.may_see(row.name)]
    return _render(
        request,
        "events.html.j2",
        user,
        events=rows,
        given=given,
        cameras=cameras,
        sites=sorted({row.site for row in cameras} - {""}),
        following=following,
        is_first=not before,
    )


@router.get("/events/{event_id}")
def event(
    page: Page, user: Viewer, request: Request, event_id: str, queue: bool = False
) -> HTMLResponse:
    """One event: its clip, its probabilities, its verdicts, and the keys to judge it."""
    listed = visible_event(page, user, event_id)
    clip = page.reader.clip(event_id)
    verdicts = page.reader.verdicts(event_id)
    own = [row for row in verdicts if row.by == user.name and row.undone_by is None]
    # A spot check asks for a judgement that the score has not coloured.
    is_blind = listed.event.kind == "spot_check" and not own
    windows = [] if is_blind else page.reader.windows(event_id)
    neighbours = _neighbours(page, user, event_id)
    data = {
        "event": event_json(listed) | ({"peak": None, "peak_ms": None} if is_blind else {}),
        "clip": clip_json(clip),
        "windows": [[row.start_ms, row.end_ms, row.probability, row.region] for row in windows],
        "own_verdict": own[-1].n if own else 0,
        "is_queue": queue,
        "may_judge": user.may("reviewer"),
        **neighbours,
    }
    return _render(
        request,
        "event.html.j2",
        user,
        listed=listed,
        clip=clip,
        verdicts=verdicts,
        is_blind=is_blind,
        finds=page.status().finds,
        windows=len(windows),
        novel_windows=sum(row.is_novel for row in windows),
        failures=page.labels.failures,
        data=json_text(data),
        unreviewed=event_list.count_unreviewed(page.reader, user.cameras),
        **neighbours,
    )


@router.get("/review")
def review(page: Page, user: Viewer, request: Request) -> Response:
    """The next event that waits for a verdict."""
    event_id = event_list.next_to_review(page.reader, user.cameras)
    if event_id is None:
        return _render(request, "reviewed.html.j2", user)
    return RedirectResponse(f"{_root(request)}/events/{event_id}?queue=1", 303)


@router.get("/health")
def health(page: Page, user: Viewer, request: Request) -> HTMLResponse:
    """State of cameras, sinks and judge, as a table."""
    status = page.status()
    cameras = [row for row in status.cameras if user.may_see(row.name)]
    missed, by_camera = page.missed(user)
    return _render(
        request,
        "health.html.j2",
        user,
        status=status,
        cameras=cameras,
        missed=missed,
        missed_by_camera=[row for row in by_camera if not row.refusal],
        titles={row.name: row.title for row in cameras},
        caveat=CAVEAT,
    )


@router.get("/settings")
def settings(page: Page, user: Annotated[User, Depends(admin)], request: Request) -> HTMLResponse:
    """The cameras file as it was read, with passwords masked; nothing here can be changed."""
    return _render(request, "settings.html.j2", user, settings=page.settings)


@router.get("/audit")
def audit(
    page: Page,
    user: Annotated[User, Depends(admin)],
    request: Request,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
) -> HTMLResponse:
    """The audit log, newest first."""
    deeds = page.accounts.deeds(before=before, limit=100)
    following = deeds[-1][0] if len(deeds) == 100 else None
    return _render(request, "audit.html.j2", user, deeds=deeds, following=following)


# -- login


@router.get("/login")
def login_form(request: Request, next: Annotated[str, Query(max_length=500)] = "/") -> HTMLResponse:
    return _render(request, "login.html.j2", None, next=safe_path(next), error="")


@router.post("/login")
async def login(request: Request, page: Page) -> Response:
    """Starts a session."""
    check_same_origin(request)
    fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=8)
    form = {name: values[0] for name, values in fields.items()}
    following = safe_path(form.get("next", "/"))
    address = request.client.host if request.client else ""
    limiter = _login_limiter(request.app)
    if limiter.statistics().tasks_waiting >= _MAX_WAITING_LOGINS:
        raise HTTPException(503, "Too many people log in at this moment; try again.")
    device = request.cookies.get(DEVICE_COOKIE, "")
    log_in = functools.partial(
        page.accounts.log_in,
        form.get("name", ""),
        form.get("password", ""),
        address=address,
        device=device,
    )
    try:
        secret = await anyio.to_thread.run_sync(log_in, limiter=limiter)
        device = page.accounts.remember_device(secret, device)
    except LoginError as error:
        response = _render(request, "login.html.j2", None, next=following, error=str(error))
        response.status_code = 429 if error.retry_after_s else 401
        if error.retry_after_s:
            response.headers["Retry-After"] = str(int(error.retry_after_s) + 1)
        return response
    response = RedirectResponse(f"{_root(request)}{following}", 303)
    for name, value, age_s in (
        (COOKIE, secret, SESSION_LONGEST_S),
        (DEVICE_COOKIE, device, DEVICE_S),
    ):
        response.set_cookie(
            name,
            value,
            max_age=age_s,
            httponly=True,
            samesite="strict",
            secure=page.has_secure_cookie,
            path=_root(request) or "/",
        )
    return response


def _login_limiter(app: FastAPI) -> anyio.CapacityLimiter:
    """Limits logins apart from other requests: each computes for 0.1 s, before anybody is known,
    and a flood of them must not take the threads that show the cameras."""
    if not hasattr(app.state, "login_limiter"):
        app.state.login_limiter = anyio.CapacityLimiter(2)
    return app.state.login_limiter


@router.post("/logout")
def logout(request: Request, page: Page) -> Response:
    check_same_origin(request)
    page.accounts.log_out(request.cookies.get(COOKIE, ""))
    response = RedirectResponse(f"{_root(request)}/login", 303)
    response.delete_cookie(COOKIE, path=_root(request) or "/")
    return response


@router.get("/healthz")
def is_alive() -> Response:
    """200 while the page runs."""
    return Response("ok\n", media_type="text/plain")


@router.get("/readyz")
def is_ready(page: Page) -> Response:
    """200 while the judge is ready and at least one camera is up, else 503 with the reason."""
    try:
        status = page.status()
    except RunError:  # its text names files of this machine
        return Response("the supervisor does not answer\n", 503, media_type="text/plain")
    reasons = [] if status.judge == "ready" else [f"the judge is {status.judge}"]
    if not any(row.state == "up" for row in status.cameras):
        reasons.append("no camera is up")
    # Who has not signed in learns no more than a monitor needs.
    shown = "; ".join(reasons) if page.sign_in.is_open else "not ready"
    return Response(
        f"{shown if reasons else 'ready'}\n", 503 if reasons else 200, media_type="text/plain"
    )


# -- what the templates show


def _render(request: Request, name: str, user: User | None, **values: Any) -> HTMLResponse:
    page = page_of(request)
    template = request.app.state.templates.get_template(name)
    text = template.render(
        root=_root(request),
        path=request.url.path.removeprefix(_root(request)),
        user=user,
        is_open=page.sign_in.is_open,
        timezone=page.timezone,
        now_ms=page.now_ms(),
        local_time=lambda at_ms: local_time(at_ms, page.timezone),
        utc_time=utc_time,
        old_picture_s=_OLD_PICTURE_S,
        **values,
    )
    return HTMLResponse(text)


def _root(request: Request) -> str:
    return request.scope.get("root_path", "")


def _neighbours(page: WatchPage, user: User, event_id: str) -> dict[str, str]:
    """Ids of the event before and after one, in the order of the list; empty at its ends."""
    newer = page.reader.rows(
        "select id, camera from events where id > ? order by id limit 200", [event_id]
    )
    older = page.reader.rows(
        "select id, camera from events where id < ? order by id desc limit 200", [event_id]
    )
    return {
        "newer": next((row[0] for row in newer if user.may_see(row[1])), ""),
        "older": next((row[0] for row in older if user.may_see(row[1])), ""),
    }


def clip_json(clip: StoredClip | None) -> dict[str, Any] | None:
    """The times, file and codec of a clip for the player; None if it cannot be played."""
    if clip is None or clip.state != "kept":
        return None
    return {
        "start_ms": clip.start_ms,
        "end_ms": clip.end_ms,
        "file": "preview.mp4" if clip.preview_path else "clip.mp4",
        "codec": clip.codec,
    }


def score_points(scores: Sequence[float | None]) -> str:
    """Points of an SVG path in a box of 100 x 100, with a break where nothing was judged."""
    points, is_drawing = [], False
    step = 100 / max(1, len(scores) - 1)
    for place, score in enumerate(scores):
        if score is not None:
            points.append(f"{'L' if is_drawing else 'M'}{place * step:.1f} {100 - 100 * score:.1f}")
        is_drawing = score is not None
    return "".join(points)


def utc_time(at_ms: int) -> str:
    """ISO 8601 in UTC, for `<time datetime>`."""
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def day_span_ms(day: str, timezone: str) -> tuple[int | None, int | None]:
    """Start and end of a day, as `2026-11-30`, in a zone; (None, None) for no day or a wrong one.

    A day in which the clock changes has 23 or 25 hours.
    """
    try:
        start = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=ZoneInfo(timezone))
        end = start + timedelta(days=1)  # wall time: the zone's rules hold
    except (ValueError, OverflowError):
        return None, None
    return int(start.timestamp() * 1000), int(end.timestamp() * 1000)


def safe_path(path: str) -> str:
    """A path of this site; `/` for anything that could lead elsewhere."""
    is_own = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if is_own and path.isprintable() else "/"
