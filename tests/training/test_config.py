"""Settings of a training over several machines, and of its decoding processes."""

import pytest

from violence_detection.errors import ConfigError
from violence_detection.training.config import TrainConfig
from violence_detection.training.saving import run_setup

MACHINES = {"hosts": "a:1,b:1", "rank": 0}


def test_workers_are_decoding_processes_and_hosts_are_machines():
    config = TrainConfig.from_settings({"features": "/f", **MACHINES, "workers": 4})
    assert (config.extract.workers, config.addresses, config.rank) == (4, ("a:1", "b:1"), 0)
    assert TrainConfig().addresses == ()


def test_machines_may_have_their_data_in_different_folders():
    chief = TrainConfig(features="/a", checkpoint_dir="/b", hosts="a:1,b:1", rank=0)
    follower = TrainConfig(features="/c", checkpoint_dir="/d", hosts="a,b", rank=1)
    epochs = TrainConfig.from_settings({"features": "/a", "epochs": 3})
    agreed = [run_setup.agreed_settings(config.as_dict()) for config in (chief, follower, epochs)]
    assert agreed[0] == agreed[1] != agreed[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "`workers` must be >= 1. Received: workers=0"),
        ({"workers": 500}, "`workers` must be <= 256. Received: workers=500"),
        ({"workers": True}, "`workers` must be of type int"),
        ({"workers": "a:1,b:1"}, "`workers` must be of type int. .*--hosts names the machines"),
        ({"hosts": "", "rank": 0}, "host:port,.* Received: 'nothing' in ''"),
        ({"hosts": "a:1", "rank": 0}, "at least two machines"),
        ({"hosts": "a:1,", "rank": 0}, "host:port,.* Received: 'nothing' in 'a:1,'"),
        ({"hosts": "a:1,b:x", "rank": 0}, "Received: 'b:x' in 'a:1,b:x'"),
        ({"hosts": "a:1,b:99999", "rank": 0}, "Received: 'b:99999'"),
        ({"hosts": "a:1,http://b", "rank": 0}, "Received: 'http://b'"),
        ({"hosts": "a:1,a:1", "rank": 0}, "at least two machines with different addresses"),
        ({"hosts": "a:1,b:1"}, "must be given together. Received: hosts=a:1,b:1, rank=None"),
        ({"workers": 4, "rank": 0}, "must be given together. Received: hosts=None, rank=0"),
        ({"hosts": "a:1,b:1", "rank": 2}, "`rank` must be < 2, .* Received: rank=2"),
    ],
    ids=str,
)
def test_invalid_machines_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_settings(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": None}, "must have --features, .* Received: --dataset-path"),
        ({"members": 2}, "must have one member. Received: --members 2"),
        ({"run": None}, "must have --run, the same on all. Received: nothing"),
        ({"virtual_devices": 2}, "must have no --virtual-devices.* Received: 2"),
    ],
    ids=str,
)
def test_settings_for_one_machine_are_refused_on_several(settings, message):
    with pytest.raises(ConfigError, match=rf"of 2 machines \(--hosts\) {message}"):
        run_setup.training_cluster(
            ("a:1", "b:1"),
            0,
            **{"features": "/f", "run": "run", "virtual_devices": None, "members": 1, **settings},
        )


@pytest.mark.parametrize(
    "text",
    ["", "10", "10-20", "10,20,30", "0,5", "5,5", "9,3", "1,2000", "-1,2", "a,b"],
)
def test_profiled_steps_are_a_first_and_a_last(text):
    with pytest.raises(ConfigError) as raised:
        TrainConfig.from_settings({"profile": text})
    assert str(raised.value) == (
        "`profile` must be FIRST,LAST with 1 <= FIRST < LAST <= FIRST + 1000. "
        f"Received: profile={text}"
    )
    traced = TrainConfig.from_settings({"profile": "10,20"})
    assert traced.training.profiled_steps == (10, 20)


@pytest.mark.parametrize("asked", [{"monitor": "none"}, {"swa_fraction": 0.5}])
def test_patience_is_refused_where_all_epochs_are_run(asked):
    with pytest.raises(ConfigError, match="early_stopping_patience` must be 0 if"):
        TrainConfig.from_flags({"early_stopping_patience": 5, **asked})
    TrainConfig.from_flags({"early_stopping_patience": 0, **asked})
    assert TrainConfig.from_flags(asked).selection.early_stopping_patience == 0


def test_what_an_average_would_ignore_is_refused():
    with pytest.raises(ConfigError, match="`monitor` must not be given with swa"):
        TrainConfig.from_flags({"monitor": "val_auc", "swa_fraction": 0.5})
    TrainConfig.from_flags({"monitor": "none", "swa_fraction": 0.5})


def test_an_ensemble_has_members():
    with pytest.raises(ConfigError, match="`ensemble` must come with members >= 2"):
        TrainConfig(ensemble=True)
    with pytest.raises(ConfigError, match="must be <= 2147483648"):
        TrainConfig(seed=2**31 - 1, members=2)


def test_the_loss_with_class_weights_of_its_own_switches_the_others_off():
    loss = "focal(alpha=inverse_sqrt)"
    config = TrainConfig.from_settings({"features": "x", "loss": loss}, given={"loss"})
    assert config.batches.use_class_weights is False
    with pytest.raises(ConfigError, match="must come without --use-class-weights"):
        TrainConfig.from_settings(
            {"features": "x", "loss": loss, "use_class_weights": True},
            given={"loss", "use_class_weights"},
        )
