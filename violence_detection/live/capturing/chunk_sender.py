"""Sends chunks to the judge in a thread; what it does not take in time is dropped and counted."""

import dataclasses
import threading
import time
from collections import deque
from pathlib import Path

from violence_detection.live.processes import chunk_socket
from violence_detection.live.processes.process_messages import CameraChunk, CameraWindow

_MAX_CHUNKS = 64
_MAX_BYTES = 32 * 2**20
_SEND_TIMEOUT_S = 5.0
_RETRY_S = 0.5


class ChunkSender:
    """The way of a camera's chunks to its judge. `put` never waits.

    Attributes:
        dropped: Count of windows that the judge did not take.
    """

    def __init__(self, address: Path) -> None:
        """
        Args:
            address: Path of the Unix socket on which the judge takes chunks; it may be away.
        """
        self._address = address
        self._waiting: deque[CameraChunk] = deque()
        self._bytes = 0
        self._lost: list[CameraWindow] = []  # dropped windows that the judge is to pass on
        self._changed = threading.Condition()
        self.dropped = 0

    def put(self, chunk: CameraChunk) -> None:
        """Adds a chunk; the oldest ones are dropped where too many wait."""
        with self._changed:
            self._waiting.append(chunk)
            self._bytes += len(chunk.images)
            while len(self._waiting) > _MAX_CHUNKS or self._bytes > _MAX_BYTES:
                self._drop(self._pop())
            self._changed.notify()

    def redirect(self, address: Path) -> None:
        """Sends to another judge from now on, which passes on the windows whose images the former
        one has."""
        with self._changed:
            self._address = address
            self._changed.notify()

    def run(self) -> None:
        """Sends for ever."""
        while True:
            address = self._address
            try:
                with chunk_socket.connect(address, timeout_s=_SEND_TIMEOUT_S) as connection:
                    while chunk := self._next(address):
                        try:
                            chunk_socket.send_chunk(connection, chunk)
                        except OSError:
                            with self._changed:
                                self._drop(chunk)
                            raise
            except OSError:  # no judge, or one that has ended or does not read
                time.sleep(_RETRY_S)

    def _next(self, address: Path) -> CameraChunk | None:
        """The next chunk, with the windows that were dropped before it; None once another judge
        than that of an address is to have it."""
        with self._changed:
            while not self._waiting and self._address == address:
                self._changed.wait()
            if self._address != address:
                return None
            chunk, lost = self._pop(), self._lost
            self._lost = []
        return dataclasses.replace(chunk, windows=(*lost, *chunk.windows)) if lost else chunk

    def _pop(self) -> CameraChunk:
        chunk = self._waiting.popleft()
        self._bytes -= len(chunk.images)
        return chunk

    def _drop(self, chunk: CameraChunk) -> None:
        for window in chunk.windows:
            self.dropped += not window.unjudged
            reason = window.unjudged or "dropped"
            self._lost.append(CameraWindow(window.start_s, window.end_s, unjudged=reason))
        # A judge that is away for long: one stretch stands for all.
        if len(self._lost) > _MAX_CHUNKS:
            ends_s = max(window.end_s for window in self._lost)
            self._lost = [CameraWindow(self._lost[0].start_s, ends_s, unjudged="dropped")]
