"""Webhook and Apprise against a server on loopback that is well, fails, hangs, or lies."""

import base64
import contextlib
import http.server
import json
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
from urllib.parse import urlsplit

import pytest

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.live.notifiers import webhook
from violence_detection.live.notifiers._http_proxy import proxy_of
from violence_detection.live.storage.messages import Message

MESSAGE = Message(
    "01M8NP73E5PGM1E8AGEYEK68FS-start",
    "start",
    1_796_040_000_000,
    event="01M8NP73E5PGM1E8AGEYEK68FS",
    camera="door",
    title="Front door é",
    priority="high",
)
TIMEOUT_S = 0.4
# Apprise imports modules that Python has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Server(http.server.ThreadingHTTPServer):
    """Answers with `status`; `requests` are the headers and bodies that came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.headers, self.requests = 200, {}, []
        self.hangs, self.drips, self.ends = False, False, threading.Event()

    def url(self, path="/hook", scheme="http", user="") -> str:
        return f"{scheme}://{user}127.0.0.1:{self.server_address[1]}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body))
        if self.server.hangs:
            self.server.ends.wait(5)
            return
        if self.server.drips:
            with contextlib.suppress(OSError):
                while not self.server.ends.wait(0.05):
                    self.wfile.write(b"H")
            return
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(server):
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.ends.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server():
    with serving(Server()) as server:
        yield server


def build(name, url, **options):
    context = {"sink": "control-room", "cameras": (), "on_snooze": lambda camera, minutes: None}
    part = registry.module("notifiers", name)
    return part.build(url=url, **context, **({"timeout_s": TIMEOUT_S} | options))


def send(notifier, message=MESSAGE, picture=None, late_s=1.0):
    return notifier.send(message, late_s=late_s, picture=picture)


def test_a_message_arrives_with_its_key_and_signature(server):
    notifier = build("webhook", server.url("/hook?x=1", user="u:p%40@"), secret="s3cret")
    assert send(notifier).state == "delivered"
    [(path, headers, body)] = server.requests
    assert path == "/hook?x=1" and json.loads(body)["camera_title"] == "Front door é"
    assert headers["Idempotency-Key"] == MESSAGE.id
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"u:p@").decode()
    assert abs(time.time() - int(headers["X-Timestamp"])) < 5
    expected = webhook.signature(b"s3cret", headers["X-Timestamp"], body)
    assert headers["X-Signature"] == f"sha256={expected}"


def test_without_a_secret_nothing_is_signed(server):
    assert send(build("webhook", server.url())).state == "delivered"
    assert "X-Signature" not in server.requests[0][1]


def test_a_picture_is_in_the_json(server, tmp_path):
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"\xff\xd8picture")
    notifier = build("webhook", server.url())
    send(notifier, picture=picture)
    send(notifier, picture=tmp_path / "deleted.jpg")
    sent = [json.loads(body)["picture"] for _, _, body in server.requests]
    assert base64.b64decode(sent[0]["base64"]) == picture.read_bytes() and sent[1] is None


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, "delivered"),
        (204, "delivered"),
        (302, "unavailable"),
        (401, "unavailable"),
        (404, "unavailable"),
        (422, "refused"),
        (413, "refused"),
        (500, "unavailable"),
        (503, "unavailable"),
    ],
)
def test_only_2xx_is_delivered(server, status, state):
    server.status, server.headers = status, {"Location": server.url("/other"), "Retry-After": "7"}
    delivery = send(build("webhook", server.url()))
    assert delivery.state == state
    assert len(server.requests) == 1, "a redirect is not followed"
    assert state == "delivered" or str(status) in delivery.reason
    assert delivery.retry_after_s == (7.0 if status >= 400 else None)


@pytest.mark.parametrize("fault", ["hangs", "drips"])
def test_an_attempt_ends_in_time(server, fault):
    setattr(server, fault, True)
    notifier, began = build("webhook", server.url()), time.monotonic()
    delivery = send(notifier)
    assert time.monotonic() - began < TIMEOUT_S + 1
    assert (delivery.state, delivery.reason) == ("unavailable", "no answer within 0.4 s")


def test_a_server_that_is_not_there_or_talks_nonsense_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/canary"

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"SSH-2.0-nonsense\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        nonsense = send(build("webhook", url))
        thread.join()
    absent = send(build("webhook", url))
    for delivery in (nonsense, absent):
        assert delivery.state == "unavailable" and "canary" not in delivery.reason


def test_a_certificate_is_verified(tmp_path):
    certificate, key = self_signed(tmp_path)
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url(scheme="https")
    with serving(server):
        delivery = send(build("webhook", url, timeout_s=5.0))
        assert delivery.state == "unavailable" and "certificate is not valid" in delivery.reason
        trusting = build("webhook", url, ca_file=str(certificate), timeout_s=5.0)
        assert send(trusting).state == "delivered"
    assert len(server.requests) == 1


class Proxy(Handler):
    """Passes on what it is asked for to one server, whatever its name."""

    def do_CONNECT(self):
        self.server.asked.append(("CONNECT", self.path, self.headers["Proxy-Authorization"]))
        if self.server.status != 200:
            return self.send_error(self.server.status)
        self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        with socket.create_connection(self.server.target) as target:
            back = threading.Thread(target=self._pass, args=(target, self.connection), daemon=True)
            back.start()
            self._pass(self.connection, target)
            back.join(5)

    def do_POST(self):
        self.server.asked.append(("POST", self.path, self.headers["Proxy-Authorization"]))
        super().do_POST()

    @staticmethod
    def _pass(source, target):
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxying(target):
    proxy = Server()
    proxy.RequestHandlerClass, proxy.asked, proxy.target = Proxy, [], target
    with serving(proxy):
        yield proxy


def test_the_proxy_of_the_environment_is_taken(monkeypatch, tmp_path, server):
    certificate, key = self_signed(tmp_path)
    tls = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    tls.socket = context.wrap_socket(tls.socket, server_side=True)
    with serving(tls), proxying(tls.server_address) as proxy:
        address = f"http://me:p%40ss@127.0.0.1:{proxy.server_address[1]}"
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, address)
        monkeypatch.setenv("no_proxy", "direct.example")
        options = {"ca_file": str(certificate), "timeout_s": 10.0}
        for url in ("https://hook.example/a?b=1", "http://u:p@hook.example/plain"):
            assert send(build("webhook", url, **options)).state == "delivered"
        login = f"Basic {base64.b64encode(b'me:p@ss').decode()}"
        assert proxy.asked == [
            ("CONNECT", "hook.example:443", login),
            ("POST", "http://hook.example/plain", login),
        ]
        assert tls.requests[0][0] == "/a?b=1" and "Proxy-Authorization" not in tls.requests[0][1]
        proxy.status = 407
        delivery = send(build("webhook", "https://hook.example/", **options))
        assert (delivery.state, "p@ss" in delivery.reason) == ("unavailable", False)
        # This machine, and what NO_PROXY names, is reached directly.
        assert send(build("webhook", server.url())).state == "delivered"
        assert proxy_of("a", urlsplit("https://direct.example:8443/")) is None
    monkeypatch.setenv("https_proxy", "socks5://canary:1080")
    with pytest.raises(ConfigError, match="HTTPS_PROXY must be as http://proxy") as failure:
        build("webhook", "https://hook.example/")
    assert "canary" not in str(failure.value)


def self_signed(folder):
    """Paths of a certificate for 127.0.0.1 and hook.example, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("a certificate is made by openssl")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    name = [
        "-subj",
        "/CN=test",
        "-addext",
        "subjectAltName=IP:127.0.0.1,DNS:hook.example",
        "-days",
        "2",
    ]
    paths = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", *kind, *name, *paths]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.mark.parametrize(
    "url",
    ["", "door", "ftp://canary/x", "https://", "http://ho st/canary", "http://h:99999/canary"],
)
def test_an_address_that_is_none_is_refused_without_being_shown(url):
    with pytest.raises(ConfigError, match="control-room must be an address") as raised:
        build("webhook", url)
    assert "canary" not in str(raised.value)


