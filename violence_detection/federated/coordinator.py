"""The coordinator of a federation: its folder, and the rounds that it closes.

The folder is that of the run. It holds the file that goes to the sites (`federation.json`, then
`global.keras`) and `coordinator.json`, which alone says where the federation stands: a kill between
the two files loses nothing, because closing a round again gives the same model.
"""

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from violence_detection.datasets.labels import label_mapping
from violence_detection.errors import ConfigError, RunError, TrainingError
from violence_detection.federated import site_statistics, site_updates
from violence_detection.federated.federation import (
    MODEL_NAME,
    NAME,
    Federation,
    Pool,
    write_federation,
)
from violence_detection.federated.round_record import (
    TABLE_COLUMNS,
    FederatedSite,
    LeftOut,
    RoundRecord,
    SiteRound,
)
from violence_detection.federated.score_histogram import ARRAY, FORM, ScoreHistogram
from violence_detection.federated.site_statistics import MomentForms, SiteStatistics
from violence_detection.federated.site_updates import SiteUpdate
from violence_detection.federated.update_file import BadUpdateError
from violence_detection.models import classifier, standardisation
from violence_detection.system import devices, files, locks

if TYPE_CHECKING:
    import keras

STATE_NAME, TABLE_NAME = "coordinator.json", "rounds.csv"
_SCORES_NAME = "validation_scores.json"
_LOCK = ".lock"
_Counted = tuple[SiteUpdate, SiteRound]  # an update that counts, with its figures


@dataclass(frozen=True)
class RoundOutcome:
    """A round that its updates would close.

    Attributes:
        record: Who takes part, and who does not.
        counted: The files of the updates that count, in the order of the sites.
        sites: The sites of the federation, by id; in round 0 those of the updates.
        pool: The pooled statistics, from round 0 on.
        model: The model of the next round; None after the last.
        scores: The scores of validation, in the last round.
    """

    record: RoundRecord
    counted: tuple[Path, ...]
    sites: Mapping[str, FederatedSite]
    pool: Pool | None
    model: "keras.Model | None"
    scores: ScoreHistogram | None


