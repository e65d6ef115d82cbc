"""RTSP cameras on loopback, which play H.264 files and fail on a schedule.

    with RtspServer({"door": TestCamera([path], faults=[Fault(4, "freeze")])}) as server:
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from support.h264_pictures import frame_seconds, pictures

_CLOCK_RATE = 90_000  # units of RTP timestamps in a second
_PAYLOAD = 1400  # bytes of a packet
_NTP_EPOCH_S = 2_208_988_800  # from 1900 to 1970
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


class Fault(NamedTuple):
    """What goes wrong with a camera, and when.

    Attributes:
        at_s: Seconds of the stream after a client's PLAY.
        kind: `freeze` (nothing more is sent, the connection stays), `close` (FIN), `reset` (RST),
            `lose` (a share `value` of packets), `jump` (`value` seconds are added to times),
            `garbage` (random bytes in place of packets), `file` (plays `value`, a path, from now
            on), `slow` (`value` bytes a second).
        value: See above.
        client: The only client that meets it, counted from 0; None for all.
    """

    at_s: float
    kind: str
    value: float | Path = 0.0
    client: int | None = None


class Request(NamedTuple):
    """A request that the server has got, at a monotonic time."""

    at_s: float
    verb: str
    camera: str


@dataclass
class TestCamera:
    """A camera that plays files one after the other.

    Attributes:
        files: H.264 videos.
        faults: On a schedule.
        login: "user:password" that it asks for; empty for none.
        busy_s: It answers 503 for so long after the start of the server.
        speed: Times real time.
        loops: It begins again after the last file; else it closes the connection.
        repeats_first: The first picture is sent twice, a frame apart: FFmpeg gives no time to the
            first that it gets, so that it is left out. With this a reader has every picture.
        leaves_out_keys: Pictures from which decoding can begin are not sent, but their headers.
        clock_offset_s: Of the camera's own clock, which it then tells (RTCP).
        clients: Count of clients so far.
        playing, most_playing: Clients at the moment, and at most at the same time.
        sent: For each picture of the first client its stream time and the monotonic time when it
            was sent.
    """

    __test__ = False  # pytest

    files: Sequence[Path]
    faults: Sequence[Fault] = ()
    login: str = ""
    busy_s: float = 0.0
    speed: float = 1.0
    loops: bool = True
    repeats_first: bool = False
    leaves_out_keys: bool = False
    clock_offset_s: float | None = None
    clients: int = 0
    playing: int = 0
    most_playing: int = 0
    sent: list[tuple[float, float]] = field(default_factory=list)


class _Gone(Exception):
    """The client has left, or the camera has left it."""


class _Player:
    """Plays a camera to one client."""

    def __init__(self, session: "_Session", camera: TestCamera) -> None:
        self._session, self._camera = session, camera
        number = camera.clients
        camera.clients += 1
        self._faults = sorted(
            fault for fault in camera.faults if fault.client is None or fault.client == number
        )
        self._sent = camera.sent if number == 0 else None
        self._random = random.Random(number)
        self._sequence = self._random.randrange(65536)
        self._base = self._random.randrange(1, 2**32)  # of timestamps
        self._start_s = time.monotonic()
        self._jump_s = self._loss = self._bytes_per_s = 0.0
        self._garbles = False

    def play(self) -> None:
        camera, offset_s = self._camera, 0.0
        files = [Path(path) for path in camera.files]
        camera.playing += 1
        camera.most_playing = max(camera.most_playing, camera.playing)
        try:
            if camera.clock_offset_s is not None:
                self._send_clock()
            if camera.repeats_first:
                self._send_picture(next(pictures(files[0])).units, 0.0)
                offset_s = frame_seconds(files[0])
            while files:
                path, frame_s, ends_s = files[0], frame_seconds(files[0]), offset_s
                for picture in pictures(path):
                    if replaced := self._meet_faults(offset_s + max(0.0, picture.due_s)):
                        files = [replaced, replaced]
                        break
                    units = picture.units
                    if camera.leaves_out_keys:  # 5: an IDR slice
                        units = [unit for unit in units if unit[0] & 31 != 5]
                    self._send_picture(units, offset_s + picture.shown_s)
                    ends_s = max(ends_s, offset_s + picture.shown_s + frame_s)
                offset_s = ends_s
                files = [*files[1:], path] if camera.loops else files[1:]
            self._session.hang_up()
        except (OSError, _Gone):
            pass
        finally:
            camera.playing -= 1

    def _meet_faults(self, due_s: float) -> Path | None:
        """Wait until a picture is due, and fail where that is planned; a file to play instead."""
        speed = self._camera.speed
        while self._faults and self._faults[0].at_s <= due_s:
            fault = self._faults.pop(0)
            self._session.wait((fault.at_s) / speed - self._elapsed_s())
            match fault.kind:
                case "freeze":
                    self._session.wait(1e6)
                case "close":
                    self._session.hang_up()
                    raise _Gone
                case "reset":
                    self._session.reset()
                    raise _Gone
                case "lose":
                    self._loss = fault.value
                case "jump":
                    self._jump_s += fault.value
                case "garbage":
                    self._garbles = True
                case "slow":
                    self._bytes_per_s = fault.value
                case "file":
                    return Path(fault.value)
                case _:
                    raise ValueError(fault.kind)
        self._session.wait(due_s / speed - self._elapsed_s())
        return None

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._start_s

    def _send_picture(self, units: list[bytes], time_s: float) -> None:
        if self._sent is not None:
            self._sent.append((time_s, time.monotonic()))
        stamp = self._base + round((time_s + self._jump_s) * _CLOCK_RATE)
        self._unsent = bytearray()
        for unit in units:
            is_last = unit is units[-1]
            if len(unit) <= _PAYLOAD:
                self._send_packet(unit, stamp, marked=is_last)
                continue
            header, body = unit[0], unit[1:]  # fragments (FU-A)
            parts = [body[at : at + _PAYLOAD - 2] for at in range(0, len(body), _PAYLOAD - 2)]
            for number, part in enumerate(parts):
                ends = number == len(parts) - 1
                flags = (number == 0) << 7 | ends << 6 | header & 31
                fragment = bytes([header & 0xE0 | 28, flags]) + part
                self._send_packet(fragment, stamp, marked=is_last and ends)
        self._session.send(self._unsent)

    def _send_packet(self, payload: bytes, stamp: int, *, marked: bool) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        if self._random.random() < self._loss:
            return
        kind = 96 | marked << 7
        packet = struct.pack(">BBHII", 0x80, kind, self._sequence, stamp & 0xFFFFFFFF, 7) + payload
        if self._garbles:
            packet = self._random.randbytes(len(packet))
        self._unsent += struct.pack(">cBH", b"$", 0, len(packet)) + packet
        if self._bytes_per_s:
            self._session.send(self._unsent)
            self._unsent = bytearray()
            self._session.wait(len(packet) / self._bytes_per_s)

    def _send_clock(self) -> None:
        """Send an RTCP sender report: the camera's clock at the first timestamp."""
        clock_s = time.time() + self._camera.clock_offset_s + _NTP_EPOCH_S
        seconds, fraction = int(clock_s), int(clock_s % 1 * 2**32)
        report = struct.pack(">BBHIIIIII", 0x80, 200, 6, 7, seconds, fraction, self._base, 0, 0)
        self._session.send(struct.pack(">cBH", b"$", 1, len(report)) + report)


