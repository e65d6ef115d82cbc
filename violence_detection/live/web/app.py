"""The web application: its parts, its headers, and its errors."""

import hashlib
from pathlib import Path
from urllib.parse import quote

import jinja2
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.live.web import api, pages
from violence_detection.live.web.page_state import WatchPage
from violence_detection.live.web.sign_in import NotSignedInError

FOLDER = Path(__file__).parent
_MAX_BODY_BYTES = 16 * 1024
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; media-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


def create_app(page: WatchPage) -> FastAPI:
    """The application of a watch; its state `page` is what the routes use."""
    app = FastAPI(
        title="Violence Detection: watch",
        docs_url=None,  # they load scripts from other sites
        redoc_url=None,
        openapi_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.state.page = page
    app.state.templates = _templates()
    app.mount("/static", StaticFiles(directory=FOLDER / "static"))
    app.include_router(api.router)
    app.include_router(pages.router)
    app.add_middleware(_Headers)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=_MAX_BODY_BYTES)
    app.exception_handler(NotSignedInError)(_ask_to_sign_in)
    app.exception_handler(ViolenceDetectionError)(_describe_error)
    app.exception_handler(HTTPException)(_describe_http_error)
    app.exception_handler(RequestValidationError)(_describe_wrong_request)
    return app


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    digest = hashlib.sha256()
    for path in sorted((FOLDER / "static").iterdir()):
        digest.update(path.read_bytes())
    environment.globals["version"] = digest.hexdigest()[:10]  # a browser keeps no old script
    return environment


class _Headers:
    """Adds the headers of every answer; as plain ASGI, because a middleware of Starlette's base
    class changes the errors of what reads the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "/static/" in scope["path"] and message["status"] == 200:
                    headers["Cache-Control"] = "public, max-age=31536000, immutable"
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _is_api(request: Request) -> bool:
    return (
        request.scope["path"].removeprefix(request.scope.get("root_path", "")).startswith("/api/")
    )


async def _ask_to_sign_in(request: Request, _: Exception) -> Response:
    if _is_api(request) or request.method != "GET":
        return _problem(401, "Sign in first.")
    root = request.scope.get("root_path", "")
    following = request.scope["path"].removeprefix(root)  # the login puts the root before it
    if request.url.query:
        following = f"{following}?{request.url.query}"
    return RedirectResponse(f"{root}/login?next={quote(following[:400], safe='/')}", 303)


async def _describe_error(request: Request, error: ViolenceDetectionError) -> Response:
    status = 422 if isinstance(error, ConfigError) else 503
    return await _describe_http_error(request, HTTPException(status, str(error)))


async def _describe_wrong_request(request: Request, error: RequestValidationError) -> Response:
    # What was received is not repeated: it may be no text that JSON can hold, such as NaN.
    lines = (f"{'.'.join(map(str, row['loc']))}: {row['msg']}" for row in error.errors()[:5])
    detail = "; ".join(lines).encode("utf-8", "replace").decode()
    return await _describe_http_error(request, HTTPException(422, detail))


async def _describe_http_error(request: Request, error: HTTPException) -> Response:
    if _is_api(request) or request.method != "GET":
        return _problem(error.status_code, str(error.detail))
    text = request.app.state.templates.get_template("error.html.j2").render(
        root=request.scope.get("root_path", ""),
        user=None,
        status=error.status_code,
        detail=error.detail,
    )
    return Response(text, error.status_code, media_type="text/html")


def _problem(status: int, detail: str) -> JSONResponse:
    """An error as RFC 9457 has it."""
    return JSONResponse(
        {"status": status, "detail": detail}, status, media_type="application/problem+json"
    )
