"""The machines that train together, from flags, TF_CONFIG or SLURM."""

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
        addresses: `host:port` of each machine, the chief's first.
        rank: The number of this machine; 0 is the chief.
        source: Where the addresses come from: a flag or an environment variable.
    """

    addresses: tuple[str, ...]
    rank: int
    source: str = "--hosts"

    def __len__(self) -> int:
        return len(self.addresses)


def parse_addresses(text: str) -> tuple[str, ...]:
    """The addresses in `host:port,host:port,...`; an address without a port gets the default.

    Raises:
        ConfigError: If they are not two or more different addresses.
    """
    addresses = []
    for part in text.split(","):
        match = _ADDRESS.fullmatch(part.strip())
        port = int((match and match[2]) or DEFAULT_PORT)
        if match is None or not 0 < port < 65536:
            raise ConfigError(
                "Machines must be named host:port,host:port,... Received: "
                f"{part.strip() or 'nothing'!r} in {text!r}"
            )
        addresses.append(f"{match[1]}:{port}")
    if len(addresses) < 2 or len(set(addresses)) < len(addresses):
        raise ConfigError(
            f"There must be at least two machines with different addresses. Received: {text!r}"
        )
    return tuple(addresses)


def find_cluster(
    addresses: tuple[str, ...], rank: int | None, environment: Mapping[str, str]
) -> ClusterSpec | None:
    """The machines of --hosts, else of TF_CONFIG, else of a SLURM step; None for one machine.

    Args:
        addresses: Those of --hosts; empty if it does not name machines.
        rank: The value of --rank.
        environment: Environment variables.

    Raises:
        ConfigError: If the variables are set but invalid.
    """
    if addresses:
        return ClusterSpec(addresses, rank or 0)
    return _from_tf_config(environment) or _from_slurm(environment)


def _from_tf_config(environment: Mapping[str, str]) -> ClusterSpec | None:
    """The machines of TF_CONFIG, as TensorFlow defines it:
    {"cluster": {"worker": [...]}, "task": {"type": ..., "index": 0}}.
    """
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
            "TF_CONFIG must name the workers and which of them this machine is. Received: "
            f"{text[:200]} ({error})"
        ) from error
    return ClusterSpec(parse_addresses(named), rank, "TF_CONFIG")


def _from_slurm(environment: Mapping[str, str]) -> ClusterSpec | None:
    """The machines of a step of several tasks, as `srun` starts it; None without a step.

    The tasks of a node are numbered consecutively, which is SLURM's default. Ports are derived
    from the job's number, so that jobs on the same node use different ones.
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
        ValueError: If it is not such a list.
    """
    nodes, end = [], 0
    while end < len(text):
        match = _NODES.match(text, end)
        if match is None or match.end() == end:
            raise ValueError(f"SLURM_STEP_NODELIST={text}")
        end = match.end()
        nodes += [match[1] + number for number in _numbers(match[2])]
    return nodes


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
        ValueError: If it is not such a list.
    """
    matches = [_TASKS.fullmatch(part) for part in text.split(",")]
    if None in matches:
        raise ValueError(f"SLURM_STEP_TASKS_PER_NODE={text}")
    return list(
        itertools.chain.from_iterable([int(match[1])] * int(match[2] or 1) for match in matches)
    )


def describe_difference(facts: list[dict[str, Any]]) -> str:
    """The first fact that differs between machines, as text; empty if none does.

    Args:
        facts: Each machine's facts, by rank.
    """
    for name in facts[0]:
        values = [facts_of_rank.get(name) for facts_of_rank in facts]
        if any(value != values[0] for value in values):
            listed = [f"{value} (rank {rank})" for rank, value in enumerate(values)]
            return f"{name} = {', '.join(listed)}"
    return ""
