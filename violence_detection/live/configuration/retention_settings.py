"""Settings of what is kept: days and sizes of clips, days of events and scores."""

from dataclasses import dataclass, field

from violence_detection.settings import Config, option


@dataclass(frozen=True)
class RetentionDays(Config):
    """Days that clips are kept, by the priority of their event."""

    low: float = option(
        7.0, "Days that clips of low events are kept.", group="Output", low=0.0, high=36500.0
    )
    medium: float = option(
        14.0, "Days that clips of medium events are kept.", group="Output", low=0.0, high=36500.0
    )
    high: float = option(
        30.0, "Days that clips of high events are kept.", group="Output", low=0.0, high=36500.0
    )


@dataclass(frozen=True)
class ReviewedDays(Config):
    """Days that clips of events are kept that somebody judged."""

    violent: float = option(
        90.0, "Days that clips of violent events are kept.", group="Output", low=0.0, high=36500.0
    )
    not_violent: float = option(
        7.0,
        "Days that clips are kept that show no violence.",
        group="Output",
        low=0.0,
        high=36500.0,
    )


@dataclass(frozen=True)
class RetentionConfig(Config):
    """Limits of the clips, events and scores that are kept.

    Attributes:
        days, judged_days: See their classes.
    """

    max_gb: float | None = option(
        None, "Most gigabytes of clips; default: no limit.", group="Output", above=0.0
    )
    min_free_gb: float = option(
        10.0, "Gigabytes of the disk that are left free.", group="Output", low=0.0, high=1e6
    )
    event_days: float = option(
        365.0,
        "Days after which events without a clip are deleted, with their verdicts and messages.",
        group="Output",
        low=1.0,
        high=36500.0,
    )
    minute_days: float = option(
        90.0,
        "Days after which the scores of all windows are deleted, and with them what replay and "
        "calibrate can use.",
        group="Output",
        low=1.0,
        high=36500.0,
    )
    audit_days: float = option(
        365.0,
        "Days after which the record of who did what on the page is deleted.",
        group="Output",
        low=1.0,
        high=36500.0,
    )
    days: RetentionDays = field(default_factory=RetentionDays)
    judged_days: ReviewedDays = field(default_factory=ReviewedDays)
