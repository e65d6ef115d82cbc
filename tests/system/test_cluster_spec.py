"""The machines of a training, from flags, TF_CONFIG or SLURM."""

import json

import pytest

from violence_detection.errors import ConfigError
from violence_detection.system import cluster_spec
from violence_detection.system.cluster_spec import ClusterSpec

STEP = {
    "SLURM_STEP_NUM_TASKS": "9",
    "SLURM_STEP_NODELIST": "m5,n[1-2],o[08,10-12]",
    "SLURM_STEP_TASKS_PER_NODE": "1,2,1(x4),2",
    "SLURM_JOB_ID": "4711",
    "SLURM_PROCID": "3",
}


def tf_config(task="worker", index=0, **cluster) -> dict[str, str]:
    cluster = cluster or {"worker": ["a:1", "b:2"]}
    config = {"cluster": cluster, "task": {"type": task, "index": index}}
    return {"TF_CONFIG": json.dumps(config)}


# -- golden


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("a:1,b:2", ("a:1", "b:2")),
        ("a, 10.0.0.2:7", (f"a:{cluster_spec.DEFAULT_PORT}", "10.0.0.2:7")),
        ("[::1]:1,[fe80::2]", ("[::1]:1", f"[fe80::2]:{cluster_spec.DEFAULT_PORT}")),
    ],
)
def test_machines_are_named_by_address(text, addresses):
    assert cluster_spec.parse_addresses(text) == addresses


@pytest.mark.parametrize(
    ("given", "rank"),
    [
        (tf_config(index=1), 1),
        (tf_config("chief", chief=["a:1"], worker=["b:2"]), 0),
        (tf_config("worker", chief=["a:1"], worker=["b:2"]), 1),
    ],
)
def test_tf_config_names_machines(given, rank):
    assert cluster_spec.find_cluster((), None, given) == ClusterSpec(
        ("a:1", "b:2"), rank, "TF_CONFIG"
    )


def test_a_slurm_step_names_the_tasks_that_tensorflow_sees():
    """Addresses and rank as `tf.distribute.cluster_resolver.SlurmClusterResolver` gives them, with
    `port_base=20688`. TensorFlow's sorts the nodes by name, which these are already."""
    cluster = cluster_spec.find_cluster((), None, STEP)
    nodes = "m5:20688 n1:20688 n1:20689 n2:20688 o08:20688 o10:20688 o11:20688 o12:20688 o12:20689"
    assert " ".join(cluster.addresses) == nodes
    assert cluster.rank == 3


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TF_CONFIG": ""},
        {"TF_CONFIG": "{}"},
        tf_config(worker=["a:1"]),
        STEP | {"SLURM_STEP_NUM_TASKS": "1"},
        # A batch script has these without a step.
        {"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_JOB_NODELIST": "n[1-2]"},
    ],
)
def test_variables_of_one_machine_name_no_cluster(environment):
    assert cluster_spec.find_cluster((), None, environment) is None


# -- relation


def test_nodes_keep_the_order_of_the_ranks():
    nodes = {"SLURM_STEP_NODELIST": "n[9-10],a", "SLURM_STEP_TASKS_PER_NODE": "1(x3)"}
    cluster = cluster_spec.find_cluster((), None, STEP | nodes | {"SLURM_PROCID": "2"})
    names = [address.partition(":")[0] for address in cluster.addresses]
    assert names == ["n9", "n10", "a"]


def test_flags_beat_variables():
    cluster = cluster_spec.find_cluster(("x:1", "y:1"), 1, tf_config() | STEP)
    assert cluster == ClusterSpec(("x:1", "y:1"), 1, "--hosts")
    assert cluster_spec.find_cluster((), None, tf_config() | STEP).source == "TF_CONFIG"


def test_a_difference_between_machines_is_named():
    same = [{"a": 1, "b": 2}, {"a": 1, "b": 2}]
    assert cluster_spec.describe_difference(same) == ""
    assert cluster_spec.describe_difference([*same, {"a": 1}]) == (
        "b = 2 (rank 0), 2 (rank 1), None (rank 2)"
    )


# -- error


@pytest.mark.parametrize(
    "environment",
    [
        {"TF_CONFIG": "{"},
        {"TF_CONFIG": "[]"},
        tf_config("ps", ps=["c:1"], worker=["a:1", "b:1"]),
        tf_config(index=2),
        {"TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:1"]}}'},
        tf_config(worker=[1, 2]),
        tf_config(worker=["a:1", "b:x"]),
        {name: STEP[name] for name in STEP if name != "SLURM_STEP_NODELIST"},
        STEP | {"SLURM_STEP_NODELIST": "n[1-2"},
        STEP | {"SLURM_STEP_NODELIST": "n[1-x]"},
        STEP | {"SLURM_STEP_TASKS_PER_NODE": "2,2"},
        STEP | {"SLURM_STEP_TASKS_PER_NODE": "two"},
        STEP | {"SLURM_PROCID": "9"},
    ],
    ids=str,
)
def test_invalid_variables_are_refused(environment):
    with pytest.raises(ConfigError, match="must (name|be named)"):
        cluster_spec.find_cluster((), None, environment)
