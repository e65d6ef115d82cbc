"""The choice of the engine that runs the backbone, and of its precision on this machine."""

import logging

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.system import devices

log = logging.getLogger(__name__)


def choose_engine(asked: str) -> str:
    """The name of the engine: `asked`, or for `auto` the fastest that is installed.

    Raises:
        ConfigError: If `asked` is not installed.
    """
    if asked != "auto":
        lacking = registry.module("engines", asked).missing()
        if lacking:
            raise ConfigError(
                f"--engine must name an engine that is installed. Received: {asked}, which needs "
                f"{lacking}"
            )
        return asked
    gpus = devices.gpu_count()
    engines = {name: registry.module("engines", name) for name in registry.available("engines")}
    installed = [name for name, part in engines.items() if not part.missing()]
    best = max(installed, key=lambda name: engines[name].preference(gpus=gpus))
    log.info(f"The engine is {best}.")
    return best


def choose_precision(name: str, mixed: bool, *, backbone: str | None = None) -> str:
    """The dtype policy of an engine on this machine.

    Args:
        name: The engine.
        mixed: True if reduced precision was asked for.
        backbone: Reduced precision is used only if it makes this backbone faster; None uses it
            wherever the machine has it.
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
