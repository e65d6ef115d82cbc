"""Every route of the review page with every role, and requests that no browser sends."""

import itertools
import json
import re
import socket
import threading
import time
from urllib.parse import quote

import pytest

pytest.importorskip("fastapi")
import httpx2 as httpx
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.watch_page import draw_event

from violence_detection.live.access import passwords
from violence_detection.live.access.config import WebSettings
from violence_detection.live.access.login_delays import LoginError
from violence_detection.live.web import api, pages
from violence_detection.live.web.app import create_app
from violence_detection.live.web.server import make_server
from violence_detection.live.web.sign_in import SignIn
from violence_detection.live.web.slow_clients import BoundedProtocol

PASSWORD = "correct horse"
WRITE = {"X-Violence-Detection": "1", "Sec-Fetch-Site": "same-origin"}
ROUTES = [
    route
    for router in (api.router, pages.router)
    for route in router.routes
    if isinstance(route, APIRoute)
]
OPEN = {"/login", "/logout", "/healthz", "/readyz"}
ADMIN = {"/settings", "/audit"}
BODIES = {
    "verdict": {"verdict": "unsure"}, "undo": {"verdict": 1}, "acknowledge": {},
    "snooze": {"minutes": 1}, "missed": {"seconds_ago": 1},
}  # fmt: skip


@pytest.fixture
def client(page):
    return TestClient(
        create_app(page),
        base_url="http://localhost",
        headers=WRITE,
        raise_server_exceptions=False,
        follow_redirects=False,
    )


def _sign_in(client, name):
    client.cookies.clear()
    if name:
        answer = client.post("/login", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303


def _expected(route, method, role, is_hidden):
    """Classes of answers that a role may get: `open`, `ask` (sign in), `no`, `absent` or `yes`."""
    if route.path in OPEN:
        return "open"
    if role is None:
        return "ask"
    if (route.path in ADMIN and role != "admin") or (method == "POST" and role == "viewer"):
        return "no"
    return "absent" if is_hidden and "{" in route.path else "yes"


@pytest.mark.slow
@pytest.mark.parametrize("role", [None, "viewer", "reviewer", "admin"])
def test_every_route_with_every_role(page, client, tmp_path, role):
    """A new route is tested by being there: it must ask who it is, and hide hidden cameras."""
    store = page.requests.store
    events = {name: draw_event(store, tmp_path, camera=name) for name in ("door", "yard")}
    page.accounts.add_user("boss", PASSWORD, role="admin")
    if role:
        page.accounts.add_user("anna", PASSWORD, role=role, cameras=["door"])
    for route, (camera, event) in itertools.product(ROUTES, events.items()):
        _sign_in(client, "anna" if role else "")
        values = {"event_id": event, "camera": camera, "name": camera}
        if "{event_id}/{name}" in route.path:
            values["name"] = "poster.jpg"
        path = route.path.format_map(values)
        for method in route.methods:
            body = BODIES.get(path.rpartition("/")[2], {}) if method == "POST" else None
            answer = client.request(method, path, json=body)
            expected = _expected(route, method, role, is_hidden=camera == "yard")
            place = (path, method, role, answer.status_code, answer.text[:200])
            assert expected in ("open", _class_of(answer)), place
            if role and expected == "yes" and camera == "door":
                assert answer.status_code < 500, place
                assert "yard" not in answer.text.lower(), place


def _class_of(answer):
    if answer.status_code == 401 or "/login?next" in answer.headers.get("location", ""):
        return "ask"
    # That a verdict does not exist is said to those only who see its event.
    is_absent = answer.status_code == 404 and "no such verdict" not in answer.text
    return "no" if answer.status_code == 403 else "absent" if is_absent else "yes"


_TEXT = st.text(max_size=20)
_VALUE = st.one_of(_TEXT, st.integers(), st.floats(), st.none(), st.booleans())


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_request_is_a_defect(page, client, data):
    """Whatever is asked, the answer is no 5xx."""
    route = data.draw(st.sampled_from([route for route in ROUTES if route.path != "/readyz"]))
    text = st.sampled_from(("door", "..", "\0", "'", "A" * 26)) | _TEXT.map(
        lambda text: text.encode("utf-8", "replace").decode()
    )
    path = re.sub(r"\{\w+\}", lambda _: quote(data.draw(text), safe="") or "-", route.path)
    names = [field.name for field in route.dependant.query_params]
    query = {name: data.draw(text | st.integers().map(str)) for name in names}
    bodies = [name for name in BODIES if path.endswith(name)]
    body = {key: data.draw(_VALUE) for name in bodies for key in BODIES[name]}
    for method in route.methods:
        content = json.dumps(body).encode() if method == "POST" else None
        answer = client.request(method, path, params=query, content=content)
        assert answer.status_code < 500, (method, path, query, body, answer.text)


@pytest.mark.parametrize(
    "body", [b'{"minutes": NaN}', b'{"minutes": 1e999}', b'{"x": "\\ud800"}', b"\xff", b"[" * 9999]
)
def test_bodies_that_json_cannot_repeat(client, body):
    answer = client.post("/api/cameras/door/snooze", content=body)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_login_leads_back_with_its_query_below_a_root(page):
    page.accounts.add_user("anna", PASSWORD, role="viewer")
    with _served(page, WebSettings(listen="127.0.0.1:0", root_path="/watch")) as port:
        answer = _ask(port, b"GET /events?camera=door&day=x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"location: /watch/login?next=/events%3Fcamera%3Ddoor%26day%3Dx\r\n" in answer


def test_every_link_of_a_page_below_a_root_stays_below_it(page, tmp_path):
    """As behind nginx at /watch/, which takes the root off (docs/live.md)."""
    event = draw_event(page.requests.store, tmp_path)
    page.accounts.add_user("anna", PASSWORD, role="admin")
    page.sign_in = SignIn(page.accounts, is_local=False)
    settings = WebSettings(listen="127.0.0.1:0", root_path="/watch", behind_proxy=True)
    proxy = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "Host": "watch.example"}
    with (
        _served(page, settings) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=proxy) as client,
    ):
        form = {"name": "anna", "password": PASSWORD, "next": f"/events/{event}"}
        answer = client.post("/login", data=form, headers={"Origin": "https://watch.example"})
        assert answer.headers["location"] == f"/watch/events/{event}"
        cookies = [text.split("; ") for text in answer.headers.get_list("set-cookie")]
        assert len(cookies) == 2 and all("Path=/watch" in parts for parts in cookies)
        client.headers["Cookie"] = "; ".join(parts[0] for parts in cookies)
        for path in ("/", "/events", f"/events/{event}", "/health", "/cameras/door", "/audit"):
            answer = client.get(path)
            assert answer.status_code == 200, path
            links = re.findall(r'(?:href|src|action)="(/[^"]*)"', answer.text)
            assert links and all(link.startswith("/watch/") for link in links), path
            for link in {link for link in links if "/static/" in link}:
                assert client.get(link.removeprefix("/watch")).status_code == 200
        assert "192.0.2.7" in answer.text  # the audit has the address of who asks
        assert client.get("/review").headers["location"].startswith("/watch/events/")
        for origin, status in (("https://watch.example", 200), ("https://evil.example", 403)):
            headers = {"Origin": origin, "X-Violence-Detection": "1"}
            answer = client.post(f"/api/events/{event}/acknowledge", headers=headers, json={})
            assert answer.status_code == status