class FederationCoordinator:
    """A federation in its folder.

    Attributes:
        federation: As its present round begins; of a finished one, after its last.
        sites: The sites of round 0, by id.
        rounds: The rounds that are closed.
    """

    def __init__(
        self,
        folder: Path,
        federation: Federation,
        sites: Mapping[str, FederatedSite],
        rounds: Sequence[RoundRecord],
    ) -> None:
        self.folder, self.federation = folder, federation
        self.sites, self.rounds = dict(sites), list(rounds)

    # -- the folder

    def begin(self) -> None:
        """Writes a new federation, in place of one in the folder."""
        for name in (MODEL_NAME, STATE_NAME):
            (self.folder / name).unlink(missing_ok=True)
        write_federation(self.folder, self.federation, None)
        self.save()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens the federation in a folder.

        Raises:
            ConfigError: If the folder has no federation.
            RunError: If its record is damaged.
        """
        path = folder / STATE_NAME
        if not path.is_file():
            raise ConfigError(
                f"--run must name a run of `federate init`. Received: {folder} (it has no "
                f"{STATE_NAME})"
            )
        values = files.read_json(path)
        try:
            return cls(
                folder,
                Federation.from_json(values["federation"]),
                {row["id"]: FederatedSite.from_json(row) for row in values["sites"]},
                [RoundRecord.from_json(row) for row in values["rounds"]],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                f"{STATE_NAME} must hold what `federate` writes. Received: {path} ({error})"
            ) from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Context manager: no other process works in the folder."""
        files.ensure_writable(self.folder)
        busy = f"{self.folder} is in use by another process; wait until it ends."
        with locks.locked(self.folder / _LOCK, busy):
            files.sweep_temporary(self.folder)
            yield

    @property
    def outgoing(self) -> Path:
        """The file that goes to the sites now."""
        return self.folder / (MODEL_NAME if self.federation.round else NAME)

    @property
    def table(self) -> Path:
        """The table of the rounds."""
        return self.folder / TABLE_NAME

    @property
    def is_finished(self) -> bool:
        return len(self.rounds) == self.federation.settings.rounds + 2

    def save(self) -> None:
        """Writes where the federation stands, and the table of the rounds."""
        rows = [row for record in self.rounds for row in record.table_rows()]
        files.write_csv(self.table, TABLE_COLUMNS, rows)
        files.write_json(
            self.folder / STATE_NAME,
            {
                "federation": self.federation.to_json(),
                "sites": [site.to_json() for site in self.sites.values()],
                "rounds": [record.to_json() for record in self.rounds],
            },
        )

    # -- a round

    def close_round(
        self, paths: Sequence[Path], *, min_sites: int = 1, failures: Sequence[LeftOut] = ()
    ) -> RoundRecord:
        """Closes the present round with the updates in some files; the rest is left out by name.

        Args:
            paths, min_sites, failures: See `examine_round`.

        Raises:
            ConfigError, EvidenceError, TrainingError: See `examine_round`.
        """
        outcome = self.examine_round(paths, min_sites=min_sites, failures=failures)
        if outcome.scores is not None:
            values = {"counts": outcome.scores.counts.tolist(), **outcome.scores.to_facts()}
            files.write_json(self.folder / _SCORES_NAME, values)
        if outcome.model is not None:
            self.federation = self.federation.next_round(outcome.pool, _digest(outcome.model))
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / MODEL_NAME
                outcome.model.save(path)
                write_federation(self.folder, self.federation, path.read_bytes())
        self.sites = dict(outcome.sites)
        self.rounds.append(outcome.record)
        self.save()
        return outcome.record

    def examine_round(
        self, paths: Sequence[Path], *, min_sites: int = 1, failures: Sequence[LeftOut] = ()
    ) -> RoundOutcome:
        """The outcome of the present round with the updates in some files; changes nothing.

        Args:
            paths: The files, in any order: the result does not depend on it.
            min_sites: Updates of fewer sites do not close it.
            failures: Sites that are known to send nothing, with the reason.

        Raises:
            TrainingError: If too few updates are usable; the message says what is wrong with each.
            ConfigError: If the sites together lack a class.
            EvidenceError: If they have too few validation videos for the operating point.
        """
        if self.is_finished:
            raise ConfigError(
                f"A federation must have a round that is open. Received: {self.folder} (finished)"
            )
        devices.import_tensorflow()
        start_s, left_out = time.monotonic(), list(failures)
        updates = site_updates.sorted_updates(paths, self.federation, left_out)
        sites, pool, model, scores = self.sites, self.federation.pool, None, None
        if self.federation.kind == "statistics":
            counted, sites, pool, model = self._pool_statistics(updates, left_out, min_sites)
        elif self.federation.kind == "weights":
            counted, model = self._average_weights(updates, left_out, min_sites)
        else:
            counted, scores = self._join_scores(updates, left_out, min_sites)
        rows = [row for _, row in counted]
        left_out += _silent(sites.values(), rows, failures)
        record = RoundRecord(
            self.federation.round,
            self.federation.kind,
            rows,
            left_out,
            round(time.monotonic() - start_s, 3),
        )
        files_counted = tuple(update.path for update, _ in counted)
        return RoundOutcome(record, files_counted, sites, pool, model, scores)

    def _pool_statistics(
        self, updates: Sequence[SiteUpdate], left_out: list[LeftOut], min_sites: int
    ) -> tuple[list[_Counted], dict[str, FederatedSite], Pool, "keras.Model"]:
        settings = self.federation.settings
        pairs = site_updates.usable(
            updates,
            left_out,
            lambda update: SiteStatistics.from_facts(update.facts.get("statistics") or {}),
        )
        _check_enough(pairs, left_out, min_sites)
        space = site_statistics.common_space([site for _, site in pairs])
        forms = MomentForms.from_settings(space, settings)
        classes = site_statistics.common_classes(
            [site for _, site in pairs if site.space == space], settings.normal_class
        )
        known: dict[str, str] = {}

        def moments(update: SiteUpdate, site: SiteStatistics):
            if site.space != space:
                differing = site.space.differing(space.as_dict())
                raise BadUpdateError(f"its features are of another space ({differing})")
            site_statistics.check_labels(site, classes)
            if site.videos_digest in known:
                raise BadUpdateError(f"its videos are those of {known[site.videos_digest]}")
            arrays = update.read_arrays(forms.expected())
            known[site.videos_digest] = update.path.name
            return forms.moments(site, arrays)

        statistics = {update.site: site for update, site in pairs}
        pairs = site_updates.usable(
            [update for update, _ in pairs],
            left_out,
            lambda update: moments(update, statistics[update.site]),
        )
        _check_enough(pairs, left_out, min_sites)
        members = [statistics[update.site] for update, _ in pairs]
        pool, constants = site_statistics.pooled(members, [part for _, part in pairs], classes)
        sites = {
            update.site: _federated_site(number, update, site, classes)
            for number, ((update, _), site) in enumerate(zip(pairs, members, strict=True), 1)
        }
        counted = [
            (update, SiteRound(site.number, site.name, site.videos["train"]))
            for (update, _), site in zip(pairs, sites.values(), strict=True)
        ]
        return counted, sites, pool, _first_model(self.federation, pool, constants)

    def _average_weights(
        self, updates: Sequence[SiteUpdate], left_out: list[LeftOut], min_sites: int
    ) -> tuple[list[_Counted], "keras.Model"]:
        model = classifier.load_model(self.outgoing)
        forms = {
            f"w{number:05d}": ("<f4", tuple(weight.shape))
            for number, weight in enumerate(model.weights)
        }
        sums = [np.zeros(shape) for _, shape in forms.values()]

        def add(update: SiteUpdate) -> SiteRound:
            site_updates.check_site(update, self.sites)
            row = site_updates.site_round(update, self.sites[update.site])
            arrays = update.read_arrays(forms)
            for total, name in zip(sums, forms, strict=True):
                total += arrays[name].astype(np.float64) * row.videos
            return row

        pairs = site_updates.usable(updates, left_out, add)
        _check_enough(pairs, left_out, min_sites)
        videos = sum(row.videos for _, row in pairs)
        # Of one site the product and the quotient of its weights are exact in float64.
        model.set_weights([(total / videos).astype(np.float32) for total in sums])
        return pairs, model

    def _join_scores(
        self, updates: Sequence[SiteUpdate], left_out: list[LeftOut], min_sites: int
    ) -> tuple[list[_Counted], ScoreHistogram]:
        def read(update: SiteUpdate) -> tuple[SiteRound, ScoreHistogram]:
            site_updates.check_site(update, self.sites)
            counts = update.read_arrays(FORM)[ARRAY]
            histogram = ScoreHistogram.from_facts(update.facts.get("scores") or {}, counts)
            if histogram.videos > self.sites[update.site].videos["validation"]:
                raise BadUpdateError("it counts more validation videos than its site has")
            return site_updates.site_round(update, self.sites[update.site]), histogram

        pairs = site_updates.usable(updates, left_out, read)
        _check_enough(pairs, left_out, min_sites)
        histogram = ScoreHistogram.joined([histogram for _, (_, histogram) in pairs])
        decision = self.federation.settings.decision
        histogram.choose_operating_point(decision.operating_point, 1.0)  # refused before it ends
        return [(update, row) for update, (row, _) in pairs], histogram

    def validation_scores(self) -> ScoreHistogram:
        """The scores of validation over all sites, once the last round is closed.

        Raises:
            RunError: If they cannot be read.
        """
        values = files.read_json(self.folder / _SCORES_NAME)
        return ScoreHistogram.from_facts(values, np.array(values["counts"], np.int64))


