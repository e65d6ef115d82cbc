"""The engine that runs the backbone on this machine, and the precision that it has there."""

import logging

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.system import devices

log = logging.getLogger(__name__)


def choose_engine(asked: str) -> str:
    """The engine's name: `asked`, or for `auto` the best that is installed.

    Raises:
        ConfigError: If it is not installed.
    """
    if asked != "auto":
        lacking = registry.module("engines", asked).missing()
        if lacking:
            raise ConfigError(f"--engine {asked} must have {lacking}. Received: none")
        return asked
    gpus = devices.gpu_count()
    found = {name: registry.module("engines", name) for name in registry.available("engines")}
    there = [name for name, part in found.items() if not part.missing()]
    best = max(there, key=lambda name: found[name].rank(gpus=gpus))
    log.info(f"The engine is {best}.")
    return best


def choose_precision(name: str, mixed: bool, *, backbone: str | None = None) -> str:
    """The dtype policy of an engine on this machine.

    Args:
        name: Of the engine.
        mixed: Whether a reduced one was asked for.
        backbone: For which it is to be faster; None asks only what can be had.
    """
    part = registry.module("engines", name)
    gpus = devices.gpu_count() if part.ON_GPU else 0
    if mixed and backbone is not None:
        depthwise = registry.module("backbones", backbone).DEPTHWISE
        if not part.gains(depthwise=depthwise, gpus=gpus):
            log.warning(
                f"Mixed precision is off: on this CPU {name} runs {backbone} slower with it; "
                "--engine openvino does not."
            )
            return "float32"
    return devices.precision(mixed, gpus=gpus)
