"""The reports in a real browser: on a desktop and a phone, in light and dark."""

import base64
import dataclasses
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.reports import (
    CONTEXT,
    METRICS,
    OPERATING_POINT,
    ROBUSTNESS,
    SETTINGS,
    WORST,
    cross_validation_result,
    evaluation_result,
    mistake,
    of_several_classes,
    video_diagnostics,
)

from violence_detection.inference.output_files.annotation import PredictionTimeline, annotate
from violence_detection.inference.prediction_records import Segment, Window
from violence_detection.reports.cross_validation import cross_validation_report
from violence_detection.reports.evaluation import evaluation_report
from violence_detection.reports.plots import figures
from violence_detection.reports.robustness_result import RobustnessScores

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="needs chromium (apt install chromium)"),
]

# Ratio of every text that is seen to what is behind it, by WCAG 2.2 (1.4.3).
CONTRAST = """() => {
  const light = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4 };
  const parts = css => css.match(/[\\d.]+/g).map(Number);
  const shade = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const check = (one, css, what) => {
    const [a, b] = [shade(parts(css.color)), shade(behind(one))].sort((x, y) => y - x);
    const size = parseFloat(css.fontSize), bold = css.fontWeight >= 700;
    const needed = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < needed) found.push(`${what}: ${ratio.toFixed(2)}`);
  };
  let texts = 0;
  for (const one of document.querySelectorAll('body *')) {
    const own = [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (own && one.getClientRects().length) {
      texts += 1;
      check(one, getComputedStyle(one), one.textContent.trim().slice(0, 40));
    }
    const mark = getComputedStyle(one, '::before');
    if (mark.content !== 'none') check(one, mark, 'mark of ' + one.className);
  }
  return {texts, found};
}"""
STICKING_OUT = """() => [...document.querySelectorAll('body *')]
  .filter(one => !one.parentElement.closest('.scroll, .frames'))
  .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5)
  .map(one => `${one.tagName}.${one.className}`)"""
