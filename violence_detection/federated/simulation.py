"""`federate --clients`: all sites and the coordinator on one machine, over the same files."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.datasets.table_files.manifest import contents_digest
from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.federated import federated_run
from violence_detection.federated.config import SimulateConfig, is_site_name
from violence_detection.federated.coordinator import STATE_NAME, FederationCoordinator
from violence_detection.federated.federation import Federation
from violence_detection.federated.round_record import FederatedSite, LeftOut, RoundRecord
from violence_detection.federated.site import Site
from violence_detection.models.run import Run
from violence_detection.models.training_results import TrainingResults
from violence_detection.system import devices, files, progress
from violence_detection.system.study_folder import StudyFolder, StudyIdentity

_RECORD = "simulation.json"


@dataclass(frozen=True)
class FederationResult:
    """A federation that is finished.

    Attributes:
        results: Those of its run.
        sites: The sites that took part.
        rounds: The record of each round.
        table: Path of the table of the rounds.
    """

    results: TrainingResults
    sites: Sequence[FederatedSite]
    rounds: Sequence[RoundRecord]
    table: str

    @property
    def left_out(self) -> list[tuple[int, LeftOut]]:
        """Updates and sites without a part in a round, with the round."""
        return [(record.round, item) for record in self.rounds for item in record.left_out]

    def to_json(self) -> dict[str, Any]:
        return {
            **self.results.to_json(),
            "sites": [site.to_json() for site in self.sites],
            "rounds": [record.to_json() for record in self.rounds],
            "table": self.table,
        }


class SimulationStage:
    """`federate --clients`: a federation over the features of several folders.

    The sites send the files that sites elsewhere would send. The same command again goes on where
    it was interrupted: after the last epoch of the site that was training.
    """

    def __init__(
        self, clients: Sequence[str], config: SimulateConfig, *, force: bool = False
    ) -> None:
        """
        Args:
            clients: Folders of features, one of each site.
            config: Settings of `federate`.
            force: A federation in the folder is replaced.
        """
        self._clients, self._config, self._force = list(clients), config, force

    def prepare(self) -> dict[str, Any]:
        """Reads the features' records, and checks that an earlier start was the same.

        Raises:
            ConfigError: If there are no clients, names do not fit them, or --run is taken.
            CacheError: If features are missing or not finished.
        """
        config = self._config
        names = config.listed_names
        if not self._clients:
            raise ConfigError("--clients must name the features of a site or more. Received: none")
        if names and (len(names) != len(self._clients) or not all(map(is_site_name, names))):
            raise ConfigError(
                f"--site-names must have a name of up to 60 characters for each of the "
                f"{len(self._clients)} clients. Received: {config.site_names}"
            )
        caches = [FeatureCache.open(client) for client in self._clients]
        entries = [dataset.usable_entries(cache) for cache in caches]
        run = Run.named(Path(config.checkpoint_dir), config.run)
        self._study = StudyFolder(
            run.dir, "federation", _RECORD, SimulateConfig, "use --force or another --run"
        )
        if files.is_occupied(run.dir, lock_name=".lock") and not self._study.started:
            raise ConfigError(
                f"--run must name a new run or a federation. Received: {run.dir} (it exists and "
                "is not a federation)"
            )
        self._identity = StudyIdentity(
            {
                "fingerprints": [cache.space().fingerprint for cache in caches],
                "videos_digests": [contents_digest(rows) for rows in entries],
            },
            {name: value for name, value in config.as_dict().items() if name != "run"},
        )
        if self._study.started and not self._force:
            self._study.check_same(self._identity)
        videos = [sum(entry.split == "train" for entry in rows) for rows in entries]
        return {
            "dry_run": True,
            "run": str(run.dir),
            "clients": [str(cache.dir) for cache in caches],
            "train_videos": videos,
            "settings": config.as_dict(),
        }

    def run(self) -> FederationResult:
        """Runs all rounds, and leaves a run.

        Raises:
            ConfigError, CacheError: See `prepare`.
            TrainingError: If a round has no usable update.
            EvidenceError: If there are too few validation videos for the operating point.
        """
        self.prepare()
        folder = self._study.dir
        with self._study.lock():
            self._study.start(self._identity, force=self._force)
            coordinator = self._open_or_begin(folder)
            run = Run(folder)
            if not run.finished:
                if not coordinator.is_finished:
                    self._run_rounds(coordinator)
                federated_run.finish_run(coordinator)
            for name in ("sites", "updates"):
                shutil.rmtree(folder / name, ignore_errors=True)
        return FederationResult(
            run.results(),
            list(coordinator.sites.values()),
            coordinator.rounds,
            str(coordinator.table),
        )

    def _open_or_begin(self, folder: Path) -> FederationCoordinator:
        if (folder / STATE_NAME).is_file():
            return FederationCoordinator.open(folder)
        config = self._config
        coordinator = FederationCoordinator(
            folder, Federation.new(config.federation, seed=config.seed), {}, []
        )
        coordinator.begin()
        return coordinator

    def _run_rounds(self, coordinator: FederationCoordinator) -> None:
        config, folder = self._config, coordinator.folder
        device_setup = devices.start(seed=config.seed, **config.devices.as_dict())
        names = config.listed_names or [None] * len(self._clients)
        sites = {
            f"{number:04d}": Site(
                client,
                folder / "sites" / f"{number:04d}",
                device_setup,
                site_id=f"{number:04d}",
                name=name,
                # The first as the federation: alone it is what `train` is.
                seed=config.seed + number - 1,
            )
            for number, (client, name) in enumerate(zip(self._clients, names, strict=True), 1)
        }
        rounds = config.federation.rounds
        total, done = (rounds + 2) * len(sites), coordinator.federation.round * len(sites)
        with progress.track("Federation", total, "updates", done=done) as tick:
            while not coordinator.is_finished:
                updates = folder / "updates" / f"round_{coordinator.federation.round:04d}"
                failures = []
                for site_id, site in sites.items():
                    if coordinator.rounds and site_id not in coordinator.sites:
                        continue  # it had no part in round 0
                    failures += _answer(site, coordinator, site_id, updates / f"{site_id}.npz")
                    tick(_round_text(coordinator))
                coordinator.close_round(sorted(updates.glob("*.npz")), failures=failures)
                shutil.rmtree(updates, ignore_errors=True)


def _answer(
    site: Site, coordinator: FederationCoordinator, site_id: str, path: Path
) -> list[LeftOut]:
    """Writes the update of a site, if an earlier start has not; the failure, if it fails."""
    if path.is_file():
        return []
    federation = coordinator.federation
    model = coordinator.outgoing if federation.round else None
    try:
        content, _ = site.answer(federation, model)
    except ViolenceDetectionError as error:
        known = coordinator.sites.get(site_id)
        return [LeftOut(known.label if known else f"site {int(site_id)}", str(error))]
    with files.writing(path) as file:
        file.write(content)
    return []


def _round_text(coordinator: FederationCoordinator) -> str:
    """The last validation loss over the sites: `round 3, val_loss 0.412`."""
    values = [record.mean("val_loss") for record in coordinator.rounds]
    known = [value for value in values if value is not None]
    text = f"round {coordinator.federation.round}"
    return f"{text}, val_loss {known[-1]:.3f}" if known else text
