"""Who the machines of a training are, from flags, TF_CONFIG or SLURM."""

import json

import pytest
import tensorflow as tf

from violence_detection.errors import ConfigError
from violence_detection.system import cluster_spec
from violence_detection.system.cluster_spec import ClusterSpec
from violence_detection.training import run_setup
from violence_detection.training.config import TrainConfig

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


def test_a_slurm_step_names_the_tasks_that_tensorflow_sees(monkeypatch):
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    # Theirs needs GPUs, and sorts the nodes by name, whatever the ranks.
    theirs = tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=15_000 + 711 * 8, gpus_per_node=2, gpus_per_task=1, auto_set_gpu=False
    )
    ours = cluster_spec.find_cluster((), None, STEP)
    assert list(ours.addresses) == theirs.cluster_spec().job_tasks("worker")
    assert ours.rank == theirs.get_task_info()[1] == 3


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
def test_alone_is_what_names_no_others(environment):
    assert cluster_spec.find_cluster((), None, environment) is None


# -- relation


def test_nodes_keep_the_order_of_the_ranks():
    nodes = {"SLURM_STEP_NODELIST": "n[9-10],a", "SLURM_STEP_TASKS_PER_NODE": "1(x3)"}
    found = cluster_spec.find_cluster((), None, STEP | nodes | {"SLURM_PROCID": "2"})
    names = [address.partition(":")[0] for address in found.addresses]
    assert names == ["n9", "n10", "a"]


def test_flags_beat_variables():
    found = cluster_spec.find_cluster(("x:1", "y:1"), 1, tf_config() | STEP)
    assert found == ClusterSpec(("x:1", "y:1"), 1, "--workers")
    assert cluster_spec.find_cluster((), None, tf_config() | STEP).source == "TF_CONFIG"


def test_a_number_of_workers_stays_that_of_stage_one():
    for number in (4, "4"):
        config = TrainConfig(dataset_path="videos", workers=number)
        assert (config.decoders, config.hosts, config.workers) == (4, (), "4")
    config = TrainConfig(workers="a:1,b:1", rank=1)
    assert (config.decoders, config.hosts) == (None, ("a:1", "b:1"))


def test_what_machines_do_not_share_is_named():
    same = [{"a": 1, "b": 2}, {"a": 1, "b": 2}]
    assert cluster_spec.describe_difference(same) == ""
    assert cluster_spec.describe_difference([*same, {"a": 1}]) == (
        "b = 2 (rank 0), 2 (rank 1), None (rank 2)"
    )


def test_machines_may_find_things_in_other_places():
    one = TrainConfig(features="/a", checkpoint_dir="/b", workers="a:1,b:1", rank=0)
    other = TrainConfig(features="/c", checkpoint_dir="/d", workers="a,b", rank=1)
    epochs = TrainConfig(features="/a", epochs=3)
    assert run_setup.agreed_settings(one) == run_setup.agreed_settings(other)
    assert run_setup.agreed_settings(one) != run_setup.agreed_settings(epochs)


# -- error


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": "0"}, "`workers` must be >= 1. Received: workers=0"),
        ({"workers": 500}, "`workers` must be <= 256. Received: workers=500"),
        ({"workers": True}, "`workers` must be of type str"),
        (
            {"workers": "a:1"},
            "must come with .* Received: workers=a:1, rank=None|at least two",
        ),
        ({"workers": "a:1,", "rank": 0}, "host:port,.* Received: 'nothing' in 'a:1,'"),
        ({"workers": "a:1,b:x", "rank": 0}, "Received: 'b:x' in 'a:1,b:x'"),
        ({"workers": "a:1,b:99999", "rank": 0}, "Received: 'b:99999'"),
        ({"workers": "a:1,http://b", "rank": 0}, "Received: 'http://b'"),
        ({"workers": "a:1,a:1", "rank": 0}, "at least two machines with different addresses"),
        ({"workers": "a:1,b:1"}, "`rank` must come with .* rank=None"),
        ({"workers": "4", "rank": 0}, "`rank` must come with .* workers=4, rank=0"),
        ({"rank": 0}, "`rank` must come with .* workers=None, rank=0"),
        ({"workers": "a:1,b:1", "rank": 2}, "`rank` must be < 2, .* Received: rank=2"),
    ],
    ids=str,
)
def test_machines_that_cannot_be_meant_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**settings)


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
def test_variables_that_cannot_be_meant_are_refused(environment):
    with pytest.raises(ConfigError, match="must (name|be named)"):
        cluster_spec.find_cluster((), None, environment)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset_path": "/v"}, "must have --features, .* Received: --dataset-path"),
        ({"run": None}, "must have --run, the same on all. Received: none"),
        ({"virtual_devices": 2}, "must have no --virtual-devices.* Received: 2"),
    ],
    ids=str,
)
def test_what_several_machines_cannot_do_is_refused(settings, message):
    asked = {"workers": "a:1,b:1", "rank": 0, "run": "run", **settings}
    if "dataset_path" not in settings:
        asked["features"] = "/f"
    with pytest.raises(ConfigError, match=rf"of 2 machines \(--workers\) {message}"):
        run_setup.find_cluster(TrainConfig(**asked))
