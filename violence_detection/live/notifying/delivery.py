"""Contract of notifiers: what they are given, and what they answer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from violence_detection.live.storage.messages import Message


@dataclass(frozen=True)
class Delivery:
    """The outcome of sending a message.

    Attributes:
        state: `delivered`; `unavailable` if no message can be delivered now; `refused` if this
            message is not taken, and others may be.
        reason: Why it was not delivered, in words without passwords or addresses.
        retry_after_s: Seconds that the receiver asks to wait, or None.
    """

    state: Literal["delivered", "unavailable", "refused"]
    reason: str = ""
    retry_after_s: float | None = None


DELIVERED = Delivery("delivered")


@dataclass(frozen=True)
class ShownCamera:
    """A camera for displays: its name, a part of topics, and its title for people.

    Attributes:
        finds: What is found there: `violence`, or what is `unusual`.
    """

    name: str
    title: str
    site: str = ""
    finds: str = "violence"


@dataclass(frozen=True)
class PublishedCameraState:
    """The present state of a camera.

    Attributes:
        is_up: True while its frames arrive.
        is_violent: True while an event is open.
        score: The last window's probability, or None.
        snooze_min: Minutes for which nothing more is sent of it; 0 if it is not snoozed.
    """

    is_up: bool
    is_violent: bool = False
    score: float | None = None
    snooze_min: int = 0


class Notifier(Protocol):
    """Sends messages to one receiver. Its `send` is called by one thread at a time.

    Attributes:
        wants_end: True if it is told of the ends of events, as programs are and people are not.
    """

    wants_end: bool

    def send(self, message: Message, *, late_s: float, picture: Path | None) -> Delivery:
        """Sends a message, within bounded time.

        Args:
            message: What is sent.
            late_s: Seconds since it was made.
            picture: A JPEG file that is sent with it, or None.
        """
        ...

    def show(self, camera: str, state: PublishedCameraState) -> None:
        """Shows the state of a camera, if the receiver has a place for it. Never waits."""
        ...

    def close(self) -> None: ...
