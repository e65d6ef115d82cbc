"""The review page and its API: who may do what, what is shown, and what hostile requests get."""

import dataclasses
import re

import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient
from support.watch_page import draw_event

from violence_detection.errors import ConfigError, RunError
from violence_detection.live.access import listening
from violence_detection.live.access.accounts import Accounts
from violence_detection.live.access.config import WebSettings
from violence_detection.live.web.app import create_app
from violence_detection.live.web.pages import day_span_ms, safe_path, score_points

PASSWORD = "correct horse"
WRITE = {"X-Violence-Detection": "1", "Sec-Fetch-Site": "same-origin"}
PAGES = ("/", "/cameras/door", "/events", "/health", "/settings", "/audit")


def _client(page, name="", **headers):
    """A browser of this machine, or one that a user has logged in with."""
    client = TestClient(create_app(page), base_url="http://localhost", headers=headers)
    if name:
        client.headers |= {"Sec-Fetch-Site": "same-origin"}
        answer = client.post("/login", data={"name": name, "password": PASSWORD})
        assert answer.url.path == "/", answer.text
    return client


@pytest.fixture
def client(page):
    return _client(page)


@pytest.fixture
def users(page):
    page.accounts.add_user("vera", PASSWORD, role="viewer")
    page.accounts.add_user("rosa", PASSWORD, role="reviewer", cameras=["door"])
    page.accounts.add_user("adam", PASSWORD, role="admin")


def test_pages_show_what_is_stored(page, client, tmp_path):
    event = draw_event(page.requests.store, tmp_path)
    for path in (*PAGES, f"/events/{event}", f"/events/{event}?queue=1"):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert "<script>" not in answer.text and not re.search(r" (style|on\w+)=", answer.text)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
    assert "Door" in client.get("/").text and "no packets" in client.get("/cameras/door").text
    assert "connection refused" in client.get("/health").text  # a sink that is down
    assert (
        client.get("/review", follow_redirects=False)
        .headers["location"]
        .startswith(f"/events/{event}")
    )


def test_an_event_says_what_the_run_knows(page, client, tmp_path):
    event = draw_event(page.requests.store, tmp_path, novelty=1.3)
    assert client.get(f"/api/events/{event}").json()["windows"][0]["novelty"] == 1.3
    text = client.get(f"/events/{event}").text
    assert "18 of 18 windows are unlike anything" in text and "clips of violence" in text
    page.requests.finds, page._status = "unusual", None
    text = client.get(f"/events/{event}").text
    assert "not that it is violent" in text and "clips of violence" not in text
    assert client.get("/api/status").json()["finds"] == "unusual"
    known = draw_event(page.requests.store, tmp_path, novelty=0.4)
    assert "unlike anything" not in client.get(f"/events/{known}").text


def test_hostile_texts_are_escaped(page, client, tmp_path):
    store = page.requests.store
    evil = "</script><script>alert(1)</script>"
    store.record_camera("door", title=evil, site=evil, settings_digest="")
    page.requests.cameras[0] = dataclasses.replace(
        page.requests.cameras[0], title=evil, reason=evil, state="waiting"
    )
    event = draw_event(store, tmp_path, with_clip=False)
    store.record_verdict(event, "violent", by=evil, note=evil)
    for path in (*PAGES, f"/events/{event}"):
        assert "<script>alert" not in client.get(path).text, path


def test_machine_of_its_own_needs_no_login_but_its_name(page, client):
    """A site whose name was led to this machine must not read it."""
    assert client.get("/api/status").status_code == 200
    for host in ("evil.example", "evil.example:8474", "localhost.evil.example", ""):
        assert client.get("/", headers={"Host": host}).status_code == 403
    assert client.get("/api/status", headers={"Host": "[::1]:8474"}).status_code == 200


