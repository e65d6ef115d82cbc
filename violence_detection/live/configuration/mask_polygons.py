"""Reads the privacy masks of a camera out of a cameras file."""

from typing import TYPE_CHECKING

from violence_detection.errors import ConfigError
from violence_detection.live.configuration.camera_settings import Polygon
from violence_detection.live.configuration.yaml_nodes import NodeReader, scalar_of

if TYPE_CHECKING:
    from yaml import Node

MAX_MASKS = 16
_MIN_POINTS, _MAX_POINTS = 3, 64


def read_masks(node: "Node", nodes: NodeReader) -> tuple[Polygon, ...]:
    """The polygons of a list; errors go to `nodes`, each with its place.

    Args:
        node: A list of polygons, which are lists of points [x, y].
        nodes: Collects errors.
    """
    parts = nodes.items(node, noun="masks", limit=MAX_MASKS)
    return tuple(_polygon(part, nodes) for part in parts)


def _polygon(node: "Node", nodes: NodeReader) -> Polygon:
    parts = nodes.items(node, noun="points", limit=_MAX_POINTS)
    if node.id == "sequence" and len(node.value) < _MIN_POINTS:
        nodes.error(
            node,
            f"A mask must have {_MIN_POINTS} to {_MAX_POINTS} points [x, y]. Received: "
            f"{len(node.value)}",
        )
    return tuple(nodes.value(part, _point, (0.0, 0.0)) for part in parts)


def _point(node: "Node") -> tuple[float, float]:
    values = [scalar_of(part) for part in node.value] if node.id == "sequence" else []
    numbers = [float(value) for value in values if type(value) in (int, float)]
    if len(values) != 2 or len(numbers) != 2 or not all(0 <= number <= 1 for number in numbers):
        shown = ", ".join(map(str, values))[:60]
        raise ConfigError(
            "A point must be [x, y], shares of width and height from 0 to 1. Received: "
            f"{f'[{shown}]' if values else 'no list'}"
        )
    return numbers[0], numbers[1]
