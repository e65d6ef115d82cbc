"""Which machines train together, and which of them this one is."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from violence_detection.errors import ConfigError

DEFAULT_PORT = 23456
_ADDRESS = re.compile(r"([^\s,:\[\]/]+|\[[0-9a-fA-F:]+\])(?::(\d{1,5}))?")
_NODES = re.compile(r"([^,\[\]]*)(?:\[([\d,-]+)\])?(?:,|$)")
_TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")


@dataclass(frozen=True)
class ClusterSpec:
    """The machines of a training.

    Attributes:
        addresses: `host:port` of each, the chief's first.
        rank: The number of this one; 0 is the chief.
        source: What named them.
    """

    addresses: tuple[str, ...]
    rank: int
    source: str = "--workers"

    def __len__(self) -> int:
        return len(self.addresses)


def parse_addresses(text: str) -> tuple[str, ...]:
    """The addresses in `host:port,host:port,...`; without a port, the default one.

    Raises:
        ConfigError: If they are not two or more different addresses.
    """
    found = []
    for part in text.split(","):
        match = _ADDRESS.fullmatch(part.strip())
        port = int((match and match[2]) or DEFAULT_PORT)
        if match is None or not 0 < port < 65536:
            raise ConfigError(
                "Machines must be named host:port,host:port,... Received: "
                f"{part.strip() or 'nothing'!r} in {text!r}"
            )
        found.append(f"{match[1]}:{port}")
    if len(found) < 2 or len(set(found)) < len(found):
        raise ConfigError(
            f"Machines must be two or more, each with an address of its own. Received: {text!r}"
        )
    return tuple(found)


def find_cluster(
    asked: tuple[str, ...], rank: int | None, environment: Mapping[str, str]
) -> ClusterSpec | None:
    """The machines of --workers, else of TF_CONFIG, else of a SLURM step; None for one alone.

    Args:
        asked: Addresses of --workers; none if it does not name machines.
        rank: Of --rank.
        environment: Variables.

    Raises:
        ConfigError: If the variables name no machines that can be meant.
    """
    if asked:
        return ClusterSpec(asked, rank or 0)
    return _of_tf_config(environment) or _of_slurm(environment)


def _of_tf_config(environment: Mapping[str, str]) -> ClusterSpec | None:
    """TensorFlow's own: {"cluster": {"worker": [...]}, "task": {"type": ..., "index": 0}}."""
    text = environment.get("TF_CONFIG", "")
    try:
        config = json.loads(text or "{}")
        cluster, task = config.get("cluster") or {}, config.get("task") or {}
        addresses = [*cluster.get("chief", []), *cluster.get("worker", [])]
        if len(addresses) < 2:
            return None
        kind, index = task["type"], int(task["index"])
        rank = index + (len(cluster.get("chief", [])) if kind == "worker" else 0)
        if kind not in ("chief", "worker") or not 0 <= index < len(cluster[kind]):
            raise ValueError(f"task {kind} {index}")
        named = ",".join(addresses)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ConfigError(
            "TF_CONFIG must name workers and the task that this is one of. Received: "
            f"{text[:200]} ({error})"
        ) from error
    return ClusterSpec(parse_addresses(named), rank, "TF_CONFIG")


def _of_slurm(environment: Mapping[str, str]) -> ClusterSpec | None:
    """A step of several tasks, as `srun` starts it; a batch script alone is none.

    The tasks of a node follow each other, as SLURM numbers them by default. Ports come from
    the job's number, so that jobs which share a node keep apart.
    """
    if environment.get("SLURM_STEP_NUM_TASKS", "") in ("", "1"):
        return None
    try:
        nodes = _nodes(environment["SLURM_STEP_NODELIST"])
        counts = _counts(environment["SLURM_STEP_TASKS_PER_NODE"])
        first = 15_000 + int(environment["SLURM_JOB_ID"]) % 1000 * 8
        addresses = [
            f"{node}:{first + task}"
            for node, count in zip(nodes, counts, strict=True)
            for task in range(count)
        ]
        rank = int(environment["SLURM_PROCID"])
        if not 0 <= rank < len(addresses):
            raise ValueError(f"SLURM_PROCID={rank} of {len(addresses)}")
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"SLURM's variables must name the tasks of the step. Received: {error}"
        ) from error
    return ClusterSpec(parse_addresses(",".join(addresses)), rank, "SLURM")


def _nodes(text: str) -> list[str]:
    """`n[1-2,05],m` -> n1 n2 n05 m.

    Raises:
        ValueError: If it is no such list.
    """
    found, end = [], 0
    while end < len(text):
        match = _NODES.match(text, end)
        if match is None or match.end() == end:
            raise ValueError(f"SLURM_STEP_NODELIST={text}")
        end = match.end()
        found += [match[1] + number for number in _numbers(match[2])]
    return found


def _numbers(text: str | None) -> Iterator[str]:
    if text is None:
        yield ""
        return
    for part in text.split(","):
        first, _, last = part.partition("-")
        for number in range(int(first), int(last or first) + 1):
            yield str(number).zfill(len(first))


def _counts(text: str) -> list[int]:
    """`2(x3),1` -> 2 2 2 1.

    Raises:
        ValueError: If it is no such list.
    """
    matches = [_TASKS.fullmatch(part) for part in text.split(",")]
    if None in matches:
        raise ValueError(f"SLURM_STEP_TASKS_PER_NODE={text}")
    return list(
        itertools.chain.from_iterable([int(match[1])] * int(match[2] or 1) for match in matches)
    )


def describe_difference(facts: list[dict[str, Any]]) -> str:
    """What machines do not have in common, as people read it; empty if nothing."""
    for name in facts[0]:
        if any(other.get(name) != facts[0][name] for other in facts):
            told = [f"{other.get(name)} (rank {rank})" for rank, other in enumerate(facts)]
            return f"{name} = {', '.join(told)}"
    return ""
