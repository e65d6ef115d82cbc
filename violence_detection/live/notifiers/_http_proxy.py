"""The HTTP proxy of the environment: HTTPS_PROXY, HTTP_PROXY and NO_PROXY."""

import base64
import socket
import urllib.request
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from violence_detection.errors import ConfigError
from violence_detection.live.access.listening import is_loopback

_MAX_ANSWER_BYTES = 65536


@dataclass(frozen=True)
class HttpProxy:
    """A proxy through which an address is reached.

    Attributes:
        host, port: Its own.
        authorization: Value of `Proxy-Authorization`, or empty.
    """

    host: str
    port: int
    authorization: str

    def open_tunnel(self, connection: socket.socket, host: str, port: int) -> None:
        """Asks the proxy to connect to a host; bytes go through unread from then on.

        Raises:
            OSError: If it does not.
        """
        lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
        if self.authorization:
            lines.append(f"Proxy-Authorization: {self.authorization}")
        connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            part = connection.recv(1)  # not one byte of what follows
            if not part or len(answer) > _MAX_ANSWER_BYTES:
                raise ConnectionError(0, "the proxy gave no answer")
            answer += part
        status = answer.split(b" ", 2)[1:2]
        if status != [b"200"]:
            shown = status[0][:3].decode("ascii", "replace") if status else "nothing"
            raise ConnectionError(0, f"the proxy answered {shown}")


def proxy_of(sink: str, url: SplitResult) -> HttpProxy | None:
    """The proxy of an address by the environment; None to connect to it directly, as always to
    this machine.

    Raises:
        ConfigError: If the variable has no HTTP address.
    """
    host = url.netloc.rpartition("@")[2]
    if is_loopback(url.hostname or "") or urllib.request.proxy_bypass_environment(host):
        return None
    address = urllib.request.getproxies_environment().get(url.scheme, "")
    if not address:
        return None
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme != "http":
        raise ConfigError(
            f"{url.scheme.upper()}_PROXY must be as http://proxy:3128 for the sink {sink}, or its "
            "host in NO_PROXY. Received: another text"
        )
    user = unquote(parts.username or "")
    login = base64.b64encode(f"{user}:{unquote(parts.password or '')}".encode()).decode("ascii")
    return HttpProxy(host, port, f"Basic {login}" if user else "")
