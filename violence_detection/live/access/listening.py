"""Addresses that others than this machine can reach, and what they need."""

import ipaddress

from violence_detection.errors import ConfigError
from violence_detection.live.access.accounts import Accounts
from violence_detection.live.access.config import WebSettings


def check_listen(settings: WebSettings, accounts: Accounts) -> None:
    """Checks that nobody can reach the page unseen.

    Raises:
        ConfigError: If the address is not of this machine, and there is no user, or the passwords
            would go over the network unencrypted.
    """
    if is_local(settings):
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


def is_local(settings: WebSettings) -> bool:
    """True if only this machine can reach the page."""
    return is_loopback(settings.address[0]) and not settings.behind_proxy


def is_loopback(host: str) -> bool:
    """True for `localhost` and for addresses of this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
