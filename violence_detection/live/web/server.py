"""The process of the review page."""

import logging
from pathlib import Path

import uvicorn

from violence_detection.errors import ConfigError
from violence_detection.live.accounts import Accounts
from violence_detection.live.web.app import create_app
from violence_detection.live.web.config import WebSettings
from violence_detection.live.web.page_state import WatchPage
from violence_detection.live.web.sign_in import is_loopback

log = logging.getLogger(__name__)

_MAX_CONNECTIONS = 200


def check_listen(settings: WebSettings, accounts: Accounts) -> None:
    """Checks that nobody can reach the page unseen.

    Raises:
        ConfigError: If the address is not of this machine, and there is no user, or the passwords
            would go over the network unencrypted.
    """
    host, _ = settings.address
    if is_loopback(host) and not settings.behind_proxy:
        return
    if not accounts.has_users():
        raise ConfigError(
            f"The page at {settings.listen} must have users (violence-detection users add), "
            "because others than this machine can reach it. Received: no user"
        )
    if not (settings.tls_certificate or settings.behind_proxy):
        raise ConfigError(
            f"The page at {settings.listen} must have `tls_certificate` and `tls_key`, or "
            "`behind_proxy: true` where a proxy encrypts. Received: none of them"
        )


def make_server(page: WatchPage, settings: WebSettings) -> uvicorn.Server:
    """The server, ready to run: `run()` returns after `should_exit` is set or at a signal."""
    host, port = settings.address
    return uvicorn.Server(
        uvicorn.Config(
            create_app(page),
            host=host,
            port=port,
            root_path=settings.root_path,
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
