"""Makes the pictures of the README from a finished demo: the report's first screen and a timeline.

    .venv/bin/python scripts/readme_pictures.py demo_output

It needs Chromium, and the test tools (`pip install -e '.[test]'`).
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from violence_detection.datasets.drawing.synthetic_footage import draw_footage

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"


def main() -> None:
    demo = Path(sys.argv[1])
    run = demo / "checkpoints" / "demo"
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1080, "height": 760}, color_scheme="light")
        page.goto((run / "evaluation" / "test" / "report.html").resolve().as_uri())
        page.screenshot(path=PICTURES / "report.png")
        browser.close()
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "camera_1.mp4"
        draw_footage(video, calm_s=(14.0, 20.0, 12.0), fight_s=6.0, seed=3)
        command = [sys.executable, "-m", "violence_detection", "predict", run.resolve(), video.name]
        subprocess.run(
            [*command, "--timeline", PICTURES / "timeline.png", "--force"],
            check=True,
            cwd=folder,
        )


if __name__ == "__main__":
    main()
