"""The page's process: reload of its settings, an address that is taken, links in messages."""

import socket

import pytest
from support.watch_files import write_cameras_file
from support.watch_processes import READY, PlayedWatch

from violence_detection.live.processes.page_start import PageAlive, PageChange, PageFailed
from violence_detection.live.processes.supervisor_requests import RequestClient
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.supervision.watch_parts import SOCKET, STORE

FILE = """
cameras: [{name: door, source: 1, alert: {threshold: 0.5, confirm: {windows: 1, of: 1}}}]
sinks: [{name: desk, webhook: "http://127.0.0.1:9/x"}]
web: {listen: "127.0.0.1:0"}
retention: {min_free_gb: 0}
"""


@pytest.fixture
def path(short_tmp):
    return write_cameras_file(short_tmp, FILE)


@pytest.fixture
def watch(path):
    with PlayedWatch(path).running() as watch:
        watch.judge.say(READY)
        watch.pages[-1].say(PageAlive(4711))
        watch.handle()
        yield watch


def change(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def reload(watch) -> dict:
    watch.supervisor.reload()
    watch.handle()
    return watch.told("reload")[-1]


def test_links_have_the_port_that_was_given(watch):
    watch.say_state("door", "up")
    watch.judge_windows("door", 0.9)
    with EventStore.reader(watch.file.data / STORE) as store:
        (row,) = store.waiting("desk")
    assert row.message.link == f"http://127.0.0.1:4711/events/{row.message.event}"


def test_a_page_goes_on_if_only_other_settings_change_and_shows_them(watch, path):
    change(path, "0.5", "0.7")
    assert reload(watch)["ok"]
    (page,) = watch.pages
    (sent,) = page.sent
    assert isinstance(sent, PageChange) and page.is_running
    assert sent.file["cameras"][0]["settings"]["alert"]["threshold"] == 0.7


def test_another_address_restarts_the_page_alone(watch, path):
    change(path, "127.0.0.1:0", "localhost:0")
    assert reload(watch)["ok"]
    watch.advance(1.0)
    first, second = watch.pages
    assert (first.is_running, second.is_running) == (False, True)
    assert second.start.settings.listen == "localhost:0"
    second.say(PageAlive(4712))
    watch.handle()
    pages = [(notice["state"], notice["address"]) for notice in watch.told("page")]
    assert pages == [("up", "http://127.0.0.1:4711"), ("up", "http://localhost:4712")]
    assert len(watch.captures("door")) == 1


def test_the_page_is_switched_off_and_on(watch, path):
    change(path, 'listen: "127.0.0.1:0"', "enabled: false")
    assert reload(watch)["ok"]
    watch.advance(3.0)
    assert [page.is_running for page in watch.pages] == [False]
    change(path, "enabled: false", "enabled: true, listen: '127.0.0.1:0'")
    assert reload(watch)["ok"]
    assert [page.is_running for page in watch.pages] == [False, True]


@pytest.mark.parametrize("open_to_all", [True, False])
def test_an_address_that_cannot_be_is_refused_and_the_page_goes_on(watch, path, open_to_all):
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = f"127.0.0.1:{server.getsockname()[1]}"
        change(path, "127.0.0.1:0", "0.0.0.0:1" if open_to_all else taken)
        answer = reload(watch)
    expected = "must have users" if open_to_all else "must have a free address"
    assert not answer["ok"] and expected in answer["errors"][0]
    assert [page.is_running for page in watch.pages] == [True]
    assert len(watch.pages) == 1


def test_an_address_that_is_taken_at_the_start_is_said_once_and_tried_again(path):
    with PlayedWatch(path).running() as watch:
        for _ in range(8):
            watch.pages[-1].say(PageFailed("The page must have a free address."))
            watch.pages[-1].die("exit status 0")
            watch.handle()
            watch.advance(31.0)
        assert [notice["state"] for notice in watch.told("page")] == ["down"]
        watch.advance(31.0)
        assert len(watch.pages) == 9, "it is tried every 30 s"
        watch.pages[-1].say(PageAlive(1))
        watch.handle()
        watch.advance(1.0)
        assert RequestClient(watch.file.data / SOCKET).status().warnings == ()
        with EventStore.reader(watch.file.data / STORE) as store:
            assert [row.message.kind for row in store.waiting("desk")][:1] == ["page"]
