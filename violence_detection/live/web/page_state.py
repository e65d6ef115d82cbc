"""State of the page for its routes: the store, the accounts, and the supervisor."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request

from violence_detection.live.access.accounts import Accounts
from violence_detection.live.access.user_accounts import User
from violence_detection.live.processes.supervisor_requests import WatchRequests
from violence_detection.live.processes.watch_status import WatchStatus
from violence_detection.live.storage.event_reader import EventReader
from violence_detection.live.storage.missed_violence import MissedViolence, estimate_missed
from violence_detection.live.web.live_video import LiveVideoRelay
from violence_detection.live.web.sign_in import SignIn
from violence_detection.live.web.verdict_labels import VerdictLabels

_STATUS_S = 0.5  # many pages share one answer of the supervisor
_PICTURE_S = 0.15
_LOOK_S = 600.0  # a player asks for a clip in many parts: they are one look
_MAX_LOOKS = 1000


@dataclass
class WatchPage:
    """Everything that the routes of the page use.

    Attributes:
        reader: The event store.
        accounts: Users, and who did what.
        sign_in: Finds who asks.
        requests: The supervisor.
        labels: Writes verdicts into the dataset.
        data: Folder of the clips.
        timezone: Name of the zone of times that a page without JavaScript shows.
        settings: The cameras file with passwords masked, for the page of settings.
        has_secure_cookie: Cookies are sent over TLS only.
        clock: Seconds since 1970, UTC.
        video: Live video for browsers.
    """

    reader: EventReader
    accounts: Accounts
    sign_in: SignIn
    requests: WatchRequests
    labels: VerdictLabels
    data: Path
    timezone: str = "UTC"
    settings: dict[str, object] = field(default_factory=dict)
    has_secure_cookie: bool = False
    clock: Callable[[], float] = time.time
    _status: tuple[float, WatchStatus] | None = None
    _pictures: dict[str, tuple[float, bytes]] = field(default_factory=dict)
    _looks: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.video = LiveVideoRelay(self.requests.video)

    def now_ms(self) -> int:
        return int(self.clock() * 1000)

    def status(self) -> WatchStatus:
        """The supervisor's state, at most half a second old.

        Raises:
            RunError: If the supervisor does not answer.
        """
        now_s = time.monotonic()
        if self._status is None or now_s - self._status[0] > _STATUS_S:
            self._status = now_s, self.requests.status()
        return self._status[1]

    def picture(self, camera: str) -> bytes:
        """The newest picture of a camera, JPEG, at most 0.15 s old; empty if there is none."""
        now_s = time.monotonic()
        kept = self._pictures.get(camera)
        if kept is None or now_s - kept[0] > _PICTURE_S:
            self._pictures[camera] = kept = now_s, self.requests.picture(camera)
        return kept[1]

    def missed(self, user: User) -> tuple[MissedViolence, list[MissedViolence]]:
        """Estimates of what no event tells of, over the cameras that a user sees and of each."""
        return estimate_missed(self.reader, now_ms=self.now_ms(), visible=user.cameras)

    def record_look(self, request: Request, user: User, event_id: str) -> None:
        """Notes that a user looks at a clip, once in ten minutes, whichever parts are asked for."""
        now_s, key = time.monotonic(), (user.name, event_id)
        if now_s - self._looks.get(key, -_LOOK_S) < _LOOK_S:
            return
        if len(self._looks) >= _MAX_LOOKS:
            self._looks.clear()
        self._looks[key] = now_s
        self.record(request, user, "look at clip", event_id)

    def record(self, request: Request, user: User, action: str, subject: str) -> None:
        """Notes what a user did."""
        address = request.client.host if request.client else ""
        self.accounts.record(action, who=user.name, address=address, subject=subject)


def page_of(request: Request) -> WatchPage:
    return request.app.state.page
