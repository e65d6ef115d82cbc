"""Authentication of requests: sessions, tokens, the person at this machine, and allowed origins."""

import getpass
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

from violence_detection.live.access.accounts import Accounts
from violence_detection.live.access.listening import is_loopback
from violence_detection.live.access.user_accounts import User

COOKIE = "vd_session"
DEVICE_COOKIE = "vd_device"  # outlives sessions: on which device a user has logged in
WRITE_HEADER = "x-violence-detection"
_SAFE_METHODS = frozenset(("GET", "HEAD"))
_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class NotSignedInError(Exception):
    """The request needs a user; pages lead to the login, the API answers 401."""


@dataclass(frozen=True)
class SignIn:
    """Finds the user of a request.

    Attributes:
        accounts: Users, sessions and tokens.
        is_local: The page is reachable from this machine alone; then, while there is no user, the
            person at it may do everything.
    """

    accounts: Accounts
    is_local: bool

    @property
    def is_open(self) -> bool:
        """True while nobody needs to log in."""
        return self.is_local and not self.accounts.has_users()

    def user(self, request: Request) -> User:
        """
        Raises:
            NotSignedInError: If nobody is signed in.
            HTTPException: 403 for a request that another site may have caused.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            user = self.accounts.token_user(token.strip())
            if user is None:
                raise HTTPException(401, "The token is not known, or it has ended.")
            return user
        if self.is_open:
            # Another site's name that leads to this machine must not pass as this machine.
            if not is_loopback(urlsplit(f"//{request.headers.get('host', '')}").hostname or ""):
                raise HTTPException(403, "The page must be asked by the name localhost.")
            # Through a proxy others than this machine ask, with this machine's address and name.
            if any(name in request.headers for name in _PROXY_HEADERS):
                raise HTTPException(
                    403, "A page behind a proxy must have users, and `behind_proxy: true`."
                )
            user = User(local_name(), "admin")
        else:
            user = self.accounts.session_user(request.cookies.get(COOKIE, ""))
            if user is None:
                raise NotSignedInError
        if request.method not in _SAFE_METHODS:
            check_same_origin(request)
            if WRITE_HEADER not in request.headers:
                raise HTTPException(
                    403, f"A request that writes must have the header {WRITE_HEADER}."
                )
        return user


def check_same_origin(request: Request) -> None:
    """
    Raises:
        HTTPException: 403 if a page of another site sent the request, or the browser does not say.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        is_same = site == "same-origin"
    else:
        origin = urlsplit(request.headers.get("origin", ""))
        is_same = bool(origin.netloc) and origin.netloc == request.headers.get("host")
    if not is_same:
        raise HTTPException(403, "The request must come from this site.")


def local_name() -> str:
    """The login name of the person who runs this process, or `local`."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "local"
