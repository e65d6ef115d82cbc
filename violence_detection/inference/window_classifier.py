"""Scores encoded windows: probabilities, further answers, attention, novelty, nearest clips."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from violence_detection.errors import VideoError
from violence_detection.inference.prediction_records import Window, WindowOutputs
from violence_detection.inference.window_encoder import EncodedWindow
from violence_detection.models.attention_maps import attention_weights
from violence_detection.models.class_thresholds import ClassThresholds
from violence_detection.models.neighbours.near_clip import NearClip
from violence_detection.models.neighbours.training_clips import TrainingClips
from violence_detection.models.output_set import OutputPredictions
from violence_detection.models.run import Run

BATCH_WINDOWS = 64


class WindowClassifier:
    """The classifier of a run, with what it knows of the clips that it was trained on.

    Attributes:
        known_clips: The training clips; None for a run without them.
    """

    def __init__(
        self,
        run: Run,
        thresholds: ClassThresholds,
        *,
        with_attention: bool = False,
        with_nearest: bool = False,
    ) -> None:
        """
        Args:
            run: The trained run.
            thresholds: Give the score of a window's probabilities.
            with_attention: Windows have the attention weights of their frames.
            with_nearest: Windows have the nearest training clips, where the run knows them.

        Raises:
            RunError: If the run cannot be used.
        """
        self._with_attention, self._with_nearest = with_attention, with_nearest
        self.known_clips = TrainingClips.of_run(run)
        self._classes, self._thresholds = run.record().classes, thresholds
        self._classifier = run.load_classifier()

    def windows(
        self, encoded: Sequence[EncodedWindow], failed: set[int]
    ) -> Iterator[tuple[int, Window | VideoError]]:
        """Yields scored windows with the numbers of their videos, each the mean over its views.

        Args:
            encoded: The windows with their features.
            failed: Numbers of videos whose windows are left out; a video whose features are not
                finite is added.
        """
        for number in {
            window.video for window in encoded if not np.isfinite(window.features).all()
        }:
            if number not in failed:
                failed.add(number)
                yield number, VideoError("its features are not finite in float16")
        encoded = [window for window in encoded if window.video not in failed]
        for start in range(0, len(encoded), BATCH_WINDOWS):
            batch = encoded[start : start + BATCH_WINDOWS]
            features = np.concatenate([window.features for window in batch])
            views = len(features) // len(batch)
            output_predictions = self._classifier.output_predictions(
                features, batch_size=BATCH_WINDOWS
            )
            output_predictions = output_predictions.mean_over_views(views)
            attention = self._attention(features).reshape(len(batch), views, -1).mean(1)
            originals = features[::views]
            novelty = self.known_clips.novelty(originals) if self.known_clips else None
            nearest: list[list[NearClip]] = [[]] * len(batch)
            if self.known_clips and self._with_nearest:
                nearest = self.known_clips.nearest(originals)
            for number, (window, row, weights) in enumerate(
                zip(batch, output_predictions.probability, attention, strict=True)
            ):
                yield (
                    window.video,
                    dataclasses.replace(
                        self._window(window, row, weights),
                        novelty=None if novelty is None else float(novelty[number]),
                        nearest=tuple(nearest[number]),
                        outputs=self._predictions_of(output_predictions, number),
                    ),
                )

    def _predictions_of(
        self, output_predictions: OutputPredictions, number: int
    ) -> WindowOutputs | None:
        """The answers of further outputs on a window; None where `classes` is the only output."""
        by_class, scores = output_predictions.class_probability, output_predictions.anomaly_scores
        if by_class is None and not scores:
            return None
        place = None if by_class is None else int(by_class[number].argmax())
        return WindowOutputs(
            None if place is None else self._classes[place],
            None if place is None else float(by_class[number, place]),
            {name: float(values[number]) for name, values in scores.items()},
        )

    def _attention(self, clips: np.ndarray) -> np.ndarray:
        """The attention weights (N, T), rows sum to 1, of float16 (N, T, D).

        (N, 0) if they are not asked for, or the head has none.
        """
        if not self._with_attention:
            return np.empty((len(clips), 0))
        by_layer = attention_weights(self._classifier.model, clips)
        return np.mean(list(by_layer.values()), axis=0) if by_layer else np.empty((len(clips), 0))

    def _window(self, encoded: EncodedWindow, row: np.ndarray, attention: np.ndarray) -> Window:
        by_class = None
        if len(self._classes) > 2:
            by_class = dict(zip(self._classes, map(float, row), strict=True))
        return Window(
            # Rounded here, so that windows that touch share the same time.
            start_s=round(encoded.window.start_s, 3),
            end_s=round(encoded.window.end_s, 3),
            probability=float(self._thresholds.score(row)),
            probabilities=by_class,
            attention=tuple(attention.tolist()),
        )
