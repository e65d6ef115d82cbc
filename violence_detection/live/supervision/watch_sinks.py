"""Sinks of a watch: their notifiers, the outbox that sends, and the policy of what is sent."""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from violence_detection import registry
from violence_detection.inference.notification_policy import NotificationPolicy
from violence_detection.inference.notification_settings import (
    EscalationRule,
    NotificationSettings,
    QuietRule,
    SinkRule,
)
from violence_detection.live.configuration.config import Secret, Sink, WatchFile
from violence_detection.live.notifying import outbox
from violence_detection.live.notifying.delivery import Notifier, PublishedCameraState, ShownCamera
from violence_detection.live.notifying.outbox_sender import OutboxSink
from violence_detection.live.processes.watch_status import SinkStatus, WatchStatus
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import Message
from violence_detection.live.supervision.run_subject import finds_of
from violence_detection.live.watching.camera_states import UP
from violence_detection.live.watching.observation import observed_until_ms

_DAY_MS = 86_400_000  # the longest cool-down


def build_notifier(
    sink: Sink, cameras: Sequence[ShownCamera], on_snooze: Callable[[str, int], None]
) -> Notifier:
    """The notifier of a sink.

    Args:
        sink: The sink.
        cameras: For notifiers that show their states.
        on_snooze: Called with the name of a camera and minutes.

    Raises:
        ConfigError: If a library is missing, or an address cannot be used.
    """
    options = {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in sink.options.items()
    }
    module = registry.module("notifiers", sink.notifier)
    return module.build(sink=sink.name, cameras=cameras, on_snooze=on_snooze, **options)


def notification_settings(file: WatchFile, sinks: Sequence[OutboxSink]) -> NotificationSettings:
    """The settings of the notification policy of a cameras file."""
    return NotificationSettings(
        sinks=tuple(SinkRule(sink.name, sink.min_priority, sink.wants_end) for sink in sinks),
        cooldowns_s=tuple(
            (camera.name, camera.settings.alert.cooldown_s) for camera in file.cameras
        ),
        timezone=file.timezone,
        quiet_hours=tuple(
            QuietRule(rule.cameras, rule.days, rule.start_min, rule.end_min, rule.action)
            for rule in file.quiet_hours
        ),
        escalation=tuple(
            EscalationRule(step.priority, step.unacknowledged_s, step.to)
            for step in file.escalation
        ),
    )


class WatchSinks:
    """The sinks of a cameras file, which send until they are closed.

    Attributes:
        policy: Decides which changes of events are sent.
    """

    def __init__(
        self, file: WatchFile, store: EventStore, on_snooze: Callable[[str, int], None]
    ) -> None:
        """
        Args:
            file: The cameras file.
            store: Has the messages and the snoozes.
            on_snooze: Called in a thread with the name of a camera and minutes.

        Raises:
            ConfigError: If a notifier cannot be made.
        """
        self._store = store
        finds = finds_of(file.run)
        cameras = [
            ShownCamera(camera.name, camera.title, camera.site, finds) for camera in file.cameras
        ]
        self._sinks: list[OutboxSink] = []
        try:
            for sink in file.sinks:
                notifier = build_notifier(sink, cameras, on_snooze)
                self._sinks.append(
                    OutboxSink(
                        sink.name,
                        notifier,
                        sink.min_priority,
                        sink.per_10_min,
                        picture=sink.picture,
                        end=sink.end,
                    )
                )
        except BaseException:
            for made in self._sinks:
                made.notifier.close()
            raise
        self._outbox = outbox.Outbox(store, self._sinks, data=file.data, timezone=file.timezone)
        self._outbox.__enter__()
        self.policy = NotificationPolicy(notification_settings(file, self._sinks))
        for snooze in store.snoozes(store.now_ms()):
            until = datetime.fromtimestamp(snooze.until_ms / 1000, UTC)
            self.policy.snooze(snooze.camera, until)
        for camera in file.cameras:
            if until_ms := observed_until_ms(store, camera, store.now_ms()):
                self.policy.observe(camera.name, datetime.fromtimestamp(until_ms / 1000, UTC))

        for camera, priority, sent_ms in store.last_sent(store.now_ms() - _DAY_MS):
            at = datetime.fromtimestamp(sent_ms / 1000, UTC)
            self.policy.note_sent(camera, priority, at)

    @property
    def enders(self) -> list[str]:
        """Names of the sinks that are told of the ends of events."""
        return [sink.name for sink in self._sinks if sink.wants_end]

    def send_to_all(self, message: Message) -> None:
        """Stores a message that is not about an event for every sink."""
        self._store.record_messages(outbox.addressed(message, self._sinks))

    def show(self, status: WatchStatus, now_ms: int) -> None:
        """Shows the states of the cameras where sinks have a place for them.

        Args:
            status: The state of the watch.
            now_ms: UTC in milliseconds.
        """
        for camera in status.cameras:
            until_ms = camera.snoozed_until_ms or now_ms
            state = PublishedCameraState(
                is_up=camera.state == UP,
                is_violent=bool(camera.event),
                score=camera.score,
                snooze_min=-((now_ms - until_ms) // 60_000),
            )
            for sink in self._sinks:
                sink.notifier.show(camera.name, state)

    def statuses(self) -> list[SinkStatus]:
        """The sinks as pages show them."""
        counts = {count.sink: count for count in self._store.sink_counts()}
        statuses = []
        for state in self._outbox.states:
            status = SinkStatus(state.name, "down" if state.is_down else "up", error=state.reason)
            if count := counts.get(state.name):
                status = dataclasses.replace(
                    status,
                    waiting=count.waiting,
                    sent=count.sent,
                    dead=count.dead,
                    oldest_ms=count.oldest_ms,
                )
            statuses.append(status)
        return statuses

    def close(self) -> None:
        """Ends after the messages that are being sent; what is not sent stays in the store."""
        self._outbox.close()
