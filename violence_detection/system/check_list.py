"""Checks of a machine or a dataset, each with its result, its time and its remedy."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from violence_detection.errors import ViolenceDetectionError
from violence_detection.system import progress

OK, FAILED, SKIPPED = "ok", "failed", "skipped"


@dataclass(frozen=True)
class Outcome:
    """The result of a check.

    Attributes:
        status: `ok`, `failed` or `skipped`.
        text: The result in words.
        help: What to do where it failed.
    """

    status: str
    text: str
    help: str = ""

    @classmethod
    def ok(cls, text: str) -> Self:
        return cls(OK, text)

    @classmethod
    def failed(cls, text: str, help: str = "") -> Self:
        return cls(FAILED, text, help)

    @classmethod
    def skipped(cls, text: str) -> Self:
        return cls(SKIPPED, text)


@dataclass(frozen=True)
class CheckResult:
    """A finished check.

    Attributes:
        name: Its name, unique in a list.
        status, text, help: See `Outcome`.
        seconds: Time that it took.
    """

    name: str
    status: str
    text: str
    help: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"seconds": round(self.seconds, 3)}


class CheckList:
    """Runs checks one after the other; one that fails does not end the list.

    Attributes:
        results: The finished checks, in their order.
    """

    def __init__(self) -> None:
        self.results: list[CheckResult] = []

    def run(
        self,
        name: str,
        check: Callable[[], Outcome],
        *,
        help: str = "",
        needs: Sequence[str] = (),
    ) -> bool:
        """Runs a check; whatever it raises is a failure. Returns True if it is ok.

        Args:
            name: Its name.
            check: The check.
            help: What to do where it raises an error.
            needs: Names of earlier checks; if one of them is not ok, this one is skipped.
        """
        progress.stop.check()
        statuses = {result.name: result.status for result in self.results}
        missing = next((needed for needed in needs if statuses.get(needed) != OK), None)
        start_s = time.perf_counter()
        if missing:
            outcome = Outcome.skipped(f"it needs the check `{missing}`")
        else:
            try:
                outcome = check()
            except ViolenceDetectionError as error:
                outcome = Outcome.failed(_one_line(str(error)), help)
            except Exception as error:  # a check is for what nobody has foreseen
                outcome = Outcome.failed(_one_line(f"{type(error).__name__}: {error}"), help)
        seconds = time.perf_counter() - start_s
        self.results.append(CheckResult(name, outcome.status, outcome.text, outcome.help, seconds))
        return outcome.status == OK

    @property
    def failures(self) -> list[CheckResult]:
        return [result for result in self.results if result.status == FAILED]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:400]
