"""`federate init` and `federate aggregate`: the coordinator's commands."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.errors import ConfigError
from violence_detection.federated import federated_run
from violence_detection.federated.config import AggregateConfig, InitConfig
from violence_detection.federated.coordinator import STATE_NAME, FederationCoordinator
from violence_detection.federated.federation import Federation
from violence_detection.federated.round_record import RoundRecord
from violence_detection.models.run import Run
from violence_detection.models.training_results import TrainingResults
from violence_detection.system import files


@dataclass(frozen=True)
class InitResult:
    """A federation that was begun.

    Attributes:
        run: The folder.
        federation: Its id.
        rounds: Number of rounds of training.
        send: The file to send to the sites.
    """

    run: str
    federation: str
    rounds: int
    send: str

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


class InitStage:
    """`federate init`: a new federation in the folder of its run."""

    def __init__(self, config: InitConfig, *, force: bool = False) -> None:
        """
        Args:
            config: Settings of `federate init`.
            force: A federation in the folder is replaced.
        """
        self._config, self._force = config, force

    def prepare(self) -> dict[str, Any]:
        """Chooses the folder; writes nothing.

        Raises:
            ConfigError: If the folder holds something.
        """
        config = self._config
        self._run = Run.named(Path(config.checkpoint_dir), config.run)
        has_federation = (self._run.dir / STATE_NAME).is_file()
        if self._run.dir.exists() and not (has_federation and self._force):
            raise ConfigError(
                f"--run must name a new run. Received: {self._run.dir} (it exists; --force "
                "replaces a federation)"
            )
        return {"dry_run": True, "run": str(self._run.dir), "settings": config.as_dict()}

    def run(self) -> InitResult:
        """Writes the federation."""
        self.prepare()
        files.ensure_writable(self._run.dir)
        coordinator = FederationCoordinator(
            self._run.dir, Federation.new(self._config.federation, seed=self._config.seed), {}, []
        )
        with coordinator.lock():
            coordinator.begin()
        return InitResult(
            run=str(self._run.dir),
            federation=coordinator.federation.id,
            rounds=coordinator.federation.settings.rounds,
            send=str(coordinator.outgoing),
        )


@dataclass(frozen=True)
class AggregateResult:
    """A round that was closed.

    Attributes:
        run: The folder.
        record: Who took part, and with which figures.
        rounds: Number of rounds of training.
        send: The file to send to the sites; empty after the last round.
        results: Those of the run, after the last round.
    """

    run: str
    record: RoundRecord | None
    rounds: int
    send: str
    results: TrainingResults | None

    def to_json(self) -> dict[str, Any]:
        record = self.record.to_json() if self.record else {}
        return {
            **(self.results.to_json() if self.results else {}),
            "run": self.run,
            **record,
            "rounds": self.rounds,
            "send": self.send,
        }


class AggregateStage:
    """`federate aggregate`: closes a round with the updates of the sites."""

    def __init__(
        self, updates: Sequence[str], config: AggregateConfig, *, force: bool = False
    ) -> None:
        """
        Args:
            updates: Paths of the files.
            config: Settings of `federate aggregate`.
            force: The run of a finished federation is written anew.
        """
        self._force = force
        self._paths = [Path(path) for path in dict.fromkeys(updates)]
        self._config = config

    def prepare(self) -> dict[str, Any]:
        """The updates that would count, and those that would not; writes nothing.

        Raises:
            ConfigError, EvidenceError, TrainingError: See
                `FederationCoordinator.examine_round`; or if the
                run has no federation, or it is finished.
        """
        coordinator = self._opened()
        plan: dict[str, Any] = {
            "dry_run": True,
            "run": str(coordinator.folder),
            "round": coordinator.federation.round,
            "kind": coordinator.federation.kind,
        }
        if coordinator.is_finished:  # only its run is to be written
            return plan | {"updates": [], "left_out": []}
        outcome = coordinator.examine_round(self._paths, min_sites=self._config.min_sites)
        return plan | {
            "updates": [str(path) for path in outcome.counted],
            "left_out": [dict(vars(item)) for item in outcome.record.left_out],
        }

    def run(self) -> AggregateResult:
        """Closes the round; after the last, writes the run.

        Raises:
            ConfigError, EvidenceError, TrainingError: See `FederationCoordinator.close_round`.
        """
        opened, record = self._opened(), None
        with opened.lock():
            # Another process may have closed the round meanwhile.
            coordinator = FederationCoordinator.open(opened.folder)
            if not coordinator.is_finished:
                record = coordinator.close_round(self._paths, min_sites=self._config.min_sites)
            results = None
            if coordinator.is_finished:  # also after a kill between the round and the run
                results = federated_run.finish_run(coordinator)
        return AggregateResult(
            str(coordinator.folder),
            record,
            coordinator.federation.settings.rounds,
            "" if results else str(coordinator.outgoing),
            results,
        )

    def _opened(self) -> FederationCoordinator:
        run = Run.named(Path(self._config.checkpoint_dir), self._config.run)
        coordinator = FederationCoordinator.open(run.dir)
        if run.finished and not self._force:
            raise ConfigError(
                f"A federation must have a round that is open. Received: {run.dir} (finished)"
            )
        return coordinator
