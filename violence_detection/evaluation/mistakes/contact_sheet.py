"""The worst mistakes: frames of each, and the attention over time."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.datasets.summaries import summary_cache
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.videos import Video
from violence_detection.errors import VideoError
from violence_detection.evaluation.mistakes import error_analysis
from violence_detection.evaluation.mistakes.frame_images import frame_images
from violence_detection.evaluation.predictions import PredictionRow
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.neighbours.near_clip import NearClip
from violence_detection.models.neighbours.training_clips import TrainingClips
from violence_detection.reports.evaluation.mistakes import Mistake, MistakeSheet, ShownClip
from violence_detection.video import video_file
from violence_detection.video.video_file import VideoPart

if TYPE_CHECKING:
    import keras

WORST = 6  # mistakes of each kind


def build_contact_sheet(
    cache: FeatureCache,
    clips: FeatureDataset,
    predictions: Sequence[PredictionRow],
    *,
    normal_class: str,
    classifier: "keras.Model | None",
    with_frames: bool,
    blur: bool,
    known: Callable[[int], TrainingClips] | None = None,
    training_cache: FeatureCache | None = None,
) -> MistakeSheet:
    """The most confident misses and false alarms, each with frames, the attention and the nearest
    training clips.

    Args:
        cache: Features of the videos.
        clips: The N videos.
        predictions: The predictions for the videos, in the same order.
        normal_class: Its name.
        classifier: A model with any head; a head without attention gives none, as None does.
        with_frames: Whether frames are shown.
        blur: Whether people in the frames are made hard to recognise.
        known: The training clips of the model that predicted a video, by its row; None gives no
            nearest clips.
        training_cache: The features of the training, whose videos are shown; None shows none.
    """
    missed, flagged = (
        error_analysis.worst_mistakes(predictions, normal_class, violent=violent, count=WORST)
        for violent in (True, False)
    )
    chosen = [*missed, *flagged]
    attention = _attention(classifier, clips, chosen) if classifier else {}
    images: dict[int, tuple[str, ...] | str] = dict.fromkeys(chosen, "--no-show-frames was given")
    if with_frames and chosen:
        entries = [clips.entries[row] for row in chosen]
        images = dict(zip(chosen, _images_of(cache, entries, blur), strict=True))
    nearest, novel = {}, {}
    if known and chosen:
        near_clips = []
        for row in chosen:
            features = clips.features[row : row + 1]
            near_clips += known(row).nearest(features)
            novelty = known(row).novelty(features)
            novel[row] = novelty is not None and bool(novelty[0] > 1)
        shown_clips = _shown_clips(near_clips, training_cache if with_frames else None, blur)
        nearest = dict(zip(chosen, shown_clips, strict=True))

    def mistake(row: int) -> Mistake:
        shown, prediction = images[row], predictions[row]
        return Mistake(
            path=prediction.path,
            label=prediction.label,
            group=prediction.group,
            probability=prediction.probability,
            predicted=prediction.predicted,
            attention=attention.get(row),
            frames=() if isinstance(shown, str) else shown,
            missing_reason=shown if isinstance(shown, str) else "",
            nearest=nearest.get(row, ()),
            is_novel=novel.get(row, False),
        )

    return MistakeSheet(
        [mistake(row) for row in missed],
        [mistake(row) for row in flagged],
        blurred=with_frames and blur,
    )


def _attention(
    classifier: "keras.Model", clips: FeatureDataset, rows: Sequence[int]
) -> dict[int, list[float]]:
    """Weights over time by row; the mean over several layers or members of an ensemble."""
    from violence_detection.models.attention_maps import attention_weights

    if not rows:
        return {}
    layers = list(attention_weights(classifier, clips.features[np.array(rows)]).values())
    if not layers:
        return {}
    mean = np.mean(layers, axis=0)
    return {
        row: [round(float(weight), 5) for weight in weights]
        for row, weights in zip(rows, mean, strict=True)
    }


def _shown_clips(
    nearest: Sequence[Sequence[NearClip]], cache: FeatureCache | None, blur: bool
) -> list[list[ShownClip]]:
    """The nearest training clips of each mistake, with an image where the video still exists."""
    images: dict[str, str] = {}
    if cache is not None:
        wanted = {clip.path for clips in nearest for clip in clips}
        entries = [entry for entry in cache.entries() if entry.path in wanted]
        shown = _images_of(cache, entries, blur, thumbnails=True)
        images = {
            entry.path: frames[0]
            for entry, frames in zip(entries, shown, strict=True)
            if not isinstance(frames, str)
        }
    return [[ShownClip(clip, images.get(clip.path, "")) for clip in clips] for clips in nearest]


def _images_of(
    cache: FeatureCache, entries: Sequence[ManifestEntry], blur: bool, *, thumbnails: bool = False
) -> list[tuple[str, ...] | str]:
    """The frames of each video as data URIs, or the reason why there are none."""
    root = cache.video_dir
    videos, reason = summary_cache.unchanged_videos(entries, root)
    if root.is_dir():
        reason = f"the video is no longer in {root.name}, or changed"

    def part_or_reason(entry: ManifestEntry, video: Video | None) -> VideoPart | str:
        if video is None:
            return reason
        path = root / video.path
        try:
            if video_file.digest_of(path) != entry.digest:
                return reason
        except (VideoError, OSError) as error:
            return f"the video cannot be shown: {error}"
        return VideoPart(path, video.start_s, video.end_s)

    parts = list(map(part_or_reason, entries, videos))
    return frame_images(parts, blur=blur, title="Showing mistakes", thumbnails=thumbnails)
