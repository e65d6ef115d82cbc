"""F25: requests that no browser sends, to every route of the review page, in every role.

    PYTHONPATH=tests:benchmarks python benchmarks/live/page_fuzz.py SCHEMATHESIS [--examples 40]

SCHEMATHESIS is the program of that name (PyPI, MIT), in an environment of its own. It draws
--examples requests for each route from the page's schema, which the page itself does not give
away, and its own list of hostile values. The page is that of a drawn watch with a viewer and a
reviewer of one camera, an administrator, and one who is not signed in. Printed for each role: the
requests, answers of 500 and above, and answers of success that the role may not have.
"""

import argparse
import json
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path

import machine
from fastapi.openapi.utils import get_openapi
from support.watch_page import NoLabels, draw_event, draw_watch

from violence_detection.live.access.config import WebSettings
from violence_detection.live.web import server as web_server

PORT, PASSWORD = 8476, "correct horse"
ADDRESS = f"http://127.0.0.1:{PORT}"
ROLES = ("", "viewer", "reviewer", "admin")
OPEN, ADMIN = ("/login", "/logout", "/healthz", "/readyz"), ("/settings", "/audit")
SESSION = ("/login", "/logout")
# /readyz says 503 while the judge of the drawn watch is not ready.
NO_DEFECT = {("/readyz", 503)}
WRITE = {"X-Violence-Detection": "1", "Sec-Fetch-Site": "same-origin"}


class RecordedAnswers:
    """ASGI: passes requests on, and notes path, method and status of each answer."""

    def __init__(self, app) -> None:
        self.app, self.answers = app, []

    async def __call__(self, scope, receive, send) -> None:
        async def noted(message) -> None:
            if message["type"] == "http.response.start":
                self.answers.append((scope["path"], scope["method"], message["status"]))
            await send(message)

        await self.app(scope, receive, noted if scope["type"] == "http" else send)


def may_have(role: str, path: str, method: str) -> bool:
    """True if a request of this kind can succeed in the role; "" is nobody."""
    if path in OPEN or path.startswith("/static/"):
        return True
    if not role:
        return False
    if path in ADMIN:
        return role == "admin"
    return method in ("GET", "HEAD") or role != "viewer"


def cookie_of(name: str) -> str:
    """The session cookie of a user who signs in."""
    data = urllib.parse.urlencode({"name": name, "password": PASSWORD}).encode()
    opener = urllib.request.build_opener(NoRedirect)
    try:
        answer = opener.open(urllib.request.Request(f"{ADDRESS}/login", data, WRITE))
    except urllib.error.HTTPError as error:
        answer = error
    return answer.headers["Set-Cookie"].partition(";")[0]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("schemathesis", type=Path)
    parser.add_argument("--examples", type=int, default=40, help="for each route")
    options = parser.parse_args()
    print(json.dumps(machine.describe()), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = draw_watch(folder, NoLabels())
        for camera in ("door", "yard"):
            draw_event(page.requests.store, folder, camera=camera)
        for role in ROLES[1:]:
            cameras = None if role == "admin" else ["door"]
            page.accounts.add_user(role, PASSWORD, role=role, cameras=cameras)
        page.labels.start()
        server = web_server.make_server(page, WebSettings(listen=f"127.0.0.1:{PORT}"))
        app = server.config.app
        recorded = server.config.app = RecordedAnswers(app)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        schema = folder / "openapi.json"
        for role in ROLES:
            schema.write_text(json.dumps(schema_of(app, signs_out=not role)))
            headers = WRITE | ({"Cookie": cookie_of(role)} if role else {})
            recorded.answers.clear()
            command = [options.schemathesis, "run", schema, "--url", ADDRESS, "--request-timeout=5"]
            command += [f"--max-examples={options.examples}", "--checks=not_a_server_error"]
            command += ["--continue-on-failure", "--phases=examples,coverage,fuzzing"]
            for key, value in headers.items():
                command += ["--header", f"{key}: {value}"]
            subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False)
            print(json.dumps({"role": role or "nobody"} | result_of(role, recorded.answers)))
        server.should_exit = True
        thread.join()


def schema_of(app, *, signs_out: bool) -> dict:
    """The OpenAPI schema of an application, whatever wraps it; without `signs_out` it leaves out
    the routes that would end the session that the requests are made in."""
    while not hasattr(app, "routes"):
        app = app.app
    schema = get_openapi(title="watch", version="1", routes=app.routes)
    if not signs_out:
        schema["paths"] = {k: v for k, v in schema["paths"].items() if k not in SESSION}
    return schema


def result_of(role: str, answers: list[tuple[str, str, int]]) -> dict:
    """The figures of a role."""
    defects = [a for a in answers if a[2] >= 500 and (a[0], a[2]) not in NO_DEFECT]
    above = [a for a in answers if a[2] < 300 and not may_have(role, a[0], a[1])]
    return {
        "requests": len(answers),
        "paths": len({path for path, *_ in answers}),
        "statuses": dict(sorted(Counter(status for *_, status in answers).items())),
        "5xx": defects[:5],
        "above_role": above[:5],
    }


if __name__ == "__main__":
    main()
