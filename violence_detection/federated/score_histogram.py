"""The scores of validation videos as counts, and temperature, threshold and rates from counts.

A site sends how many of its normal and violent validation videos have a logit of violence in each
bin of 0.05, and no score of a video. For two classes temperature and threshold are chosen on the
middles of the bins; they differ from those on the scores by at most half a bin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from violence_detection.federated.update_file import BadUpdateError
from violence_detection.metrics import calibration, classification, intervals
from violence_detection.metrics.thresholds.operating_points import DEFAULT, ChosenOperatingPoint
from violence_detection.metrics.thresholds.threshold_selection import choose_threshold
from violence_detection.models.outputs.classes import is_violent, violence_score
from violence_detection.models.run_scores import SplitScores

STEP, LIMIT = 0.05, 15.0  # width of a bin, and the largest logit that has one of its own
BINS = round(2 * LIMIT / STEP)
ARRAY = "histogram"
FORM = {ARRAY: ("<i8", (2, BINS))}
_CHOSEN_ON = "validation"
_MOST = 10_000_000
_TINY = 1e-12


@dataclass(frozen=True)
class ScoreHistogram:
    """Counts of validation videos by their score, of one site or of several together.

    Attributes:
        counts: Number of normal and of violent videos in each bin of the logit of the score, int64
            (2, BINS); the first and the last bin hold all that lies beyond.
        recordings: Number of recordings with normal, and with violent videos.
        correct: Number of videos whose class has the highest probability.
    """

    counts: np.ndarray
    recordings: tuple[int, int]
    correct: int

    @classmethod
    def from_probabilities(
        cls, probability: np.ndarray, labels: np.ndarray, groups: np.ndarray
    ) -> Self:
        """The histogram of N videos.

        Args:
            probability: Probability of each class at temperature 1, float64 (N, K).
            labels: int64 (N,); 0 is the normal class.
            groups: The recording of each, (N,).
        """
        score, violent = np.clip(violence_score(probability), _TINY, 1 - _TINY), is_violent(labels)
        logit = np.clip(np.log(score / (1 - score)), -LIMIT, LIMIT)
        bins = np.clip(((logit + LIMIT) / STEP).astype(int), 0, BINS - 1)
        return cls(
            np.stack([np.bincount(bins[side], minlength=BINS) for side in (~violent, violent)]),
            (len(set(groups[~violent])), len(set(groups[violent]))),
            int((probability.argmax(1) == labels).sum()),
        )

    @classmethod
    def nothing(cls) -> Self:
        """The histogram of no videos."""
        return cls(np.zeros((2, BINS), np.int64), (0, 0), 0)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The histogram of all videos of some sites, whose recordings are different ones."""
        return cls(
            np.sum([part.counts for part in parts], axis=0),
            tuple(int(count) for count in np.sum([part.recordings for part in parts], axis=0)),
            sum(part.correct for part in parts),
        )

    def to_facts(self) -> dict[str, Any]:
        return {"recordings": list(self.recordings), "correct": self.correct}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], counts: np.ndarray) -> Self:
        """The inverse of `to_facts`, for facts that anybody may have written.

        Raises:
            BadUpdateError: If the counts contradict each other.
        """
        try:
            numbers = [*facts["recordings"], facts["correct"]]
            valid = [type(number) is int and 0 <= number <= _MOST for number in numbers]
            if len(numbers) != 3 or not all(valid):
                raise ValueError
        except (KeyError, TypeError, ValueError) as error:
            raise BadUpdateError("its counts are no whole numbers") from error
        if (counts < 0).any() or counts.sum() > _MOST:
            raise BadUpdateError("its histogram has negative or too many counts")
        videos = counts.sum(axis=1).tolist()
        if numbers[2] > sum(videos) or any(
            recordings > count or (count and not recordings)
            for recordings, count in zip(numbers, videos, strict=False)
        ):
            raise BadUpdateError("its counts contradict each other")
        return cls(counts, (numbers[0], numbers[1]), numbers[2])

    @property
    def videos(self) -> int:
        return int(self.counts.sum())

    # -- videos without a name, one for each count

    def _violent(self) -> np.ndarray:
        return np.repeat([False, True], self.counts.sum(axis=1))

    def _scores(self, temperature: float) -> np.ndarray:
        """The probability of violence of each, at the middle of its bin, float64 (N,)."""
        logit = -LIMIT + STEP * (np.arange(BINS) + 0.5)
        score = 1 / (1 + np.exp(-logit / temperature))
        return np.concatenate([np.repeat(score, side) for side in self.counts])

    def _recordings(self) -> np.ndarray:
        """A recording for each, so that each side has as many as the sites counted."""
        sides = [
            [f"{side} {number % recordings}" for number in range(videos)]
            for side, (videos, recordings) in enumerate(
                zip(self.counts.sum(axis=1).tolist(), self.recordings, strict=True)
            )
        ]
        return np.array([*sides[0], *sides[1]], object)

    # -- what is chosen and measured on them

    def choose_temperature(self, classes: int) -> tuple[float, str]:
        """The temperature with the smallest cross-entropy, and the reason for it."""
        if classes > 2:
            return 1.0, "1: of more than two classes, sites send no counts that it follows from"
        violent, score = self._violent(), self._scores(1.0)
        return calibration.fit_temperature(
            np.stack([1 - score, score], axis=1),
            violent.astype(int),
            self._recordings(),
            violent=violent,
            chosen_on=_CHOSEN_ON,
        )

    def choose_operating_point(self, asked: str | None, temperature: float) -> ChosenOperatingPoint:
        """The threshold and the rates that it has on the same videos, with Wilson's intervals.

        Args:
            asked: See `threshold_selection.choose_operating_point`.
            temperature: Divides the logits.

        Raises:
            EvidenceError: If there are too few videos for what is asked.
        """
        violent, score = self._violent(), self._scores(temperature)
        threshold, reason = choose_threshold(
            violent, score, self._recordings(), asked=asked, chosen_on=_CHOSEN_ON
        )
        rates = classification.binary_metrics(violent, score, threshold)
        alarm = score >= threshold
        recall, false_positive, precision = (
            intervals.wilson_interval(int((part & whole).sum()), int(whole.sum()))
            if whole.any()
            else None
            for part, whole in ((alarm, violent), (alarm, ~violent), (violent, alarm))
        )
        f1 = balanced = None
        if recall and false_positive:  # from the worst of both to the best of both
            pairs = ((recall[0], false_positive[1]), (recall[1], false_positive[0]))
            positive, negative = int(violent.sum()), int((~violent).sum())
            balanced = [(recalled + 1 - false) / 2 for recalled, false in pairs]
            f1 = [
                2 * recalled * positive / (positive + recalled * positive + false * negative)
                for recalled, false in pairs
            ]
        return ChosenOperatingPoint(
            asked=asked or DEFAULT,
            threshold=threshold,
            reason=reason,
            interval=None,
            achieved={
                "recall": rates.recall,
                "false_positive_rate": rates.false_alarm_rate,
                "precision": rates.precision,
                "f1": rates.f1,
                "balanced_accuracy": rates.balanced_accuracy,
            },
            achieved_ci={
                "recall": recall,
                "false_positive_rate": false_positive,
                "precision": precision,
                "f1": f1,
                "balanced_accuracy": balanced,
            },
            chosen_on=_CHOSEN_ON,
            videos=self.videos,
            recordings=sum(self.recordings),
        )

    def scores_at(self, threshold: float, temperature: float, classes: int) -> SplitScores:
        """Accuracy, area under the curve and loss, with Wilson's interval of the accuracy.

        Of more than two classes the accuracy is that of the likeliest class, whatever the
        threshold, and there is no loss.
        """
        violent, score = self._violent(), self._scores(temperature)
        if not self.videos:
            return SplitScores(accuracy=0.0, auc=None, videos=0, recordings=0)
        correct, loss = self.correct, None
        if classes == 2:
            correct = int(((score >= threshold) == violent).sum())
            loss = float(-np.log(np.where(violent, score, 1 - score)).mean())
        return SplitScores(
            accuracy=correct / self.videos,
            auc=classification.area_under_curve(violent, score),
            loss=loss,
            accuracy_ci=intervals.wilson_interval(correct, self.videos),
            auc_ci=None,
            videos=self.videos,
            recordings=sum(self.recordings),
        )
