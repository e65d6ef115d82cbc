"""The variants of an ablation: a training with one option switched, and what cannot be had here."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from violence_detection import registry
from violence_detection.training.config import TrainConfig

_FOCAL, _CROSSENTROPY = "focal(alpha=auto, gamma=2.0)", "crossentropy"


@dataclass(frozen=True)
class Hardware:
    """The abilities of this machine, as far as variants need them.

    Attributes:
        gpus: Number of GPUs.
        reduced_precision: The precision of --mixed-precision; empty if there is none.
        xla_failure: Why XLA does not compile; empty if it does.
        views: Further views in the features.
    """

    gpus: int
    reduced_precision: str
    xla_failure: str
    views: int


@dataclass(frozen=True)
class Variant:
    """A training with other settings than the baseline's.

    Attributes:
        name: Short name of the option.
        off: The option that is off, or what is on instead, in words.
        changed: Settings that differ from the baseline's, by flat name.
        note: What the figure does not show; mostly empty.
        missing: Why it cannot be had here; empty if it can.
    """

    name: str
    off: str
    changed: Mapping[str, Any]
    note: str = ""
    missing: str = ""


def single_variants(train: TrainConfig, names: Sequence[str], hardware: Hardware) -> list[Variant]:
    """The baseline with each of some options switched alone.

    Args:
        train: The baseline.
        names: Names of options, of `ablation_config.OPTIONS`.
        hardware: This machine.
    """
    return [_VARIANTS[name](train, hardware) for name in names]


def cumulative_steps(train: TrainConfig) -> list[Variant]:
    """The plain training, then one option more in each, up to the baseline.

    `changed` is the difference from the baseline in each; the last has none. Options that the
    baseline does not have are left out.
    """
    values = train.as_dict()
    plain = {
        "recording_weights": "natural",
        "use_class_weights": False,
        "loss": _CROSSENTROPY,
        "schedule": "constant",
        "warmup_epochs": None,
    }
    heads = [_head_without(train, "statistics"), _head_without(train, "change")]
    bare = _head_without(train, "statistics", "change")
    steps: list[tuple[str, dict[str, Any]]] = []
    if heads[0]:
        steps.append(("statistics", {"head": heads[1] or values["head"]}))
    if heads[1]:
        steps.append(("change between frames", {"head": values["head"]}))
    for name, text in (
        ("use_class_weights", "class weights"),
        ("recording_weights", "recording weights"),
        ("schedule", f"schedule {values['schedule']}"),
        ("loss", str(values["loss"])),
    ):
        step = {name: values[name]}
        if name == "schedule":
            step["warmup_epochs"] = values["warmup_epochs"]
        steps.append((text, step))
    current = {name: value for name, value in plain.items() if value != values[name]}
    if bare:
        current["head"] = bare
    variants = [Variant("plain", "all off", dict(current))]
    for text, step in steps:
        before = dict(current)
        for name, value in step.items():
            current[name] = value
            if value == values[name]:
                current.pop(name)
        if current != before:
            variants.append(Variant(text, f"+ {text}", dict(current)))
    return variants


# -- the options


def _focal(train: TrainConfig, _: Hardware) -> Variant:
    if registry.parse(train.model.loss)[0].name == _CROSSENTROPY:
        return Variant("focal", "focal loss on", {"loss": _FOCAL})
    return Variant("focal", "focal loss: cross-entropy", {"loss": _CROSSENTROPY})


def _alpha(train: TrainConfig, _: Hardware) -> Variant:
    changed = {"loss": "focal(alpha=0.25, gamma=2.0)"}
    return Variant("alpha", "alpha auto: focal with alpha 0.25", changed)


def _class_weights(train: TrainConfig, _: Hardware) -> Variant:
    on = train.batches.use_class_weights
    text = "class weights" if on else "class weights on"
    note = "alpha=auto then corrects the balance in their place" if on else ""
    return Variant("class-weights", text, {"use_class_weights": not on}, note)


def _balance(train: TrainConfig, _: Hardware) -> Variant:
    changed = {"use_class_weights": False, "loss": "focal(alpha=none, gamma=2.0)"}
    return Variant("balance", "class weights and alpha", changed)


def _label_smoothing(train: TrainConfig, _: Hardware) -> Variant:
    if train.model.label_smoothing:
        return Variant("label-smoothing", "label smoothing", {"label_smoothing": 0.0})
    return Variant("label-smoothing", "label smoothing 0.1 on", {"label_smoothing": 0.1})


def _schedule(train: TrainConfig, _: Hardware) -> Variant:
    if train.optimisation.schedule == "constant":
        return Variant("schedule", "warm-up and cosine on", {"schedule": "warmup_cosine"})
    changed = {"schedule": "constant", "warmup_epochs": None}
    return Variant("schedule", "warm-up and cosine: constant rate", changed)


def _head_part(argument: str, text: str) -> Callable[[TrainConfig, Hardware], Variant]:
    def variant(train: TrainConfig, _: Hardware) -> Variant:
        head = _head_without(train, argument)
        missing = "" if head else f"the head {train.model.head} has no such part"
        return Variant(argument, text, {"head": head} if head else {}, missing=missing)

    return variant


def _head_without(train: TrainConfig, *arguments: str) -> str:
    """The head with some of its parts switched off; empty if it has none of them on."""
    (spec,) = registry.parse(train.model.head)
    parameters = inspect.signature(registry.module("heads", spec.name).build).parameters
    options = {name: parameter.default for name, parameter in parameters.items()}
    options |= spec.arguments
    switched = {name: False for name in arguments if options.get(name) is True}
    if not switched:
        return ""
    return registry.check("heads", str(spec._replace(arguments=spec.arguments | switched)))


def _recording_weights(train: TrainConfig, _: Hardware) -> Variant:
    if train.batches.recording_weights == "natural":
        changed, text = {"recording_weights": "sqrt"}, "recording weights on"
    else:
        changed, text = {"recording_weights": "natural"}, "recording weights"
    return Variant("recording-weights", text, changed)


def _views(train: TrainConfig, hardware: Hardware) -> Variant:
    if train.batches.augment == "views":
        return Variant("views", "views", {"augment": "none"})
    missing = "" if hardware.views else "the features have none: extract-features --views 1"
    return Variant("views", "views on", {"augment": "views"}, missing=missing)


def _mixed_precision(train: TrainConfig, hardware: Hardware) -> Variant:
    on = train.devices.mixed_precision
    text = "mixed precision" if on else f"mixed precision on ({hardware.reduced_precision})"
    missing = "" if hardware.reduced_precision else "neither a GPU nor a CPU with bfloat16"
    note = "" if hardware.gpus else "on a CPU; float16 on a GPU is not measured here"
    if missing:
        text = "mixed precision on"
    return Variant("mixed-precision", text, {"mixed_precision": not on}, note, missing)


def _xla(train: TrainConfig, hardware: Hardware) -> Variant:
    on = train.devices.xla
    missing = f"XLA does not compile ({hardware.xla_failure})" if hardware.xla_failure else ""
    note = "" if hardware.gpus else "on a CPU; on a GPU it is not measured here"
    return Variant("xla", "XLA" if on else "XLA on", {"xla": not on}, note, missing)


def _replicas(train: TrainConfig, hardware: Hardware) -> Variant:
    if hardware.gpus:
        missing = "one GPU" if hardware.gpus == 1 else "the baseline has all GPUs already"
        return Variant("replicas", "two replicas on", {"virtual_devices": 2}, missing=missing)
    note = "two parts of a CPU: the same weights, and no gain in time; two GPUs are not here"
    changed = {"virtual_devices": 2, "xla": False}
    return Variant("replicas", "two replicas on", changed, note)


_VARIANTS: Mapping[str, Callable[[TrainConfig, Hardware], Variant]] = {
    "focal": _focal,
    "alpha": _alpha,
    "class-weights": _class_weights,
    "balance": _balance,
    "label-smoothing": _label_smoothing,
    "schedule": _schedule,
    "statistics": _head_part("statistics", "statistics over time"),
    "change": _head_part("change", "change between frames"),
    "recording-weights": _recording_weights,
    "views": _views,
    "mixed-precision": _mixed_precision,
    "xla": _xla,
    "replicas": _replicas,
}