def _silent(
    sites: Iterable[FederatedSite], rows: Sequence[SiteRound], failures: Sequence[LeftOut]
) -> list[LeftOut]:
    """The sites of round 0 that sent nothing usable and are not among the failures."""
    numbers, named = {row.site for row in rows}, {failure.what for failure in failures}
    return [
        LeftOut(site.label, "it sent nothing usable")
        for site in sites
        if site.number not in numbers and site.label not in named
    ]


def _check_enough(pairs: Sequence[Any], left_out: Sequence[LeftOut], min_sites: int) -> None:
    if len(pairs) >= min_sites:
        return
    reasons = "; ".join(f"{item.what}: {item.reason}" for item in left_out)
    raise TrainingError(
        f"A round must have usable updates of {min_sites} or more sites. Received: {len(pairs)}"
        + (f" ({reasons})" if reasons else "")
    )


def _federated_site(
    number: int, update: SiteUpdate, statistics: SiteStatistics, classes: Sequence[str]
) -> FederatedSite:
    labels = statistics.labels
    mapping = label_mapping(classes, labels)
    return FederatedSite(
        number=number,
        id=update.site,
        name=update.name,
        videos_digest=statistics.videos_digest,
        videos={
            split: sum(getattr(label, split) for label in labels.values())
            for split in ("train", "validation", "test")
        },
        by_class={
            name: sum(labels[label].train for label in labels if mapping[label] == name)
            for name in classes
        },
        recordings=sum(label.recordings for label in labels.values()),
        window_s=statistics.window_s,
    )


def _first_model(
    federation: Federation, pool: Pool, constants: Mapping[str, standardisation.Constants]
) -> "keras.Model":
    """The model that round 1 begins with: weights drawn as `train` draws them."""
    import keras

    keras.utils.set_random_seed(federation.seed)
    model = classifier.build_classifier(
        head=federation.settings.model.head,
        features=np.zeros((2, pool.space.frames, pool.space.dim), np.float16),
        classes=len(pool.classes),
        recurrence="loop",
    )
    standardisation.set_constants(model, constants)
    return model


def _digest(model: "keras.Model") -> str:
    """SHA-256 of the weights of a model and of the constants of its standardisation."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight, np.float32).tobytes())
    for constants in standardisation.constants_of(model).values():
        digest.update(constants.mean.tobytes() + constants.variance.tobytes())
    return digest.hexdigest()