TABLES = """() => [...document.querySelectorAll('table')].map(one => {
  const box = one.closest('.scroll');
  return {inside: !box || getComputedStyle(box).overflowX === 'auto',
          fits: one.scrollWidth <= (box || one.parentElement).clientWidth,
          wrapped: !!box};
})"""
BOTTOMS = """what => [...document.querySelectorAll(what)].map(
  one => one.getBoundingClientRect().bottom)"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """An evaluation report with every section and long names, and a cross-validation report."""
    folder = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(3)
    violent = np.arange(100) % 2 > 0
    probability = np.clip(violent * 0.3 + rng.uniform(0, 0.7, 100), 0, 1)
    drawn = {name: folder / f"{name}.png" for name in ("roc", "confusion")}
    figures.draw_roc(drawn["roc"], violent, probability, 0.91)
    figures.draw_confusion(drawn["confusion"], METRICS["confusion"], METRICS["classes"])
    frame = rng.integers(0, 256, (225, 400, 3), dtype=np.uint8)
    jpeg = base64.b64encode(cv2.imencode(".jpg", frame)[1]).decode()
    frames = [f"data:image/jpeg;base64,{jpeg}"] * 6
    name = f"{'a_long_name_without_a_space' * 4}.mp4"
    weights = rng.dirichlet(np.ones(20)).tolist()
    row = mistake(name, "calm", 0.9, "<fight>", frames=frames, attention=weights)
    evaluation_report.write_report(
        folder / "report.html",
        evaluation_result(operating_point=OPERATING_POINT, close_baselines=["metadata"]),
        context=CONTEXT,
        figures=drawn,
        mistakes=dataclasses.replace(WORST, false_alarms=[row]),
        settings={"commit": "0123456789abcdef" * 4, "settings": {"head": "linear"}},
        robustness=RobustnessScores.from_json(ROBUSTNESS),
    )
    cross_validation_report.write_report(
        folder / "folds.html",
        cross_validation_result(),
        diagnostics=video_diagnostics(drawn),
        settings=SETTINGS,
    )
    of_classes = of_several_classes(14)
    figures.draw_confusion(drawn["confusion"], of_classes["confusion"], of_classes["classes"])
    evaluation_report.write_report(
        folder / "classes.html",
        evaluation_result(**of_classes),
        context=CONTEXT,
        figures=drawn,
        mistakes=WORST,
        settings={},
    )
    return {name: folder / f"{name}.html" for name in ("report", "folds", "classes")}


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="needs the extra `test`")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(
    scope="module",
    params=[
        (name, size, scheme)
        for name in ("report", "folds", "classes")
        for size in SIZES
        for scheme in ("light", "dark")
    ],
    ids="-".join,
)
def seen(request, browser, pages):
    """A page that is open, and what it asked for and complained of on the way."""
    name, size, scheme = request.param
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page, asked, said = context.new_page(), [], []
    page.on("request", lambda one: asked.append(one.url))
    page.on("console", lambda one: said.append(one.text))
    page.on("pageerror", lambda one: said.append(str(one)))
    page.goto(pages[name].as_uri())
    page.wait_for_load_state("networkidle")
    yield page, asked, said, size
    context.close()


def test_it_asks_for_nothing_and_complains_of_nothing(seen):
    page, asked, said, _ = seen
    assert [url for url in asked if not url.startswith("data:")] == [page.url]
    assert said == []


def test_nothing_sticks_out(seen):
    page, *_ = seen
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    assert page.evaluate(STICKING_OUT) == []


def test_tables_scroll_inside_where_they_do_not_fit(seen):
    page, _, _, size = seen
    tables = page.evaluate(TABLES)
    assert tables and all(one["fits"] or one["wrapped"] for one in tables)
    assert all(one["inside"] for one in tables)
    if size == "desktop":
        assert all(one["fits"] for one in tables)


def test_text_stands_out_from_what_is_behind_it(seen):
    page, *_ = seen
    found = page.evaluate(CONTRAST)
    assert found["texts"] > 50
    assert found["found"] == []


def test_pictures_are_there(seen):
    page, *_ = seen
    loaded = "[...document.images].map(one => one.complete && one.naturalWidth > 0)"
    assert all(page.evaluate(loaded))
    if "report" in page.url:
        assert page.evaluate("document.images.length") == 8
        widths = "[...document.querySelectorAll('.frames img')].map(one => one.clientWidth)"
        assert min(page.evaluate(widths)) >= 320  # a fight can be told from a hug


def test_the_first_screen_has_the_cards_and_the_verdict(seen):
    page, _, _, size = seen
    bottoms = [page.evaluate(BOTTOMS, what) for what in (".card", ".verdict")]
    assert [len(one) for one in bottoms] == [3, 1]
    assert max(map(max, bottoms)) <= SIZES[size][1]


def test_dark_is_dark_and_light_is_light(seen):
    page, *_ = seen
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(colour.removeprefix("rgb(").split(",")[0])
    assert (red < 60) is dark


def test_print_is_dark_on_white_in_every_scheme(seen):
    page, *_ = seen
    page.emulate_media(media="print")
    colour = page.evaluate("getComputedStyle(document.querySelector('h1')).color")
    page.emulate_media(media="screen")
    assert int(colour.removeprefix("rgb(").split(",")[0]) < 90


# -- annotated videos


def test_an_annotated_video_plays(browser, tmp_path):
    from support.encoding import with_sound

    source = with_sound(tmp_path / "a.mp4", seconds=3)
    windows = [Window(0.0, 2.0, 0.2), Window(1.0, 3.0, 0.8)]
    segments = [Segment(1.0, 3.0, peak=0.8, peak_s=2.0)]
    timeline = PredictionTimeline(windows, segments, threshold=0.5, fps=12.0)
    *_, frames = annotate(source, tmp_path / "out.mp4", timeline)
    assert frames == 36
    page = browser.new_page()
    (tmp_path / "page.html").write_text('<video muted src="out.mp4"></video>')
    page.goto((tmp_path / "page.html").as_uri())
    played = page.evaluate(
        """async () => {
          const video = document.querySelector('video');
          const ended = new Promise((done, failed) => {
            video.onended = done;
            video.onerror = () => failed(video.error.message);
          });
          await video.play();
          await ended;
          return {width: video.videoWidth, height: video.videoHeight, at: video.currentTime,
                  seen: video.getVideoPlaybackQuality().totalVideoFrames,
                  heard: video.webkitAudioDecodedByteCount > 0};
        }"""
    )
    page.close()
    assert played["at"] == pytest.approx(3.0, abs=0.2)
    assert (played["width"], played["height"] > 48) == (64, True)
    assert played["seen"] > 1
    assert played["heard"]
