"""Live MP4 of a camera in one answer that goes on, as long as somebody looks."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import anyio.to_thread
from fastapi import HTTPException

from violence_detection.live.watching.camera_videos import LiveVideoPart

MAX_VIEWERS, MAX_ALL_VIEWERS = 4, 16  # of a camera, and of all
_LOOK_S = 0.2
_LONGEST_S = 600.0  # then the browser asks anew, and is asked who it is


@dataclass
class LiveVideoRelay:
    """Gives browsers the video that the supervisor has.

    Attributes:
        ask: Gives the next part of a camera: see `WatchRequests.video`.
        first_s: Seconds to wait for the first part.
        silence_s: Seconds without a part after which the answer ends, and the page shows pictures.
    """

    ask: Callable[[str, int, int], bytes]
    first_s: float = 5.0
    silence_s: float = 8.0
    _viewers: Counter[str] = field(default_factory=Counter)

    async def open(self, camera: str) -> AsyncIterator[bytes]:
        """The stream of a camera, from its header on.

        Raises:
            HTTPException: 404 if it has no video that browsers play, 503 if too many look.
        """
        if self._viewers[camera] >= MAX_VIEWERS or self._viewers.total() >= MAX_ALL_VIEWERS:
            raise HTTPException(503, "Too many look at live video at this moment.")
        self._viewers[camera] += 1
        try:
            part, end_s = await self._part(camera, 0, 0), time.monotonic() + self.first_s
            while not part.content and time.monotonic() < end_s:
                await asyncio.sleep(_LOOK_S)
                part = await self._part(camera, 0, 0)
            if not part.content:
                raise HTTPException(404, "There is no video of the camera that browsers play.")
        except BaseException:
            self._viewers[camera] -= 1
            raise
        return self._follow(camera, part)

    async def _follow(self, camera: str, part: LiveVideoPart) -> AsyncIterator[bytes]:
        try:
            end_s = time.monotonic() + _LONGEST_S
            silent_s = time.monotonic() + self.silence_s
            while part.stream:
                if part.content:
                    silent_s = time.monotonic() + self.silence_s
                    yield part.content
                if time.monotonic() >= min(end_s, silent_s):
                    return
                await asyncio.sleep(_LOOK_S)
                part = await self._part(camera, part.stream, part.number)
        finally:
            self._viewers[camera] -= 1

    async def _part(self, camera: str, stream: int, after: int) -> LiveVideoPart:
        data = await anyio.to_thread.run_sync(self.ask, camera, stream, after)
        return LiveVideoPart.from_bytes(data)
