"""Clips and previews play in a real browser, for as long as they say."""

import functools
import http.server
import shutil
import threading

import pytest
from support.packets import FPS, DrawnStream

from violence_detection.live.recording.clip_pictures import make_pictures
from violence_detection.live.recording.clips import ClipWriter
from violence_detection.live.recording.masked_clips import MaskedClipWriter

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required"
).split()
PLAY = """path => new Promise((done) => {
  const video = document.createElement("video");
  video.muted = true;
  video.src = path;
  video.onerror = () => done({error: video.error.code});
  video.onended = () => done({
    duration: video.duration, frames: video.getVideoPlaybackQuality().totalVideoFrames,
  });
  document.body.append(video);
  video.play();
})"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="needs chromium (apt install chromium)"),
]


@pytest.fixture
def play(tmp_path):
    """Plays a file below `tmp_path` and returns its duration and number of frames, or an error."""
    playwright = pytest.importorskip("playwright.sync_api")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    (tmp_path / "index.html").write_text("<!doctype html><title>clips</title><body>")
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        playwright.sync_playwright() as started,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/index.html")
        yield lambda path: page.evaluate(PLAY, path.name)
        browser.close()
        server.shutdown()


def write(writer, drawn):
    for packet in drawn.packets:
        writer.write(packet)
    return writer.finish().path


def test_clips_play_to_their_end(tmp_path, play):
    drawn = DrawnStream(size=(320, 240))
    clip = write(ClipWriter(tmp_path / "a.mp4", drawn.header, drawn.time_base), drawn)
    masks = [[(0.0, 0.0), (0.5, 0.0), (0.5, 1.0)]]
    masked = write(
        MaskedClipWriter(tmp_path / "b.mp4", drawn.header, drawn.time_base, masks), drawn
    )
    for path in (clip, masked):
        shown = play(path)
        assert shown["duration"] == pytest.approx(40 / FPS, abs=0.15) and shown["frames"] > 30


def test_the_preview_of_a_clip_that_browsers_do_not_play_plays(tmp_path, play):
    drawn = DrawnStream(codec="libx265", size=(320, 240))
    clip = write(ClipWriter(tmp_path / "a.mp4", drawn.header, drawn.time_base), drawn)
    pictures = make_pictures(clip)
    assert play(clip) == {"error": 4}
    shown = play(pictures.preview)
    assert shown["duration"] == pytest.approx(40 / FPS, abs=0.15) and shown["frames"] > 30