def test_writes_from_other_sites_are_refused(page, client, tmp_path):
    event = draw_event(page.requests.store, tmp_path)
    path = f"/api/events/{event}/verdict"
    body = {"verdict": "violent"}
    for headers in (
        {},
        {"X-Violence-Detection": "1"},
        {"Sec-Fetch-Site": "same-origin"},
        WRITE | {"Sec-Fetch-Site": "cross-site"},
        {"X-Violence-Detection": "1", "Origin": "http://evil.example"},
    ):
        assert client.post(path, json=body, headers=headers).status_code == 403, headers
    assert page.reader.verdicts(event) == []
    for headers in (WRITE, {"X-Violence-Detection": "1", "Origin": "http://localhost"}):
        assert client.post(path, json=body, headers=headers).status_code == 200


@pytest.mark.slow
def test_roles(page, users, tmp_path):
    event = draw_event(page.requests.store, tmp_path)
    hidden = draw_event(page.requests.store, tmp_path, camera="yard", with_clip=False)
    anyone = _client(page)
    assert anyone.get("/", follow_redirects=False).headers["location"] == "/login?next=/"
    assert anyone.get("/api/status").status_code == 401
    verdict = {"json": {"verdict": "violent"}, "headers": WRITE}
    assert anyone.post(f"/api/events/{event}/verdict", **verdict).status_code == 401

    vera = _client(page, "vera")
    assert vera.get(f"/events/{event}").status_code == 200
    assert "data-verdict" not in vera.get(f"/events/{event}").text
    assert vera.post(f"/api/events/{event}/verdict", **verdict).status_code == 403
    assert vera.get("/settings").status_code == 403 and vera.get("/audit").status_code == 403

    rosa = _client(page, "rosa")
    assert rosa.post(f"/api/events/{event}/verdict", **verdict).status_code == 200
    assert rosa.get("/api/events").json()["events"][0]["camera"] == "door"
    assert [row["name"] for row in rosa.get("/api/status").json()["cameras"]] == ["door"]
    for path in (
        f"/events/{hidden}",
        f"/api/events/{hidden}",
        "/cameras/yard",
        "/api/cameras/yard/picture.jpg",
        f"/api/events/{hidden}/poster.jpg",
    ):
        assert rosa.get(path).status_code == 404, path
    assert rosa.post(f"/api/events/{hidden}/verdict", **verdict).status_code == 404
    assert "yard" not in rosa.get("/events").text.lower()

    adam = _client(page, "adam")
    assert adam.get("/settings").status_code == 200
    assert "judge violent" in adam.get("/audit").text
    number = page.reader.verdicts(event)[0].n
    vera_undo = vera.post(f"/api/events/{event}/undo", json={"verdict": number}, headers=WRITE)
    assert vera_undo.status_code == 403
    assert adam.post(
        f"/api/events/{event}/undo", json={"verdict": number}, headers=WRITE
    ).json() == {"undone": True}


def test_tokens_of_programs(page, users):
    token = page.accounts.add_token("script", scope="read")
    client = _client(page, Authorization=f"Bearer {token}")
    assert client.get("/api/status").status_code == 200
    assert client.post("/api/cameras/door/snooze", json={"minutes": 5}).status_code == 403
    assert _client(page, Authorization="Bearer vd_wrong").get("/api/status").status_code == 401
    page.accounts.remove_token("script")
    assert client.get("/api/status").status_code == 401


def test_login_and_logout(page, users):
    client = _client(page, **{"Sec-Fetch-Site": "same-origin"})
    form = {"name": "vera", "password": "wrong password", "next": "/events"}
    answer = client.post("/login", data=form)
    assert answer.status_code == 401 and "Name or password is wrong." in answer.text
    answer = client.post("/login", data=form | {"password": PASSWORD}, follow_redirects=False)
    assert answer.headers["location"] == "/events"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert client.get("/").status_code == 200
    client.post("/logout")
    assert client.get("/", follow_redirects=False).status_code == 303
    for _ in range(5):
        answer = client.post("/login", data=form)
    assert client.post("/login", data=form).status_code == 429
    assert client.post("/login", data={"name": "x" * 20_000}).status_code == 413


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/events?a=1", "/events?a=1"), ("//evil.example", "/"), ("https://evil.example", "/"),
     ("/\\evil.example", "/"), ("/a\r\nSet-Cookie: x", "/"), ("", "/")],
)  # fmt: skip
def test_login_leads_to_this_site_only(path, expected):
    assert safe_path(path) == expected


