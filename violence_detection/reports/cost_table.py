"""The cost of a detector at a site as lines and rows, for the terminal, the report and the model
card."""

from collections.abc import Iterator
from dataclasses import dataclass

from violence_detection.metrics.thresholds.operating_cost import (
    CameraTraffic,
    CostDifference,
    Estimate,
    OperatingCost,
    VideoTraffic,
)
from violence_detection.units import counted

_NAMES = {
    "false_alarms_per_day": "false alarms a day",
    "misses_per_day": "missed violent videos a day",
    "alarms_per_day": "alarms a day, right and false",
    "positive_predictive_value": "alarms that are right (positive predictive value)",
    "cost_per_day": "cost of the reviews a day",
    "cost_per_year": "cost of the reviews a year",
}


@dataclass(frozen=True)
class CostRow:
    """A number of a site as text, and its interval; empty where there is none."""

    name: str
    value: str
    interval: str

    def __str__(self) -> str:
        """`false alarms a day: 2,178 (95%: 1,200 to 3,300)`."""
        interval = f" (95%: {self.interval})" if self.interval else ""
        return f"{self.name}: {self.value}{interval}"


def traffic_text(cost: OperatingCost | CostDifference) -> str:
    """The traffic and the cost of a review: `10,000 videos a day, 1% of them violent`."""
    if isinstance(cost.traffic, CameraTraffic):
        hours = cost.traffic.hours_per_day
        text = f"{counted(cost.traffic.cameras, 'camera')} watched {hours:g} hours a day"
    else:
        text = _video_traffic_text(cost.traffic)
    return text if cost.review_cost is None else f"{text}, {cost.review_cost:,.2f} a review"


def cost_rows(cost: OperatingCost | CostDifference) -> Iterator[CostRow]:
    """A row for each number that is known; those of a difference have their sign."""
    sign = "+" if isinstance(cost, CostDifference) else ""
    for name, text in _NAMES.items():
        estimate: Estimate | None = getattr(cost, name, None)
        if estimate is None:
            continue
        # A bootstrap without width would read as certainty.
        ends = () if estimate.ci is None or estimate.ci[0] == estimate.ci[1] else estimate.ci
        value, *interval = (_number(name, value, sign) for value in (estimate.value, *ends))
        yield CostRow(text, value, " to ".join(interval))


def _video_traffic_text(traffic: VideoTraffic) -> str:
    share = f"{100 * traffic.prevalence:.3g}%"
    return f"{traffic.videos_per_day:,.10g} videos a day, {share} of them violent"


def _number(name: str, value: float, sign: str) -> str:
    """`12`, `0.48`, `1,134.00`, `3.9%`; `-1,400` with a sign."""
    if name == "positive_predictive_value":
        return f"{value:{sign}.1%}"
    if name.startswith("cost"):
        return f"{value:{sign},.2f}" if abs(value) < 1000 else f"{value:{sign},.0f}"
    return f"{value:{sign}.2g}" if abs(value) < 10 else f"{value:{sign},.0f}"