def test_apprise_sends_texts_and_pictures(server, tmp_path):
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"\xff\xd8picture")
    notifier = build("apprise", server.url("/hook", scheme="json"))
    assert send(notifier, picture=picture, late_s=3000.0).state == "delivered"
    content = json.loads(server.requests[0][2])
    assert content["title"] == "Possible violence (high): Front door é"
    assert "A person must look at it." in content["message"]
    assert "late by 50 min" in content["message"] and len(content["attachments"]) == 1


@pytest.mark.parametrize("fault", ["fails", "hangs"])
def test_a_failing_service_is_unavailable_and_its_address_is_not_shown(server, fault, caplog):
    caplog.set_level(logging.DEBUG)
    server.status, server.hangs = 500, fault == "hangs"
    notifier = build("apprise", server.url("/hook?+X-Key=canary", scheme="json", user="u:canary@"))
    began = time.monotonic()
    delivery = send(notifier)
    assert delivery.state == "unavailable" and time.monotonic() - began < 4 * TIMEOUT_S + 1
    assert "canary" not in delivery.reason + caplog.text


@pytest.mark.parametrize("url", ["nosuch://canary", "canary", "https://"])
def test_a_url_that_apprise_does_not_know_is_refused_without_being_shown(url):
    with pytest.raises(ConfigError, match="that Apprise knows") as raised:
        build("apprise", url)
    assert "canary" not in str(raised.value)
