"""Round 0: the counts and moments of a site, and those of all sites together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from violence_detection.datasets.labels import classes_of, label_mapping
from violence_detection.datasets.table_files.manifest import ManifestEntry, contents_digest
from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.extraction.extraction_record import WeightsOrigin
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.federated.config import FederationConfig
from violence_detection.federated.federation import Pool
from violence_detection.federated.update_file import BadUpdateError
from violence_detection.models import classifier, standardisation
from violence_detection.models.standardisation import Constants, Moments
from violence_detection.training.training_data import unscaled_recording_weights

_MOST = 10_000_000  # videos of a class; frames and values of a feature space have lower limits
_MOST_FRAMES, _MOST_DIM = 1024, 1 << 16
_MOST_LABELS = 100
_MOST_CHARACTERS = 200


@dataclass(frozen=True)
class LabelStatistics:
    """The videos of a label at a site.

    Attributes:
        train, validation, test: Number of videos of each split.
        recordings: Number of recordings of the training videos.
        recording_sum: See `Pool.recording_sums`.
    """

    train: int
    validation: int
    test: int
    recordings: int
    recording_sum: float


@dataclass(frozen=True)
class SiteStatistics:
    """The part of round 0 that a site sends besides the sums of `moments`.

    Attributes:
        labels: By label.
        space, weights: The feature space; weights from a file are without its path.
        window_s: Median duration of the training videos.
        videos_digest: SHA-256 of the labels and contents of the site's videos.
        counts: Number of rows of each standardised input, by its layer.
    """

    labels: Mapping[str, LabelStatistics]
    space: FeatureSpace
    weights: WeightsOrigin
    window_s: float
    videos_digest: str
    counts: Mapping[str, int]

    @property
    def train_videos(self) -> int:
        return sum(label.train for label in self.labels.values())

    def to_facts(self) -> dict[str, Any]:
        parts = {"space": self.space.as_dict(), "weights": self.weights.to_json()}
        return asdict(self) | parts

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """The inverse of `to_facts`, for facts that anybody may have written.

        Raises:
            BadUpdateError: If they are something else.
        """
        try:
            labels = {
                _text(name): LabelStatistics(
                    *(_count(row[key]) for key in ("train", "validation", "test", "recordings")),
                    _positive(row["recording_sum"], _MOST),
                )
                for name, row in facts["labels"].items()
            }
            space = FeatureSpace.from_json(facts["space"])
            if space.parts or space.segments != 1:
                raise ValueError("its features are of several backbones, or in segments")
            for value, most in ((space.frames, _MOST_FRAMES), (space.dim, _MOST_DIM)):
                if not 1 <= _count(value) <= most:
                    raise ValueError("its feature space is too large")
            weights = WeightsOrigin(
                _text(facts["weights"]["source"]),
                _text(facts["weights"]["digest"]),
                _count(facts["weights"]["seed"], 2**31),
            )
            statistics = cls(
                labels=labels,
                space=space,
                weights=weights,
                window_s=_positive(facts["window_s"], 1e7),
                videos_digest=_text(facts["videos_digest"]),
                counts={_text(name): _count(value) for name, value in facts["counts"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError, ViolenceDetectionError) as error:
            raise BadUpdateError(f"its counts are not as they should be ({error})") from error
        if not 1 <= len(labels) <= _MOST_LABELS or not statistics.train_videos:
            raise BadUpdateError("it has no training videos, or too many labels")
        if min(statistics.counts.values(), default=1) < 1:
            raise BadUpdateError("it has sums of no rows")
        return statistics


def _count(value: Any, most: int = _MOST * 2000) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("a count is no whole number, or is too large")
    return value


def _positive(value: Any, most: float) -> float:
    if type(value) not in (int, float) or not 0 <= value <= most:
        raise ValueError("a number is negative, or is too large")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MOST_CHARACTERS or not value.isprintable():
        raise ValueError("a name is too long, or not printable")
    return value


def measure_site(
    cache: FeatureCache, entries: Sequence[ManifestEntry], settings: FederationConfig
) -> tuple[SiteStatistics, dict[str, np.ndarray]]:
    """The statistics of a site, and the arrays of its moments by name.

    Args:
        cache: The site's features.
        entries: Its usable videos, with their splits.
        settings: Those of the federation.

    Raises:
        CacheError: If an array is missing or altered.
        ConfigError: If there are no training videos, or the features are of several backbones.
    """
    if cache.space().parts or cache.space().segments > 1:
        raise ConfigError(
            "A site must have features of whole videos by one backbone. Received: features of "
            f"several, or in segments, in {cache.dir}"
        )
    labels = sorted({entry.label for entry in entries})
    train = [entry for entry in entries if entry.split == "train"]
    if not train:
        raise ConfigError(
            f"A site must have training videos. Received: none of {len(entries)} in {cache.dir}"
        )
    clips = dataset.read_dataset(cache, train, labels)
    unscaled = unscaled_recording_weights(clips.groups, settings.batches.recording_weights)
    sums = np.bincount(clips.labels, unscaled, minlength=len(labels))
    videos = Counter((entry.label, entry.split) for entry in entries)
    model = classifier.build_classifier(
        head=settings.model.head, features=clips.features, classes=2, recurrence="loop"
    )
    moments = standardisation.moments_of(model, clips.features)
    record = cache.record()
    source = record.weights.source
    if source not in ("imagenet", "random", "imported"):
        source = f"{record.space.backbone}.weights.h5"  # a path says where it is at the site
    statistics = SiteStatistics(
        labels={
            label: LabelStatistics(
                **{split: videos[label, split] for split in ("train", "validation", "test")},
                recordings=len({entry.group for entry in train if entry.label == label}),
                recording_sum=float(sums[number]),
            )
            for number, label in enumerate(labels)
        },
        space=record.space,
        weights=WeightsOrigin(source, record.weights.digest, record.weights.seed),
        window_s=float(np.median([entry.duration_s for entry in train])),
        videos_digest=contents_digest(entries),
        counts={name: part.count for name, part in moments.items()},
    )
    arrays = {
        name: array
        for number, part in enumerate(moments.values())
        for name, array in (
            (f"total{number:03d}", part.total),
            (f"squares{number:03d}", part.squares),
        )
    }
    return statistics, arrays


@dataclass(frozen=True)
class MomentForms:
    """The arrays that round 0 must have: the sums of each standardised input of the head.

    Attributes:
        sizes: Number of values of each input, by its layer.
    """

    sizes: Mapping[str, int]

    @classmethod
    def from_settings(cls, space: FeatureSpace, settings: FederationConfig) -> Self:
        """The sizes of the moments that the head of the settings needs of a feature space."""
        examples = np.zeros((2, space.frames, space.dim), np.float16)
        model = classifier.build_classifier(
            head=settings.model.head, features=examples, classes=2, recurrence="loop"
        )
        constants = standardisation.constants_of(model)
        return cls({name: len(value.mean) for name, value in constants.items()})

    def expected(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Type and shape of each array, for `update_file.decode_arrays`."""
        return {
            f"{kind}{number:03d}": ("<f8", (size,))
            for number, size in enumerate(self.sizes.values())
            for kind in ("total", "squares")
        }

    def moments(
        self, statistics: SiteStatistics, arrays: Mapping[str, np.ndarray]
    ) -> dict[str, Moments]:
        """The moments of a site, from its counts and its arrays.

        Raises:
            BadUpdateError: If the counts are of other inputs, or a sum of squares is negative.
        """
        if statistics.counts.keys() != self.sizes.keys():
            raise BadUpdateError("its sums are of another head")
        if any((array < 0).any() for name, array in arrays.items() if name.startswith("squares")):
            raise BadUpdateError("a sum of squares is negative")
        return {
            name: Moments(
                statistics.counts[name],
                arrays[f"total{number:03d}"],
                arrays[f"squares{number:03d}"],
            )
            for number, name in enumerate(self.sizes)
        }


