"""F17: the review page with 100,000 events: time of a page, verdicts by keyboard, and their labels.

    PYTHONPATH=tests:benchmarks python benchmarks/live/review_page.py [--events 100000]

Times of a page are medians of 20 requests on loopback, as a share of the time of `/healthz`, which
does nothing, too. Verdicts are given by a headless Chromium with the keys V and N; the label is the
row that the labeller, which does not copy the clip here, returns.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import machine
from support.watch_page import NoLabels, draw_event, draw_watch

from violence_detection.live.access.config import WebSettings
from violence_detection.live.web.server import make_server

ADDRESS = "http://127.0.0.1:8475"
PAGES = ("/healthz", "/", "/events", "/events?verdict=none", "/events?verdict=violent",
         "/events?verdict=disputed", "/events?priority=high&verdict=none", "/review",
         "/api/status")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    print(json.dumps(machine.describe()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        page = draw_watch(Path(folder), NoLabels(), cameras=16)
        store, now_ms = page.requests.store, int(time.time() * 1000)
        _draw_events(store, options.events, now_ms)
        for number in range(40):
            draw_event(store, Path(folder), start_ms=now_ms - 1000 * (40 - number))
        page.labels.start()
        server = make_server(page, WebSettings(listen="127.0.0.1:8475"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        for path in PAGES:
            print(f"{path:38} {1000 * _median_s(path):7.1f} ms", flush=True)
        _judge(options.chromium, 30)
        waited = time.monotonic()
        while any(not row[0] for row in store.rows("select label_row from verdicts")):
            time.sleep(0.05)
        print(f"last label {time.monotonic() - waited:.2f} s after the last verdict")
        server.should_exit = True
        thread.join()


def _draw_events(store, count: int, now_ms: int) -> None:
    """Events each half minute, three of four of which have a verdict."""
    names = [name for (name,) in store.rows("select name from cameras")]

    def write(db) -> None:
        for number in range(count):
            at, event = now_ms - 30_000 * (count - number), store.new_id()
            priority = ("low", "low", "medium", "high")[number % 4]
            db.execute(
                "insert into events (id, camera, kind, start_ms, end_ms, peak, peak_ms, priority, "
                "threshold, run_digest, settings_digest, state, suppressed_by) "
                "values (?, ?, 'violence', ?, ?, 0.8, ?, ?, 0.7, '', '', 'ended', '')",
                [event, names[number % len(names)], at, at + 4000, at, priority],
            )
            if number % 4 != 3:
                verdict = ("violent", "not_violent", "not_violent")[number % 3]
                db.execute(
                    "insert into verdicts (event, verdict, by, at_ms, note, label_row) "
                    "values (?, ?, 'anna', ?, '', 'x')",
                    [event, verdict, at],
                )

    store.write(write)


def _median_s(path: str) -> float:
    times = []
    for _ in range(20):
        started = time.perf_counter()
        urllib.request.urlopen(ADDRESS + path).read()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _judge(chromium: str, count: int) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(f"{ADDRESS}/review")
        started = time.perf_counter()
        for number in range(count):
            before = page.url
            page.keyboard.press("vn"[number % 2])
            page.wait_for_url(lambda url, before=before: url != before)
            page.wait_for_load_state("domcontentloaded")
        print(f"{count} verdicts by keyboard in {time.perf_counter() - started:.1f} s")
        browser.close()


if __name__ == "__main__":
    main()
