"""Console text that several commands share; it imports no NumPy."""

from collections.abc import Mapping, Sequence
from typing import Any

from violence_detection.metrics.operating_points import ChosenOperatingPoint
from violence_detection.units import counted

NONE = "none: videos of one class only"


def format_table(values: Mapping[str, Any], indent: str = "") -> list[str]:
    """A line for each value; the values of a nested dict are indented."""
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}", *format_table(value, indent + "  ")]
        elif isinstance(value, list):
            lines.append(f"{indent + name:28s} {', '.join(map(str, value))}")
        else:
            lines.append(f"{indent + name:28s} {value}")
    return lines


def format_extraction_plan(plan: dict[str, Any]) -> list[str]:
    """The table of a dry run with feature extraction. The folder of the features has no name before
    the weights are downloaded, because the name holds their digest."""
    if plan.get("features") == "":
        plan = plan | {"features": "not known before the weights are downloaded"}
    return format_table(plan)


def failure_lines(
    failures: Sequence[Mapping[str, str]],
    most: int = 20,
    whole: str = "manifest.csv",
    label: str = "failed",
) -> list[str]:
    """The first failures, and the name of the file that lists all.

    Args:
        failures: `path` and `reason` of each.
        most: How many are shown.
        whole: Name of the file.
        label: First word of each line.
    """
    lines = [f"{label:12s}{failure['path']}: {failure['reason']}" for failure in failures[:most]]
    if len(failures) > most:
        lines.append(f"{label:12s}and {len(failures) - most} more, listed in {whole}")
    return lines


def threshold_lines(result: Mapping[str, Any]) -> list[str]:
    """The threshold, how it was chosen, and the rates that it reaches; runs of older versions have
    no rates."""
    first = f"threshold   {result['threshold']:.3f} ({result['threshold_reason']})"
    if not result.get("operating_point"):
        return [first]
    point = ChosenOperatingPoint.from_json(result["operating_point"])
    if point.interval:
        first = f"{first[:-1]}; 95%: {format_interval(point.interval, '.3f')})"
    labels = {
        "recall": "recall",
        "false_positive_rate": "false positive rate",
        "balanced_accuracy": "balanced accuracy",
        "f1": "F1",
    }
    rates = []
    for name, label in labels.items():
        interval = point.achieved_ci[name]
        text = f" ({format_interval(interval, '.1%')})" if interval else ""
        rates.append(f"{label} {point.achieved[name]:.1%}{text}")
    return [first, f"            on {point.chosen_on}: {', '.join(rates)}"]


def format_rate(result: Mapping[str, Any], name: str, value: float | None = None) -> str:
    """A rate in percent; `none` if its denominator is 0."""
    if name in result["undefined"]:
        return "none"
    return f"{result[name] if value is None else value:.1%}"


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of a table as lines; the first column is aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "            "
        + "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def format_interval(interval: Sequence[float] | None, form: str) -> str:
    """`71.0% to 84.0%`; `none` for None."""
    if interval is None:
        return "none"
    low, high = interval
    return f"{low:{form}} to {high:{form}}"


def format_auc(value: float | None) -> str:
    """An area under the curve; `none` for videos of one class only."""
    return "none" if value is None else f"{value:.3f}"


def mapping_lines(class_mapping: Mapping[str, str]) -> list[str]:
    """The labels of the videos that the run knows under another name."""
    pairs = [f"{label} is mapped to {name}" for label, name in class_mapping.items()]
    return [f"classes     {', '.join(pairs)}"] if pairs else []


def leaks_text(result: Mapping[str, Any]) -> str:
    """`2 recordings and 1 near-duplicate, e.g. recording A`."""
    kinds = {
        "recordings": "recording",
        "identical": "identical file",
        "near_duplicates": "near-duplicate",
    }
    counts = result["leak_counts"]
    parts = [counted(counts[name], kind) for name, kind in kinds.items() if counts[name]]
    *before, last = parts
    listed = " and ".join(filter(None, (", ".join(before), last)))
    return f"{listed}, e.g. {result['leaks'][0]}"
