"""Discovery by Home Assistant: each camera appears there by itself."""

import json
import re
from collections.abc import Iterator, Sequence

from violence_detection import __version__
from violence_detection.live.notifying.delivery import ShownCamera

MAX_SNOOZE_MIN = 24 * 60
_DEFAULT_PREFIX = "violence-detection"


def discovery(
    cameras: Sequence[ShownCamera], *, prefix: str, discovery_prefix: str, with_scores: bool
) -> Iterator[tuple[str, str]]:
    """Topics and JSON texts of MQTT discovery.

    Args:
        cameras: The cameras.
        prefix: The first part of this program's topics.
        discovery_prefix: The first part of Home Assistant's.
        with_scores: Whether the score of each camera is shown.
    """
    # Two installations on one broker have different prefixes.
    slug = "vd" if prefix == _DEFAULT_PREFIX else re.sub(r"[^a-zA-Z0-9_-]", "_", prefix)
    for camera in cameras:
        node, base = f"{slug}_{camera.name}", f"{prefix}/{camera.name}"
        shared = {
            "device": {
                "identifiers": [node],
                "name": camera.title,
                "manufacturer": "violence-detection",
                "sw_version": __version__,
            }
            | ({"suggested_area": camera.site} if camera.site else {}),
        }
        # A camera that is down must not be shown as safe.
        of_camera = {
            "availability_mode": "all",
            "availability": [
                {"topic": f"{prefix}/status"},
                {
                    "topic": f"{base}/state",
                    "payload_available": "up",
                    "payload_not_available": "down",
                },
            ],
        }
        entities = {
            ("binary_sensor", "violence"): {
                "name": "Something unusual" if camera.finds == "unusual" else "Possible violence",
                "device_class": "safety",
                "state_topic": f"{base}/violence",
                **of_camera,
            },
            ("binary_sensor", "connection"): {
                "name": "Connection",
                "device_class": "connectivity",
                "state_topic": f"{base}/state",
                "payload_on": "up",
                "payload_off": "down",
            },
            ("number", "snooze"): {
                "name": "Snooze",
                "icon": "mdi:bell-sleep",
                "unit_of_measurement": "min",
                "min": 0,
                "max": MAX_SNOOZE_MIN,
                "mode": "box",
                "state_topic": f"{base}/snooze",
                "command_topic": f"{base}/snooze/set",
            },
        }
        if with_scores:
            entities["sensor", "score"] = {
                "name": "Score",
                "state_class": "measurement",
                "state_topic": f"{base}/score",
                **of_camera,
            }
        for (component, name), entity in entities.items():
            topic = f"{discovery_prefix}/{component}/{node}/{name}/config"
            own = {} if "availability" in entity else {"availability_topic": f"{prefix}/status"}
            yield topic, json.dumps(entity | shared | own | {"unique_id": f"{node}_{name}"})