def test_verdict_undo_acknowledge_snooze_missed(page, client, tmp_path):
    client.headers |= WRITE
    first, second = (draw_event(page.requests.store, tmp_path) for _ in range(2))
    body = {"verdict": "violent", "start_s": 1.0, "end_s": 2.5, "note": "ü"}
    answer = client.post(f"/api/events/{second}/verdict", json=body).json()
    assert answer["next"] == first and answer["unreviewed"] == 1
    stored = page.reader.verdicts(second)[0]
    assert (stored.verdict, stored.start_s, stored.end_s, stored.note) == ("violent", 1.0, 2.5, "ü")
    undo = {"verdict": answer["verdict"]}
    assert client.post(f"/api/events/{second}/undo", json=undo).json() == {"undone": True}
    assert client.post(f"/api/events/{second}/undo", json=undo).json() == {"undone": False}
    assert client.post(f"/api/events/{first}/undo", json=undo).status_code == 404
    for expected in (True, False):
        answer = client.post(f"/api/events/{first}/acknowledge", json={}).json()
        assert answer == {"acknowledged": expected}
    until_ms = client.post("/api/cameras/door/snooze", json={"minutes": 10}).json()["until_ms"]
    assert page.requests.snoozed == {"door": until_ms}
    event = client.post("/api/cameras/door/missed", json={"seconds_ago": 10}).json()["event"]
    assert client.get(f"/api/events/{event}").json()["kind"] == "reported"
    answer = client.post("/api/cameras/door/missed", json={"seconds_ago": 80_000})
    assert answer.status_code == 422 and "within the last hour" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [("verdict", {"verdict": "fight"}), ("verdict", {"verdict": "violent", "start_s": 2.0}),
     ("verdict", {"verdict": "violent", "start_s": 2.0, "end_s": 1.0}),
     ("verdict", {"verdict": "violent", "by": "somebody else"}),
     ("verdict", {"verdict": "violent", "note": "x" * 1001}), ("verdict", []), ("undo", {})],
)  # fmt: skip
def test_wrong_bodies_are_refused(page, client, tmp_path, path, body):
    event = draw_event(page.requests.store, tmp_path, with_clip=False)
    answer = client.post(f"/api/events/{event}/{path}", json=body, headers=WRITE)
    assert answer.status_code == 422
    assert page.reader.verdicts(event) == []


def test_requests_out_of_bounds(page, client):
    large = client.post("/api/cameras/door/snooze", content=b"x" * 20_000, headers=WRITE)
    assert large.status_code == 413
    for path in ("/api/events?limit=100000", "/api/events?from_ms=-1", "/api/events?verdict=x"):
        assert client.get(path).status_code == 422
    for path in (
        "/api/events/..%2f..%2fetc%2fpasswd",
        "/events/x",
        "/static/../api.py",
        "/cameras/%2e%2e",
        "/api/cameras/nobody/picture.jpg",
    ):
        assert client.get(path).status_code == 404, path


def test_media(page, client, tmp_path):
    store = page.requests.store
    event = draw_event(store, tmp_path)
    clip = client.get(f"/api/events/{event}/clip.mp4")
    assert clip.status_code == 200 and clip.headers["content-type"] == "video/mp4"
    part = client.get(f"/api/events/{event}/clip.mp4", headers={"Range": "bytes=10-19"})
    assert part.status_code == 206 and part.content == clip.content[10:20]
    assert client.get(f"/api/events/{event}/poster.jpg").content[:2] == b"\xff\xd8"
    assert client.get(f"/api/events/{event}/preview.mp4").status_code == 404
    assert client.get("/api/cameras/door/picture.jpg").content[:2] == b"\xff\xd8"
    assert [deed.action for _, deed in page.accounts.deeds()] == ["look at clip"]
    (tmp_path / page.reader.clip(event).path).rename(tmp_path / "away")
    assert client.get(f"/api/events/{event}/clip.mp4").status_code == 404, "deleted by retention"
    (tmp_path / "away").rename(tmp_path / page.reader.clip(event).path)
    secret = tmp_path.parent / "secret"
    secret.write_text("secret")
    stored = page.reader.clip(event)
    store.record_clip(dataclasses.replace(stored, path="../secret"))
    assert client.get(f"/api/events/{event}/clip.mp4").status_code == 404
    store.record_clip(dataclasses.replace(stored, state="expired"))
    assert client.get(f"/api/events/{event}/clip.mp4").status_code == 404
    assert "was deleted" in client.get(f"/events/{event}").text


