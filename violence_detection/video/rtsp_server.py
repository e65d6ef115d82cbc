"""An RTSP server on loopback that plays H.264 files as cameras: for demos, and without a camera.

    with RtspServer({"door": PlayedCamera([path])}) as server:
        read(server.url("door"))

RTP goes over the connection of RTSP (TCP). Every client gets the files from their start.
"""

import base64
import contextlib
import random
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import NamedTuple, Self

from violence_detection.video.h264_pictures import frame_seconds, pictures

_CLOCK_RATE = 90_000  # units of RTP timestamps in a second
_PAYLOAD = 1400  # bytes of a packet
_SDP = "\r\n".join(
    [
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        "s=camera",
        "t=0 0",
        "m=video 0 RTP/AVP 96",
        "c=IN IP4 0.0.0.0",
        "a=rtpmap:96 H264/90000",
        "a=fmtp:96 packetization-mode=1",
        "a=control:track0",
        "",
    ]
)


class Request(NamedTuple):
    """A request that the server has got, at a monotonic time."""

    at_s: float
    verb: str
    camera: str


@dataclass
class PlayedCamera:
    """A camera that plays files one after the other.

    Attributes:
        files: H.264 videos.
        login: "user:password" that it asks for; empty for none.
        busy_s: It answers 503 for so long after the start of the server.
        speed: Times real time.
        loops: It begins again after the last file; else it closes the connection.
        on_sent: Called after each picture with the client's number, counted from 0, and the
            picture's time in seconds of the stream, which goes on over the files.
        clients: Count of clients so far.
        playing, most_playing: Clients at the moment, and at most at the same time.
    """

    files: Sequence[Path]
    _: KW_ONLY
    login: str = ""
    busy_s: float = 0.0
    speed: float = 1.0
    loops: bool = True
    on_sent: Callable[[int, float], None] | None = None
    clients: int = 0
    playing: int = 0
    most_playing: int = 0

    def player(self, session: "Session") -> "Player":
        """A player of this camera for one client."""
        return Player(session, self)


class Gone(Exception):
    """The client has left, or the camera has left it."""


class Player:
    """Plays a camera to one client."""

    def __init__(self, session: "Session", camera: PlayedCamera) -> None:
        self.session, self._camera = session, camera
        self.number = camera.clients
        camera.clients += 1
        self.random = random.Random(self.number)
        self._sequence = self.random.randrange(65536)
        self.base = self.random.randrange(1, 2**32)  # of timestamps
        self._start_s = time.monotonic()
        self._unsent = bytearray()

    def play(self) -> None:
        """Plays the files, until the client or the camera leaves."""
        camera = self._camera
        files = [Path(path) for path in camera.files]
        camera.playing += 1
        camera.most_playing = max(camera.most_playing, camera.playing)
        try:
            offset_s = self.begin(files[0])
            while files:
                path, frame_s, ends_s = files[0], frame_seconds(files[0]), offset_s
                for picture in pictures(path):
                    if replaced := self.wait_for(offset_s + max(0.0, picture.due_s)):
                        files = [replaced, replaced]
                        break
                    self.send_picture(picture.units, offset_s + picture.shown_s)
                    ends_s = max(ends_s, offset_s + picture.shown_s + frame_s)
                offset_s = ends_s
                files = [*files[1:], path] if camera.loops else files[1:]
            self.session.hang_up()
        except (OSError, Gone):
            pass
        finally:
            camera.playing -= 1

    def begin(self, first: Path) -> float:
        """Sends what comes before the first file; its seconds of the stream."""
        return 0.0

    def wait_for(self, due_s: float) -> Path | None:
        """Waits until a picture is due; a file that is played from now on in place of all, or
        None."""
        self.wait_until(due_s)
        return None

    def wait_until(self, due_s: float) -> None:
        """Waits until a time in seconds of the stream.

        Raises:
            Gone: If the client leaves before.
        """
        self.session.wait(due_s / self._camera.speed - (time.monotonic() - self._start_s))

    def send_picture(self, units: list[bytes], time_s: float) -> None:
        """Sends the NAL units of a picture that is shown at a time in seconds of the stream."""
        stamp = self.base + round(time_s * _CLOCK_RATE)
        self._unsent = bytearray()
        for unit in units:
            is_last = unit is units[-1]
            if len(unit) <= _PAYLOAD:
                self._add_packet(unit, stamp, marked=is_last)
                continue
            header, body = unit[0], unit[1:]  # fragments (FU-A)
            parts = [body[at : at + _PAYLOAD - 2] for at in range(0, len(body), _PAYLOAD - 2)]
            for number, part in enumerate(parts):
                ends = number == len(parts) - 1
                flags = (number == 0) << 7 | ends << 6 | header & 31
                fragment = bytes([header & 0xE0 | 28, flags]) + part
                self._add_packet(fragment, stamp, marked=is_last and ends)
        self.flush()
        if self._camera.on_sent:
            self._camera.on_sent(self.number, time_s)

    def _add_packet(self, payload: bytes, stamp: int, *, marked: bool) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        kind = 96 | marked << 7
        head = struct.pack(">BBHII", 0x80, kind, self._sequence, stamp & 0xFFFFFFFF, 7)
        self.add_packet(head + payload)

    def add_packet(self, packet: bytes) -> None:
        """Adds an RTP packet to those that `flush` sends."""
        self._unsent += struct.pack(">cBH", b"$", 0, len(packet)) + packet

    def flush(self) -> None:
        """Sends the packets that were added."""
        self.session.send(self._unsent)
        self._unsent = bytearray()


