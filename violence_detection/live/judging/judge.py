"""Judge of a watch, a process of its own: scores the windows of all cameras in common batches."""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from violence_detection.errors import RunError, VideoError, ViolenceDetectionError
from violence_detection.features.run_extractor import extractor_of_run
from violence_detection.live.judging.window_queue import WindowQueue
from violence_detection.live.processes import chunk_socket
from violence_detection.live.processes.process_messages import (
    JudgedWindow,
    JudgeFailed,
    JudgeLoad,
    JudgeMessage,
    JudgeReady,
)
from violence_detection.live.processes.worker_process import JudgeStart, WorkerChannel
from violence_detection.models.classifier import Classifier
from violence_detection.models.neighbours.training_clips import TrainingClips
from violence_detection.models.outputs.classes import violence_score
from violence_detection.models.run import Run
from violence_detection.system import devices

log = logging.getLogger(__name__)

# Of a batch on a GPU. On a processor several windows take as long together as one after the other,
# and the first would wait for the last.
_MAX_IMAGES = 64
_FILL_S = 0.05  # that a window waits for others to fill a batch
_LOAD_EVERY_S = 0.5
# TensorFlow encodes batches of one size and pads the last. A processor gains at most a twentieth
# from 64 images at a time instead of 4, and a window of 20 images would be padded to 64.
_ENCODED_ON_CPU, _ENCODED_ON_GPU = 4, 64
_SAME_ANSWER = 1e-3  # of a window that lies elsewhere in a batch; of the same window it is equal


def main(start: JudgeStart, channel: WorkerChannel) -> None:
    """Runs the judge until the supervisor ends."""
    # Where the supervisor has ended, `receive` ends this process, whatever it is at.
    threading.Thread(target=_receive, args=(channel,), daemon=True).start()
    began_s = time.monotonic()
    try:
        scorer = WindowScorer(Run.open(start.run))
        scorer.check_known_answer()
        queue = WindowQueue(
            side=scorer.side,
            images_per_window=scorer.images_per_window,
            channels=scorer.channels,
        )
        listener = _listen(start.address)
    except (ViolenceDetectionError, OSError) as error:
        return channel.send(JudgeFailed(str(error)))
    threading.Thread(target=_accept, args=(listener, queue), daemon=True).start()
    channel.send(
        JudgeReady(
            scorer.engine,
            scorer.window_s,
            scorer.classes,
            scorer.threshold,
            time.monotonic() - began_s,
        )
    )
    judge = Judge(
        queue,
        scorer,
        channel.send,
        classes=scorer.classes,
        score=scorer.thresholds.score,
        novelty=scorer.novelty,
        max_images=scorer.max_images,
        fill_s=_FILL_S if scorer.max_images > scorer.images_per_window else 0.0,
    )
    judge.run()