def common_space(sites: Sequence[SiteStatistics]) -> FeatureSpace:
    """The feature space of most sites; of as many, that with most training videos."""
    counts = Counter(site.space for site in sites)
    videos = Counter()
    for site in sites:
        videos[site.space] += site.train_videos
    return max(counts, key=lambda space: (counts[space], videos[space], space.fingerprint))


def common_classes(sites: Sequence[SiteStatistics], normal_class: str | None) -> list[str]:
    """The class list of most sites, the normal class first; of as many, the longest.

    Raises:
        CacheError, ConfigError: If there are fewer than two classes, or the normal class is not
            recognised.
    """
    lists = Counter(tuple(sorted(site.labels)) for site in sites)
    labels = max(lists, key=lambda names: (len(names) > 1, lists[names], len(names), names))
    return classes_of([ManifestEntry(name, name, "", "train") for name in labels], normal_class)


def check_labels(site: SiteStatistics, classes: Sequence[str]) -> None:
    """Checks that every label of a site is a class of the federation.

    Raises:
        BadUpdateError: If a label of the site is none of the classes.
    """
    try:
        label_mapping(classes, site.labels)
    except ViolenceDetectionError as error:
        raise BadUpdateError(
            f"its classes are {', '.join(site.labels)}, not {', '.join(classes)}"
        ) from error


def pooled(
    sites: Sequence[SiteStatistics], moments: Sequence[Mapping[str, Moments]], classes: list[str]
) -> tuple[Pool, dict[str, Constants]]:
    """The sums over all sites, and the constants of the standardisation by layer.

    Args:
        sites: Of one feature space, with labels that are all classes.
        moments: Those of each site.
        classes: Names, the normal class first.

    Raises:
        ConfigError: If no site has training videos of a class.
    """
    counts, sums = np.zeros(len(classes), np.int64), np.zeros(len(classes))
    for site in sites:
        for label, name in label_mapping(classes, site.labels).items():
            counts[classes.index(name)] += site.labels[label].train
            sums[classes.index(name)] += site.labels[label].recording_sum
    if not counts.all():
        missing = ", ".join(name for name, count in zip(classes, counts, strict=True) if not count)
        raise ConfigError(
            f"The sites together must have training videos of every class. Received: none of "
            f"{missing}"
        )
    pool = Pool(
        tuple(classes), sites[0].space, sites[0].weights, tuple(counts.tolist()), tuple(sums)
    )
    joined = {name: Moments.joined([part[name] for part in moments]) for name in moments[0]}
    return pool, {name: part.constants() for name, part in joined.items()}
