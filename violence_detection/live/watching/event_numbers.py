"""Numbers of events for the notification policy, and the ids under which they are stored."""

_EVENTS = 1_000_000  # at most, of one alert policy
_KEPT = 10_000


class EventNumbers:
    """Numbers of the events of all cameras: none comes twice, whatever is reloaded."""

    def __init__(self) -> None:
        self._policies = 0
        self._ids: dict[int, str] = {}
        self._numbers: dict[str, int] = {}

    def begin(self) -> int:
        """The number to add to those of one more alert policy, which counts from 1."""
        self._policies += 1
        return self._policies * _EVENTS

    def add(self, number: int, event_id: str) -> None:
        """Notes the id of an event; the oldest are forgotten in the end."""
        self._ids[number], self._numbers[event_id] = event_id, number
        while len(self._ids) > _KEPT:
            self._numbers.pop(self._ids.pop(next(iter(self._ids))), None)

    def of_stored(self, event_id: str) -> int:
        """The number of a stored event, which gets one if it has none."""
        if event_id not in self._numbers:
            self.add(self.begin(), event_id)
        return self._numbers[event_id]

    def number_of(self, event_id: str) -> int | None:
        return self._numbers.get(event_id)

    def id_of(self, number: int) -> str | None:
        return self._ids.get(number)