class WindowScorer:
    """A run that scores windows whose images are there.

    Attributes:
        engine: Name and precision of the engine.
        window_s: Seconds of a window.
        classes: Names, the normal class first.
        threshold: The run's own.
        thresholds: The same with those of single classes.
        side, channels: S, in pixels, and C of an image.
        images_per_window: T times K.
        max_images: Images that are worth encoding together.
    """

    def __init__(self, run: Run) -> None:
        """
        Raises:
            RunError, WeightsError, ConfigError: If the run cannot be used.
        """
        devices.import_tensorflow()
        import tensorflow as tf

        record = run.record()
        gpus = tf.config.list_physical_devices("GPU")
        self._extractor = extractor_of_run(
            record, weights=None, batch_size=_ENCODED_ON_GPU if gpus else _ENCODED_ON_CPU
        )
        space = self._extractor.space
        self._classifier: Classifier = run.load_classifier()
        self._known_clips = TrainingClips.of_run(run)
        self._frames = space.frames
        self.engine = f"{space.engine} {space.precision}"
        self.window_s, self.threshold = record.window_s, record.threshold
        self.thresholds = record.thresholds
        self.classes = tuple(record.classes)
        self.side, self.images_per_window = space.frame_size, self._extractor.images_per_clip
        self.channels = self._extractor.channels
        self.max_images = _MAX_IMAGES if gpus else self.images_per_window

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Features of N images, float16 (N, D), of uint8 (S, S, 3) each."""
        extractor = self._extractor
        size = extractor.batch_size if extractor.pads else max(1, len(images))
        parts = [
            self._extractor.encode(np.stack(images[start : start + size]))
            for start in range(0, len(images), size)
        ]
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float16)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """The probability of each class, float64 (W, K); NaN where features are not finite.

        Args:
            features: Of the images of W windows, float16 (W, T * K, D).
        """
        clips = features.reshape(len(features), self._frames, -1)
        is_finite = np.isfinite(clips).all((1, 2))
        rows = self._classifier.probabilities(np.where(is_finite[:, None, None], clips, 0))
        rows[~is_finite] = np.nan
        return rows

    def novelty(self, features: np.ndarray) -> np.ndarray | None:
        """The novelty of windows, float32 (W,): above 1 a window is unlike all that the run was
        trained on. None where the run does not know its training clips.

        Args:
            features: Of the images of W windows, float16 (W, T * K, D), finite.
        """
        if self._known_clips is None:
            return None
        return self._known_clips.novelty(features.reshape(len(features), self._frames, -1))

    def check_known_answer(self) -> None:
        """Judges drawn images twice, and once more elsewhere in a batch.

        It also prepares the engine and the classifier, for one window and for several.

        Raises:
            RunError: If the answers differ, or are no probabilities.
        """
        shape = self.images_per_window, self.side, self.side, self.channels
        images = list(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        clip, again = self.encode(images)[None], self.encode(images)[None]
        shifted = self.encode([images[0], *images])[None, 1:]
        first, second = self.probabilities(clip), self.probabilities(again)
        pair = self.probabilities(np.concatenate([clip, shifted]))
        is_same = np.array_equal(first, second) and np.allclose(first, pair, atol=_SAME_ANSWER)
        if not is_same or not np.isfinite(first).all():
            raise RunError(
                "The run must give the same images the same probability. Received: "
                f"{violence_score(np.concatenate([first, second, pair])).tolist()}"
            )


class Scorer(Protocol):
    """The methods of `WindowScorer` that a judge needs."""

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray: ...

    def probabilities(self, features: np.ndarray) -> np.ndarray: ...


class Judge:
    """The loop of the judge: takes windows as they come, and sends their probabilities."""

    def __init__(
        self,
        queue: WindowQueue,
        scorer: Scorer,
        send: Callable[[JudgeMessage], Any],
        *,
        classes: tuple[str, ...] = (),
        score: Callable[[np.ndarray], np.ndarray] = violence_score,
        novelty: Callable[[np.ndarray], np.ndarray | None] = lambda features: None,
        max_images: int = _MAX_IMAGES,
        fill_s: float = _FILL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            queue: The windows.
            scorer: Encodes their images and classifies them.
            send: Takes messages for the supervisor.
            classes: Names; with more than two, messages have the probability of each.
            score: The score that alarms go by, of the probabilities of a window, (K,).
            novelty: The novelty of W windows of finite features, (W,), or None.
            max_images: Images of a batch, at most, unless a window has more.
            fill_s: Seconds that a window waits for others to fill a batch.
            clock: Monotonic seconds.
        """
        self._queue, self._scorer, self._send, self._score = queue, scorer, send, score
        self._novelty = novelty
        self._classes, self._fill_s, self._clock = classes, fill_s, clock
        self._max_images = max_images
        self._judged = self._unjudged = self._images = 0
        self._busy_s, self._told_s = 0.0, -_LOAD_EVERY_S
        self._pause_s = clock()  # when it last had nothing to do

    def run(self) -> None:
        """Judges for ever."""
        while True:
            self.step()

    def step(self) -> None:
        """Judges the next batch, if windows come in half a second, and reports the load."""
        has_pause = not len(self._queue)
        self._queue.wait(images=self._max_images, first_s=_LOAD_EVERY_S, more_s=self._fill_s)
        if has_pause:
            self._pause_s = self._clock()
        self._tell_load()
        batch = self._queue.take(self._max_images)
        for window in batch.passed:
            self._pass_on(window)
        if not batch.windows:
            return
        began_s = self._clock()
        encoded = self._scorer.encode(batch.images)
        features = self._queue.features_of(batch, encoded)
        rows = self._scorer.probabilities(features)
        novelty = self._novelty(np.nan_to_num(features, posinf=0, neginf=0))
        now_s = self._clock()
        self._busy_s += now_s - began_s
        self._images += len(batch.images)
        for number, (waiting, row) in enumerate(zip(batch.windows, rows, strict=True)):
            if not np.isfinite(row).all():
                self._pass_on(waiting.judged(now_s, None, reason="not finite"))
                continue
            by_class = None
            if len(self._classes) > 2:
                by_class = dict(zip(self._classes, map(float, row), strict=True))
            self._judged += 1
            probability = float(self._score(row))
            values = {"probabilities": by_class}
            if novelty is not None:
                values["novelty"] = round(float(novelty[number]), 3)
            self._send(waiting.judged(now_s, probability, **values))

    def _pass_on(self, window: JudgedWindow) -> None:
        self._unjudged += 1
        self._send(window)

    def _tell_load(self) -> None:
        now_s = self._clock()
        if now_s - self._told_s < _LOAD_EVERY_S:
            return
        self._told_s = now_s
        self._send(
            JudgeLoad(
                self._queue.age_s(),
                now_s - self._pause_s,
                len(self._queue),
                self._judged,
                self._unjudged,
                self._images,
                self._busy_s,
            )
        )


def _receive(channel: WorkerChannel) -> None:
    while True:
        channel.receive()


def _listen(address: Path) -> socket.socket:
    """A socket for chunks that only this user can connect to."""
    with contextlib.suppress(FileNotFoundError):
        address.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(address))
    address.chmod(0o600)
    listener.listen(128)
    return listener


def _accept(listener: socket.socket, queue: WindowQueue) -> None:
    """Gives each capture that connects a thread; what it fails at ends the process, so that it is
    started again."""
    try:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=take_chunks, args=(connection, queue), daemon=True).start()
    except OSError as error:
        log.error(f"The judge takes no more connections: {error}")
        os._exit(1)


def take_chunks(connection: socket.socket, queue: WindowQueue) -> None:
    """Adds the chunks of a capture until it closes the connection or sends what is no chunk."""
    camera, section = "", -1
    with connection, contextlib.suppress(OSError):
        try:
            while chunk := chunk_socket.receive_chunk(connection):
                camera = camera or chunk.camera
                if chunk.camera != camera:
                    raise VideoError(
                        f"A capture must send windows of its own camera, {camera}. Received: "
                        f"{chunk.camera[:40]}"
                    )
                queue.add(chunk)
                section = chunk.section
        except VideoError as error:
            log.error(f"The connection of {camera or 'a capture'} was closed: {error}")
        finally:
            queue.forget(camera, section)