def test_spot_check_hides_its_score(page, client, tmp_path):
    event = draw_event(page.requests.store, tmp_path, kind="spot_check", priority="low")
    assert "Highest score" not in client.get(f"/events/{event}").text
    assert '"peak": null' in client.get(f"/events/{event}").text
    client.post(f"/api/events/{event}/verdict", json={"verdict": "unsure"}, headers=WRITE)
    assert "Highest score" in client.get(f"/events/{event}").text


def test_lists_come_by_pages(page, client, tmp_path):
    store = page.requests.store
    drawn = [draw_event(store, tmp_path, with_clip=False, start_ms=1000 * n) for n in range(5)]
    seen, before = [], ""
    while True:
        answer = client.get("/api/events", params={"limit": 2, "before": before}).json()
        seen += [row["id"] for row in answer["events"]]
        before = answer["next"]
        if not before:
            break
    assert seen == drawn[::-1]


def test_supervisor_that_is_away(page, client, monkeypatch):
    def fail():
        raise RunError("The watch must run and answer.")

    monkeypatch.setattr(page.requests, "status", fail)
    answer = client.get("/api/status")
    assert answer.status_code == 503 and "must run" in answer.json()["detail"]
    assert client.get("/healthz").status_code == 200


def test_ready(page, client):
    assert client.get("/readyz").status_code == 200
    page._status = None
    page.requests.cameras = [
        dataclasses.replace(row, state="waiting") for row in page.requests.cameras
    ]
    answer = client.get("/readyz")
    assert answer.status_code == 503 and answer.text == "no camera is up\n"


def test_path_below_a_proxy(page):
    client = TestClient(create_app(page), base_url="http://localhost", root_path="/cameras-page")
    text = client.get("/").text
    assert 'href="/cameras-page/events"' in text and 'href="/events"' not in text
    assert 'src="/cameras-page/static/page.js' in text


def test_days_follow_the_clock_of_the_place():
    start_ms, end_ms = day_span_ms("2026-10-25", "Europe/Berlin")  # summer time ends
    assert end_ms - start_ms == 25 * 3600 * 1000
    assert day_span_ms("", "UTC") == day_span_ms("2026-13-01", "UTC") == (None, None)


def test_line_breaks_where_nothing_was_judged():
    assert score_points([0.0, 1.0, None, 0.5]) == "M0.0 100.0L33.3 0.0M100.0 50.0"


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"listen": "0.0.0.0:8474"}, "must have users"), ({"behind_proxy": True}, "must have users")],
)
def test_page_is_not_opened_to_others_by_accident(tmp_path, settings, message):
    with Accounts(tmp_path / "accounts.db") as book:
        listening.check_listen(WebSettings(), book)
        with pytest.raises(ConfigError, match=message):
            listening.check_listen(WebSettings(**settings), book)
        book.add_user("anna", PASSWORD, role="admin")
        listening.check_listen(WebSettings(**settings | {"behind_proxy": True}), book)
        with pytest.raises(ConfigError, match="tls_certificate"):
            listening.check_listen(WebSettings(listen="0.0.0.0:8474"), book)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"listen": "localhost"}, "host:port"), ({"listen": "::1:80"}, "host:port"),
     ({"listen": "localhost:99999"}, "<= 65535"), ({"root_path": "x"}, "root_path"),
     ({"root_path": "/x/"}, "root_path")],
)  # fmt: skip
def test_wrong_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        WebSettings(**settings)
