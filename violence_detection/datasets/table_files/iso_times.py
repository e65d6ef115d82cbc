"""Dates and times of recording as text in ISO 8601."""

import contextlib
from datetime import UTC, date, datetime


def iso_time(text: str) -> str:
    """A date, or a date and time, in its usual form of ISO 8601; empty if it is neither.

    `2024-05-31`, `20240531T2140` and `2024-05-31 21:40:00+02:00` are read.
    """
    text = text.strip()
    with contextlib.suppress(ValueError):
        return date.fromisoformat(text).isoformat()
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(text).replace(microsecond=0).isoformat()
    return ""


def instant(text: str) -> datetime:
    """The moment of a text of `iso_time`, to put videos in order; a date is its first moment.

    A time with an offset from UTC is converted to UTC; one without is taken as it is.
    """
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def hour_of_day(text: str) -> int | None:
    """The hour on the camera's clock, 0 to 23; None for a date, or for nothing."""
    return datetime.fromisoformat(text).hour if "T" in text else None
