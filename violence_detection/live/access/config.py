"""Settings of the review page, and of its users."""

import re
from dataclasses import dataclass
from pathlib import Path

from violence_detection.errors import ConfigError
from violence_detection.live.access.roles import ROLES, SCOPES
from violence_detection.settings import CommandConfig, Config, option


@dataclass(frozen=True)
class WebSettings(Config):
    """Address of the review page, and who can reach it."""

    enabled: bool = option(True, "Serve the page.", group="Output")
    listen: str = option(
        "127.0.0.1:8474",
        "Address and port of the page; others than this machine need users and TLS.",
        group="Output",
    )
    root_path: str = option(
        "", "Path below which a proxy shows the page, such as /cameras.", group="Output"
    )
    url: str = option(
        "",
        "Address under which people reach the page, for links in messages; default: `listen`.",
        group="Output",
    )
    behind_proxy: bool = option(
        False, "A proxy encrypts, and names the address of who asks.", group="Output"
    )
    trusted_proxies: tuple[str, ...] = ("127.0.0.1",)
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.address[1] <= 65535:
            raise ConfigError(f"The port of `listen` must be <= 65535. Received: {self.listen}")
        if self.root_path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", self.root_path):
            raise ConfigError(
                f"`root_path` must be a path without a slash at its end. Received: {self.root_path}"
            )
        if self.url and not re.fullmatch(r"https?://[^/\s?#@]+(/[^\s?#]*)?", self.url):
            raise ConfigError(
                f"`url` must be as https://watch.example, without a name or password. "
                f"Received: {self.url}"
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigError("`tls_certificate` and `tls_key` must be given together.")

    def link_base(self, port: int) -> str:
        """The address before the paths of pages.

        Args:
            port: On which the page listens; that of the settings may be 0, any.
        """
        if self.url:
            return self.url.rstrip("/")
        host = self.address[0]
        host = f"[{host}]" if ":" in host else host
        scheme = "https" if self.tls_certificate else "http"
        return f"{scheme}://{host}:{port}{self.root_path}"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port.

        Raises:
            ConfigError: If `listen` is not of the form `host:port` or `[host]:port`.
        """
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdecimal() or (":" in host and not host.startswith("[")):
            raise ConfigError(
                f"`listen` must be `host:port`, as 127.0.0.1:8474. Received: {self.listen}"
            )
        return host.strip("[]"), int(port)


@dataclass(frozen=True)
class RoleConfig(CommandConfig):
    """Rights of a user of the page."""

    role: str = option(
        "reviewer",
        "viewer sees, reviewer judges and snoozes, admin also sees settings and the audit log.",
        group="Data",
        choices=ROLES,
    )
    cameras: str | None = option(
        None, "Names of the cameras that the user sees, with commas, or all.", group="Data"
    )


@dataclass(frozen=True)
class ChangeConfig(CommandConfig):
    """New rights of a user of the page; what is not given stays."""

    role: str | None = option(
        None,
        "viewer sees, reviewer judges and snoozes, admin also sees settings and the audit log; "
        "default: the role of before.",
        group="Data",
        choices=ROLES,
    )
    cameras: str | None = option(
        None,
        "Names of the cameras that the user sees, with commas, or all; default: those of before.",
        group="Data",
    )


@dataclass(frozen=True)
class TokenConfig(CommandConfig):
    """Rights of a program with a token."""

    scope: str = option(
        "read", "read sees, review judges and snoozes.", group="Data", choices=SCOPES
    )
    days: float | None = option(
        None, "Days after which the token ends; default: never.", group="Data", above=0.0
    )
    cameras: str | None = option(
        None, "Names of the cameras that it sees, with commas, or all.", group="Data"
    )
