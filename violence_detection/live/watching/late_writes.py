"""Changes of events that could not be stored: on a full disk they wait, in their order."""

import logging
from collections import deque
from collections.abc import Callable

from violence_detection.errors import ViolenceDetectionError

log = logging.getLogger(__name__)


class LateWrites:
    """Writes of a watch that must not be lost while its process runs.

    The policies that have decided on a change of an event do not decide on it again: if its write
    were left out, nobody would be told, or the event would stay open for ever.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, write: Callable[[], None]) -> bool:
        """Writes now, after those that wait.

        Returns:
            False if it waits: the event store cannot be written.
        """
        self._waiting.append(write)
        try:
            self.retry()
        except ViolenceDetectionError as error:
            log.error(f"{error} {len(self._waiting)} changes of events wait for it.")
        return not self._waiting

    def retry(self) -> None:
        """Writes what waits; to be called each second.

        Raises:
            ViolenceDetectionError: If the event store still cannot be written.
        """
        while self._waiting:
            self._waiting[0]()
            self._waiting.popleft()
