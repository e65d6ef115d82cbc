import pytest

from violence_detection.training.checks import replica_check


@pytest.mark.slow
def test_two_parts_of_the_cpu_train_as_one_device_and_another_training_does_not(monkeypatch):
    trained, weights = replica_check._trained, {}

    def noted(device_setup):
        weights[device_setup.replicas] = trained(device_setup)
        return weights[device_setup.replicas]

    monkeypatch.setattr(replica_check, "_trained", noted)
    replicas, difference = replica_check.difference_to_one_device(2)
    assert replicas == 2 and difference < replica_check.ROUNDING

    def other(device_setup):
        start, reached = weights[device_setup.replicas]
        return start, reached + (device_setup.replicas > 1) * 0.01

    monkeypatch.setattr(replica_check, "_trained", other)
    assert replica_check.difference_to_one_device(2)[1] > replica_check.ROUNDING
