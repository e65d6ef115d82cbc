"""How results read, in lines for a person: what several commands share. It imports no NumPy."""

from typing import Any

from violence_detection.units import counted

NONE = "none: one class only"


def table(values: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}", *table(value, indent + "  ")]
        elif isinstance(value, list):
            lines.append(f"{indent + name:28s} {', '.join(map(str, value))}")
        else:
            lines.append(f"{indent + name:28s} {value}")
    return lines


def extraction_table(planned: dict[str, Any]) -> list[str]:
    """The table of a dry run; it says why the folder of the features has no name yet."""
    if planned.get("features") == "":
        planned = planned | {"features": "not known before the weights are downloaded"}
    return table(planned)


def failure_lines(
    failures: list[dict[str, str]], most: int = 20, whole: str = "manifest.csv"
) -> list[str]:
    """The first of them, and where the whole list is."""
    lines = [f"failed      {failure['path']}: {failure['reason']}" for failure in failures[:most]]
    if len(failures) > most:
        lines.append(f"failed      and {len(failures) - most} more, all in {whole}")
    return lines


def threshold_lines(result: dict[str, Any]) -> list[str]:
    """Where the threshold is, why, and what it gives where it was chosen; a run of an older
    version knows no more than why."""
    first = f"threshold   {result['threshold']:.3f} ({result['threshold_reason']})"
    point = result.get("operating_point")
    if not point:
        return [first]
    if point["interval"]:
        first = f"{first[:-1]}; 95%: {format_interval(point['interval'], '.3f')})"
    shown = {
        "recall": "recall",
        "false_positive_rate": "false positive rate",
        "balanced_accuracy": "balanced accuracy",
        "f1": "F1",
    }
    told = [
        f"{word} {point['achieved'][name]:.1%}" + _over_recordings(point["achieved_ci"][name])
        for name, word in shown.items()
    ]
    return [first, f"            on {point['from']}: {', '.join(told)}"]


def _over_recordings(interval: list[float] | None) -> str:
    return f" ({format_interval(interval, '.1%')})" if interval else ""


def format_rate(result: dict[str, Any], name: str, value: float | None = None) -> str:
    """A rate as people read it: `none` where there was nothing to rate."""
    if name in result["undefined"]:
        return "none"
    return f"{result[name] if value is None else value:.1%}"


def align_columns(rows: list[list[str]]) -> list[str]:
    """Rows of a table, each column as wide as it must be, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "            "
        + "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def format_interval(interval: list[float] | None, form: str) -> str:
    """`71.0% to 84.0%`; `none` where there is no interval."""
    if interval is None:
        return "none"
    low, high = interval
    return f"{low:{form}} to {high:{form}}"


def format_auc(value: float | None) -> str:
    """An area under the curve; `none` where there is one class only."""
    return "none" if value is None else f"{value:.3f}"


def mapping_lines(class_mapping: dict[str, str]) -> list[str]:
    """What the videos' labels are called by the run, where that is something else."""
    told = [f"{label} is taken for {name}" for label, name in class_mapping.items()]
    return [f"classes     {', '.join(told)}"] if told else []


def leaks_text(result: dict[str, Any]) -> str:
    """`2 recordings and 1 near-duplicate, e.g. recording A`."""
    words = {
        "recordings": "recording",
        "identical": "identical file",
        "near_duplicates": "near-duplicate",
    }
    counts = result["leak_counts"]
    told = [counted(counts[name], word) for name, word in words.items() if counts[name]]
    *before, last = told
    listed = " and ".join(filter(None, (", ".join(before), last)))
    return f"{listed}, e.g. {result['leaks'][0]}"
