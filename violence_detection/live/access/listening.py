"""Addresses that others than this machine can reach, and what they need."""

import ipaddress
import socket

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


def check_free(settings: WebSettings) -> None:
    """Checks that the page can have its address.

    Raises:
        ConfigError: If another program has it, or this user or machine may not.
    """
    host, port = settings.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise ConfigError(
            f"The page must have a free address. Received: {settings.listen} "
            f"({error.strerror or error}). End the program that listens there, or give "
            "`web: {listen: …}` another port and reload (kill -HUP)"
        ) from error


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