class Session(socketserver.BaseRequestHandler):
    """One client: answers its requests, while its player sends."""

    server: "_TcpServer"

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sending, self._gone, self._camera = threading.Lock(), threading.Event(), None
        self.server.sessions.add(self)

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError, Gone):
            for verb, url, headers in self._requests():
                self._answer(verb, url, headers)

    def finish(self) -> None:
        self._gone.set()
        self.server.sessions.discard(self)

    def send(self, data: bytes) -> None:
        """Sends bytes, all in one piece."""
        with self._sending:
            self.request.sendall(data)

    def wait(self, seconds: float) -> None:
        """Waits.

        Raises:
            Gone: If the client leaves before.
        """
        if self._gone.wait(max(0.0, seconds)):
            raise Gone

    def hang_up(self) -> None:
        """Closes the connection with FIN."""
        self._gone.set()
        self.request.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Closes the connection with RST: by `linger`, and without a FIN before it."""
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.without_fin.add(self.request)
        self._gone.set()
        self.request.shutdown(socket.SHUT_RD)

    def _requests(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """The client's requests; its RTCP packets, which come between them, are skipped."""
        received = b""
        while True:
            while not (head := received.partition(b"\r\n\r\n"))[1] or received[:1] == b"$":
                if received[:1] == b"$" and len(received) >= 4:
                    end = 4 + struct.unpack(">H", received[2:4])[0]
                    if len(received) >= end:
                        received = received[end:]
                        continue
                if not (data := self.request.recv(4096)):
                    return
                received += data
            received = head[2]
            first, *lines = head[0].decode("latin-1").split("\r\n")
            verb, url, _ = first.split(" ", 2)
            pairs = (line.partition(":") for line in lines)
            yield verb, url, {name.lower(): value.strip() for name, _, value in pairs}

    def _answer(self, verb: str, url: str, headers: dict[str, str]) -> None:
        name = url.partition("://")[2].partition("/")[2].partition("/")[0].partition("?")[0]
        server = self.server.owner
        camera = self._camera = server.cameras.get(name, self._camera)
        server.requests.append(Request(time.monotonic(), verb, name))

        def say(status: str, *fields: str, body: str = "") -> None:
            lines = [f"RTSP/1.0 {status}", f"CSeq: {headers.get('cseq', '0')}", *fields]
            if body:
                lines.append(f"Content-Length: {len(body)}")
            self.send("\r\n".join([*lines, "", body]).encode())

        if verb == "OPTIONS":
            say("200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
        elif camera is None:
            say("404 Not Found")
        elif time.monotonic() - server.start_s < camera.busy_s:
            say("503 Service Unavailable")
        elif camera.login and headers.get("authorization") != _basic(camera.login):
            say("401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"')
        elif verb == "DESCRIBE":
            say("200 OK", "Content-Type: application/sdp", f"Content-Base: {url}/", body=_SDP)
        elif verb == "SETUP" and "TCP" not in headers.get("transport", ""):
            say("461 Unsupported Transport")
        elif verb == "SETUP":
            transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
            say("200 OK", transport, "Session: 1;timeout=60")
        elif verb == "PLAY":
            say("200 OK", "Session: 1")
            threading.Thread(target=camera.player(self).play, daemon=True).start()
        elif verb == "TEARDOWN":
            say("200 OK")
            raise Gone
        else:
            say("200 OK", "Session: 1")


def _basic(login: str) -> str:
    return "Basic " + base64.b64encode(login.encode()).decode()


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    block_on_close = False

    def __init__(self, owner: "RtspServer", port: int) -> None:
        super().__init__(("127.0.0.1", port), Session)
        self.owner = owner
        self.sessions: set[Session] = set()
        self.without_fin: set[socket.socket] = set()

    def shutdown_request(self, request: socket.socket) -> None:
        if request in self.without_fin:
            self.close_request(request)
        else:
            super().shutdown_request(request)


class RtspServer:
    """The server; a context manager.

    Attributes:
        cameras: By the first part of the path.
        requests: All requests so far.
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, cameras: Mapping[str, PlayedCamera], *, port: int = 0) -> None:
        self.cameras, self.requests = cameras, list[Request]()
        self.start_s = time.monotonic()
        self._tcp = _TcpServer(self, port)
        self.port = self._tcp.server_address[1]

    def url(self, camera: str, login: str = "") -> str:
        """The address of a camera, with "user:password" if given."""
        at = f"{login}@" if login else ""
        return f"rtsp://{at}127.0.0.1:{self.port}/{camera}"

    def attempts(self, camera: str) -> list[float]:
        """Monotonic times at which clients asked for a camera's description."""
        asked = (
            request
            for request in self.requests
            if request.verb == "DESCRIBE" and request.camera == camera
        )
        return [request.at_s for request in asked]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._tcp.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tcp.shutdown()
        for session in list(self._tcp.sessions):
            with contextlib.suppress(OSError):
                session.hang_up()
        self._tcp.server_close()
        self._thread.join()
