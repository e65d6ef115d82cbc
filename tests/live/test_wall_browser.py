"""The wall of cameras in a real browser: what is not current is not shown as if it were."""

import dataclasses
import shutil
import threading
import time

import pytest
from support.watch_page import jpeg, picture

from violence_detection.live.access.config import WebSettings
from violence_detection.live.processes.watch_status import SinkStatus

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
OLD = "name => document.querySelector(`[data-camera=${name}]`).classList.contains('old')"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="needs chromium (apt install chromium)"),
]


@pytest.fixture
def wall(page):
    """The wall of a drawn watch whose cameras deliver frames and pictures, in a browser."""
    sync_api = pytest.importorskip("playwright.sync_api")
    from violence_detection.live.web.server import make_server

    requests, status = page.requests, page.requests.status
    requests.pictures = {"door": jpeg(picture(1)), "yard": jpeg(picture(2))}
    requests.changes = {}

    def current(**_):
        known = status()
        now_ms = int(time.time() * 1000)
        cameras = tuple(dataclasses.replace(row, last_frame_ms=now_ms) for row in known.cameras)
        sinks = tuple(SinkStatus(row.name) for row in known.sinks)
        return dataclasses.replace(known, **{"cameras": cameras, "sinks": sinks} | requests.changes)

    requests.status = current
    server = make_server(page, WebSettings(listen="127.0.0.1:0"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page()
        tab.goto(f"http://127.0.0.1:{port}/")
        tab.wait_for_function("() => document.querySelectorAll('.tile:not(.old)').length === 2")
        yield tab, requests, server
        browser.close()
    server.should_exit = True
    thread.join()


def test_what_changes_while_the_wall_is_open_is_shown(wall):
    tab, requests, server = wall
    assert tab.inner_text("#warnings") == ""
    requests.changes = {"judge": "down", "warnings": ("A sentence.",)}
    tab.wait_for_function("() => document.getElementById('warnings').children.length === 2")
    lines = tab.locator("#warnings p").all_inner_texts()
    assert lines == ["Nothing is judged now: the judge is down.", "A sentence."]
    requests.changes = {}
    tab.wait_for_function("() => document.getElementById('warnings').children.length === 0")
    del requests.pictures["yard"]  # frames come, but no picture is made of them
    tab.wait_for_function(OLD, arg="yard", timeout=15_000)
    assert not tab.evaluate(OLD, "door")
    assert "no picture for" in tab.inner_text("[data-camera=yard] [data-age]")
    requests.cameras = requests.cameras[:1]
    tab.wait_for_function("() => document.querySelectorAll('.tile').length === 1")
    server.should_exit = True  # its connections are closed
    tab.wait_for_function(OLD, arg="door", timeout=20_000)
    assert tab.inner_text("#notice") == "The server does not answer: nothing here is current."