class _Session(socketserver.BaseRequestHandler):
    """One client: answers its requests, while its player sends."""

    server: "_TcpServer"

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sending, self._gone, self._camera = threading.Lock(), threading.Event(), None
        self.server.sessions.add(self)

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError, _Gone):
            for verb, url, headers in self._requests():
                self._answer(verb, url, headers)

    def finish(self) -> None:
        self._gone.set()
        self.server.sessions.discard(self)

    def send(self, data: bytes) -> None:
        with self._sending:
            self.request.sendall(data)

    def wait(self, seconds: float) -> None:
        if self._gone.wait(max(0.0, seconds)):
            raise _Gone

    def hang_up(self) -> None:
        self._gone.set()
        self.request.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Close the connection with RST: by `linger`, and without a FIN before it."""
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
            threading.Thread(target=_Player(self, camera).play, daemon=True).start()
        elif verb == "TEARDOWN":
            say("200 OK")
            raise _Gone
        else:
            say("200 OK", "Session: 1")


def _basic(login: str) -> str:
    return "Basic " + base64.b64encode(login.encode()).decode()


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    block_on_close = False

    def __init__(self, owner: "RtspServer", port: int) -> None:
        super().__init__(("127.0.0.1", port), _Session)
        self.owner = owner
        self.sessions: set[_Session] = set()
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

    def __init__(self, cameras: dict[str, TestCamera], *, port: int = 0) -> None:
        self.cameras, self.requests = cameras, []
        self.start_s = time.monotonic()
        self._tcp = _TcpServer(self, port)
        self.port = self._tcp.server_address[1]

    def url(self, camera: str, login: str = "") -> str:
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
