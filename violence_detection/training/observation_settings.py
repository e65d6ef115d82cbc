"""Settings that observe a training and do not change it: a trace, and a tracker of experiments."""

import re
from dataclasses import dataclass

from violence_detection.errors import ConfigError
from violence_detection.settings import Config, option

_MAX_PROFILED_STEPS = 1000


def check_profile(text: str) -> str:
    """Checks `FIRST,LAST`, the steps of a profile.

    Raises:
        ConfigError: If the text is not two such numbers.
    """
    numbers = re.fullmatch(r"(\d{1,9}),(\d{1,9})", text, re.ASCII)
    first, last = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if not 1 <= first < last <= first + _MAX_PROFILED_STEPS:
        raise ConfigError(
            "`profile` must be FIRST,LAST with 1 <= FIRST < LAST <= FIRST + "
            f"{_MAX_PROFILED_STEPS}. Received: profile={text}"
        )
    return text


@dataclass(frozen=True)
class ObservationConfig(Config):
    """A trace of some steps, and a tracker of experiments; see `trackers`."""

    profile: str | None = option(
        None,
        "Record a trace of these steps, for example 10,20, for TensorBoard's profile plugin.",
        group="Advanced",
        canonical=check_profile,
        metavar="FIRST,LAST",
    )
    tracker: str | None = option(
        None,
        "Send settings, epochs and results to MLflow (MLFLOW_TRACKING_URI; default: mlruns/ in "
        "--checkpoint-dir) or Weights & Biases; needs the extra of that name.",
        group="Output",
        choices=("mlflow", "wandb"),
        may_change_on_resume=True,
    )

    @property
    def profiled_steps(self) -> tuple[int, int] | None:
        """First and last step of the trace; None for no trace."""
        first, _, last = (self.profile or "").partition(",")
        return (int(first), int(last)) if self.profile else None
