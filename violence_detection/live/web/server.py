"""The server of the review page."""

from pathlib import Path

import uvicorn

from violence_detection.live.access.config import WebSettings
from violence_detection.live.web.app import create_app
from violence_detection.live.web.page_state import WatchPage
from violence_detection.live.web.slow_clients import BoundedProtocol

_MAX_CONNECTIONS = 500  # a browser keeps six


def make_server(page: WatchPage, settings: WebSettings) -> uvicorn.Server:
    """The server, ready to run: `run()` returns after `should_exit` is set or at a signal."""
    host, port = settings.address
    return uvicorn.Server(
        uvicorn.Config(
            create_app(page),
            host=host,
            port=port,
            root_path=settings.root_path,
            http=BoundedProtocol,
            ws="none",
            proxy_headers=settings.behind_proxy,
            forwarded_allow_ips=list(settings.trusted_proxies),
            ssl_certfile=_text(settings.tls_certificate),
            ssl_keyfile=_text(settings.tls_key),
            access_log=False,  # who looked at what is in the accounts' record of deeds
            log_config=None,
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=5,
        )
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