def test_an_open_page_refuses_what_came_through_a_proxy(client):
    assert client.get("/api/status").status_code == 200
    for name in ("X-Forwarded-For", "Forwarded", "Via"):
        assert client.get("/api/status", headers={name: "192.0.2.1"}).status_code == 403


def test_who_sees_some_cameras_learns_no_errors_of_sinks(page, client):
    page.accounts.add_user("anna", PASSWORD, role="viewer", cameras=["door"])
    page.accounts.add_user("boss", PASSWORD, role="viewer")
    for name, is_shown in (("anna", False), ("boss", True)):
        _sign_in(client, name)
        assert ("connection refused" in client.get("/health").text) == is_shown
        sinks = client.get("/api/status").json()["sinks"]
        assert sinks[1]["state"] == "down" and ("error" in sinks[1]) == is_shown


def test_a_known_device_is_not_kept_out(page, client):
    """The cookie of a login outlives it, and the failures of others do not count for it."""
    page.accounts.add_user("anna", PASSWORD, role="viewer")
    _sign_in(client, "anna")
    assert client.post("/logout").status_code == 303
    stranger = TestClient(client.app, base_url="http://localhost", headers=WRITE)
    wrong, right = ({"name": "anna", "password": text} for text in ("wrong password", PASSWORD))
    assert [stranger.post("/login", data=wrong).status_code for _ in range(6)] == [401] * 5 + [429]
    assert stranger.post("/login", data=right).status_code == 429
    assert client.post("/login", data=right).status_code == 303


def test_who_has_not_signed_in_learns_no_state(page, client, monkeypatch):
    page.accounts.add_user("anna", PASSWORD, role="viewer")
    page.requests.cameras = []
    assert client.get("/readyz").text == "not ready\n"
    assert client.get("/healthz").text == "ok\n"
    assert "door" not in client.get("/login").text


def test_a_look_at_any_part_of_a_clip_is_noted_once(page, client, tmp_path):
    event = draw_event(page.requests.store, tmp_path)
    for part in ("bytes=1-", "bytes=100-200", "bytes=0-"):
        client.get(f"/api/events/{event}/clip.mp4", headers={"Range": part})
    assert [deed.action for _, deed in page.accounts.deeds()] == ["look at clip"]


def test_tries_at_once_are_not_all_looked_at(page, monkeypatch):
    """Those that have passed the check before the others failed are refused all the same."""
    page.accounts.add_user("anna", PASSWORD, role="viewer")
    together = threading.Barrier(8)
    verify = passwords.verify_password

    def verify_together(password, stored):
        together.wait(10)
        return verify(password, stored)

    monkeypatch.setattr(passwords, "verify_password", verify_together)
    errors = []

    def attempt(number):
        try:
            page.accounts.log_in("anna", f"wrong {number}", address="192.0.2.1")
        except LoginError as error:
            errors.append(error.retry_after_s > 0)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 8 and any(errors)


class _served:
    """A server of the page on a port of this machine."""

    def __init__(self, page, settings):
        self._server = make_server(page, settings)

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self._server.servers[0].sockets[0].getsockname()[1]

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join(10)


def _ask(port, content, wait_s=5.0):
    """All that the server answers until it closes, or says nothing for some time."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as connection:
        connection.sendall(content)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
                if b"\r\n\r\n" in answer:
                    break
        except (TimeoutError, ConnectionError):
            pass
        return answer


def test_slow_and_huge_requests_end(page, monkeypatch):
    monkeypatch.setattr(BoundedProtocol, "request_s", 0.3)
    with _served(page, WebSettings(listen="127.0.0.1:0")) as port:
        start_s = time.monotonic()
        for content in (
            b"",
            b"GET / HT",
            b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx",
        ):
            assert _ask(port, content).startswith((b"", b"HTTP/1.1 400"))
        assert time.monotonic() - start_s < 4
        huge = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"x" * 200_000
        assert not _ask(port, huge).startswith(b"HTTP/1.1 200")
        assert b" 200 " in _ask(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
