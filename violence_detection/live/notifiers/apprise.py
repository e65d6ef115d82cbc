"""Apprise: ntfy, e-mail, Telegram, Slack, Matrix and some 170 other services, by one URL each."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from violence_detection.errors import ConfigError
from violence_detection.live.notifying.delivery import (
    DELIVERED,
    Delivery,
    PublishedCameraState,
    ShownCamera,
)
from violence_detection.live.storage import messages
from violence_detection.live.storage.messages import Message
from violence_detection.registry import Range
from violence_detection.system.requirements import install_command


def build(
    *,
    sink: str,
    url: str,
    cameras: Sequence[ShownCamera],
    on_snooze: Callable[[str, int], None],
    timeout_s: Annotated[float, Range(0.1, 120)] = 10.0,
) -> "Apprise":
    """
    Args:
        timeout_s: Seconds for the connection, and again for the answer; `cto` and `rto` in the
            URL come before it.

    Raises:
        ConfigError: If Apprise is not installed, or does not know the URL.
    """
    try:
        import apprise
    except ImportError as error:
        raise ConfigError(f"The sink {sink} needs Apprise: {install_command('watch')}") from error
    # Their logs repeat addresses, with keys in them.
    for name in ("apprise", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    service = apprise.Apprise(asset=apprise.AppriseAsset(storage_mode="memory"))
    joint = "&" if "?" in url else "?"
    limits = "&".join(f"{name}={timeout_s:g}" for name in ("cto", "rto") if f"{name}=" not in url)
    if not service.add(f"{url}{joint}{limits}" if limits else url):
        scheme, is_url, _ = url.partition("://")
        named = f"an address of `{messages.clean(scheme)[:40]}`" if is_url else "no URL"
        raise ConfigError(
            f"The sink {sink} must have the URL of a service that Apprise knows. Received: {named}"
        )
    return Apprise(service)


class Apprise:
    """Sends texts by a service of Apprise, which does not repeat what fails: the outbox does."""

    wants_end = False

    def __init__(self, service: Any) -> None:
        """
        Args:
            service: An `apprise.Apprise` with one URL.
        """
        self._service = service

    def send(self, message: Message, *, late_s: float, picture: Path | None) -> Delivery:
        import apprise

        kinds = {"high": apprise.NotifyType.FAILURE, "medium": apprise.NotifyType.WARNING}
        accepted = self._service.notify(
            title=messages.headline(message),
            body=messages.body(message, late_s=late_s),
            notify_type=kinds.get(message.priority, apprise.NotifyType.INFO),
            body_format=apprise.NotifyFormat.TEXT,
            attach=str(picture) if picture else None,
        )
        if accepted:
            return DELIVERED
        return Delivery("unavailable", "the service did not take the message")

    def show(self, camera: str, state: PublishedCameraState) -> None:
        """Nothing: these services hold no states."""

    def close(self) -> None:
        """Nothing: each message has a connection of its own."""
