"""Webhook: a POST of JSON to a program's address, signed with a shared secret."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

from violence_detection import __version__
from violence_detection.errors import ConfigError
from violence_detection.live.notifiers._http_proxy import proxy_of
from violence_detection.live.notifying.delivery import (
    DELIVERED,
    Delivery,
    PublishedCameraState,
    ShownCamera,
)
from violence_detection.live.storage import messages
from violence_detection.live.storage.messages import Message
from violence_detection.registry import Range

# The receiver does not take this message; another one it may take.
_REFUSED = {400, 405, 406, 409, 411, 413, 414, 415, 422, 431}
_PICTURE_BYTES = 4 << 20
_LONGEST_WAIT_S = 3600.0


def build(
    *,
    sink: str,
    url: str,
    cameras: Sequence[ShownCamera],
    on_snooze: Callable[[str, int], None],
    secret: str = "",
    timeout_s: Annotated[float, Range(0.1, 120)] = 10.0,
    ca_file: str = "",
) -> "Webhook":
    """
    Args:
        secret: Shared with the receiver, which verifies `X-Signature` with it; empty sends no
            signature.
        timeout_s: Seconds for a whole attempt.
        ca_file: Certificates that the receiver's is verified with; empty takes the system's.

    Raises:
        ConfigError: If the URL is no HTTP address, or the certificates cannot be read.
    """
    return Webhook(sink, url, secret=secret, timeout_s=timeout_s, ca_file=ca_file)


class Webhook:
    """Posts messages; only an answer of 2xx counts. Redirects are not followed."""

    wants_end = True

    def __init__(self, sink: str, url: str, *, secret: str, timeout_s: float, ca_file: str) -> None:
        self._parts = _checked(sink, url)
        self._proxy = proxy_of(sink, self._parts)
        self._secret = secret.encode()
        self._timeout_s = timeout_s
        self._context = _tls_context(sink, ca_file) if self._parts.scheme == "https" else None

    def send(self, message: Message, *, late_s: float, picture: Path | None) -> Delivery:
        content = messages.payload(message, late_s=late_s)
        if picture is not None:
            content["picture"] = _picture(picture)
        body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
        try:
            return self._post(body, self._headers(message.id, body))
        except ssl.SSLCertVerificationError as error:
            return Delivery("unavailable", f"its certificate is not valid: {error.verify_message}")
        except TimeoutError:
            return Delivery("unavailable", f"no answer within {self._timeout_s:g} s")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            return Delivery("unavailable", f"the connection failed: {reason}")

    def show(self, camera: str, state: PublishedCameraState) -> None:
        """Nothing: a webhook gets events only."""

    def close(self) -> None:
        """Nothing: each message has a connection of its own."""

    def _headers(self, message_id: str, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"violence-detection/{__version__}",
            "Idempotency-Key": message_id,
            "Connection": "close",
        }
        if self._secret:
            timestamp = str(int(time.time()))
            headers["X-Timestamp"] = timestamp
            headers["X-Signature"] = f"sha256={signature(self._secret, timestamp, body)}"
        if self._parts.username is not None:
            user = f"{unquote(self._parts.username)}:{unquote(self._parts.password or '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode('ascii')}"
        return headers

    def _post(self, body: bytes, headers: dict[str, str]) -> Delivery:
        path = self._parts.path or "/"
        target = f"{path}?{self._parts.query}" if self._parts.query else path
        if self._proxy and not self._context:
            # A proxy is asked for the whole address, and passes the request on.
            target = f"http://{self._parts.netloc.rpartition('@')[2]}{target}"
            if self._proxy.authorization:
                headers = headers | {"Proxy-Authorization": self._proxy.authorization}
        with self._connected() as connection:
            connection.request("POST", target, body, headers)
            answer = connection.getresponse()
            return _delivery(answer.status, answer.getheader("Retry-After", ""))

    @contextlib.contextmanager
    def _connected(self) -> Iterator[http.client.HTTPConnection]:
        """A connection that is cut when the time is up, also if bytes still trickle in."""
        host = self._parts.hostname or ""
        port = self._parts.port or (443 if self._context else 80)
        began = time.monotonic()
        first = (self._proxy.host, self._proxy.port) if self._proxy else (host, port)
        raw = socket.create_connection(first, self._timeout_s)
        # The TLS socket takes the connection over; a second handle can still end it.
        handle, is_late = raw.dup(), threading.Event()

        def cut() -> None:
            is_late.set()
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(max(0.01, began + self._timeout_s - time.monotonic()), cut)
        timer.daemon = True
        timer.start()
        kind = http.client.HTTPSConnection if self._context else http.client.HTTPConnection
        connection = kind(host, port)
        try:
            connection.sock = raw
            if self._proxy and self._context:
                self._proxy.open_tunnel(raw, host, port)
            if self._context:
                connection.sock = self._context.wrap_socket(raw, server_hostname=host)
            yield connection
        except (OSError, http.client.HTTPException) as error:
            if is_late.is_set():
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()
            connection.close()
            raw.close()
            handle.close()


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """The hexadecimal HMAC-SHA256 of `<timestamp>.<body>`, as the receiver computes it."""
    return hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _picture(path: Path) -> dict[str, str] | None:
    """A JPEG file for JSON; None if it is too large, or is no longer there."""
    with contextlib.suppress(OSError):
        if path.stat().st_size <= _PICTURE_BYTES:
            content = base64.b64encode(path.read_bytes()).decode("ascii")
            return {"type": "image/jpeg", "base64": content}
    return None


def _delivery(status: int, retry_after: str) -> Delivery:
    if 200 <= status < 300:
        return DELIVERED
    if 300 <= status < 400:
        return Delivery("unavailable", f"it redirects (HTTP {status}), which is not followed")
    wait_s = min(float(retry_after), _LONGEST_WAIT_S) if retry_after.isdecimal() else None
    state = "refused" if status in _REFUSED else "unavailable"
    return Delivery(state, f"it answered HTTP {status}", wait_s)


def _checked(sink: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not url.isascii() or any(character <= " " for character in url):
        raise ConfigError(
            f"The webhook of the sink {sink} must be an address such as https://host/path. "
            "Received: another text"
        )
    return parts


def _tls_context(sink: str, ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"`ca_file` of the sink {sink} must hold certificates in PEM. Received: {ca_file} "
            f"({error})"
        ) from error
