"""The two figures of a synthetic clip: appearance, path and pose."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Figure:
    """A person, and the positions at u=0 and at u=1.

    Attributes:
        places: Horizontal positions, fractions of the image's width.
        depths: From 0 at the back of the floor to 1 at the front.
        height: Height of the body at the front, a fraction of the image's height.
        phase, cycles: The limbs' first position in a step, and their number of steps.
        colours: float64 (3,), BGR, by part.
    """

    places: tuple[float, float]
    depths: tuple[float, float]
    height: float
    phase: float
    cycles: float
    colours: dict[str, np.ndarray]


def draw_figures(rng: Generator) -> list[Figure]:
    """Two figures that come from the sides, meet, and have passed each other at u=1."""
    meeting, overshoot = rng.uniform(0.42, 0.58), rng.uniform(0.0, 0.24)
    left = rng.uniform(0.08, 0.16), meeting + overshoot
    right = rng.uniform(0.84, 0.92), meeting - overshoot
    return [_draw_figure(places, rng) for places in (left, right)]


def _draw_figure(places: tuple[float, float], rng: Generator) -> Figure:
    hsv = np.uint8([[rng.integers((0, 170, 120), (180, 256, 240))]])
    return Figure(
        places=places,
        depths=tuple(rng.permutation(rng.uniform((0.1, 0.65), (0.35, 0.95)))),
        height=rng.uniform(0.78, 0.9),
        phase=rng.random(),
        cycles=rng.uniform(1.2, 1.8),
        colours={
            "skin": rng.uniform(0.5, 1.1) * np.array([110.0, 150.0, 205.0]),
            "hair": rng.uniform(15, 70) * np.array([0.7, 0.9, 1.1]),
            "shirt": cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(float),
            "trousers": rng.uniform(10, 60, 3) + (25, 0, 0),
        },
    )


def draw_figure(image: np.ndarray, figure: Figure, u: float, horizon: float) -> None:
    """Draws a figure and its shadow at their position at `u`."""
    height, width = image.shape[:2]
    x = width * np.interp(u, (0, 1), figure.places)
    nearness = np.interp(u, (0, 1), figure.depths)
    floor_y = height * (horizon + (0.97 - horizon) * (0.25 + 0.75 * nearness))
    size = height * figure.height * (0.55 + 0.45 * nearness)
    shadow = _subpixels(x, floor_y), _subpixels(0.2 * size, 0.035 * size)
    look = (0, 0, 360, (45, 45, 45), -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    cv2.ellipse(image, *shadow, *look)
    facing = np.sign(figure.places[1] - figure.places[0])
    joints = pose(figure.phase + figure.cycles * u) * (facing * size, size)
    # The lower foot stands on the floor, in every pose.
    lowest = joints[:2, 2, 1].max()
    _draw_body(image, joints + (x, floor_y - lowest), size, figure.colours)


def pose(cycle: float) -> np.ndarray:
    """Joints of a body in side view, relative to its hip, in body heights.

    An arm bends while it goes back, and stretches at the height of the shoulder while it goes
    forward: slow, this is a step; fast, a blow.

    Returns:
        float64 (5, 3, 2): far leg, near leg, far arm, near arm, trunk; three joints each; x
        forwards, y downwards.
    """
    swing, lift = np.sin(2 * np.pi * cycle), np.cos(2 * np.pi * cycle)
    hip, neck, face = (0.0, 0.0), (0.05, -0.33), (0.07, -0.445)
    return np.array([
        _limb(hip, 12 - 34 * swing, -8 - 50 * max(-lift, 0), 0.25),
        _limb(hip, 12 + 34 * swing, -8 - 50 * max(lift, 0), 0.25),
        _limb(neck, 22 + 60 * swing, 55 - 45 * swing, 0.185),
        _limb(neck, 22 - 60 * swing, 55 + 45 * swing, 0.185),
        (hip, neck, face),
    ])  # fmt: skip


def _limb(joint: tuple, first: float, bend: float, length: float) -> np.ndarray:
    """The joints of a limb at angles of `first` and `first + bend` degrees; float64 (3, 2)."""
    angles = np.radians([first, first + bend])
    steps = length * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return joint + np.vstack([(0, 0), np.cumsum(steps, axis=0)])


def _draw_body(image, joints: np.ndarray, size: float, colours: dict) -> None:
    """Draws the far limbs, which are darker, then trunk and head, then the near limbs."""
    far_leg, near_leg, far_arm, near_arm, (hip, neck, face) = joints
    far = {name: 0.7 * colour for name, colour in colours.items()}
    limb, head = 0.075 * size, 0.17 * size
    _draw_limb(image, far_leg, far["trousers"], (20, 20, 20), limb)
    _draw_limb(image, far_arm, far["shirt"], far["skin"], limb)
    _draw_limb(image, near_leg, colours["trousers"], (20, 20, 20), limb)
    draw_line(image, hip, 0.8 * neck + 0.2 * hip, colours["shirt"], 2 * limb)
    _dot(image, face - (0, 0.02 * size), colours["hair"], 1.1 * head)
    _dot(image, face + (0, 0.015 * size), colours["skin"], head)
    _draw_limb(image, near_arm, colours["shirt"], colours["skin"], limb)


def _draw_limb(image, joints, colour, end_colour, thickness) -> None:
    draw_line(image, joints[0], joints[1], colour, thickness)
    draw_line(image, joints[1], joints[2], colour, thickness)
    _dot(image, joints[2], end_colour, 1.2 * thickness)


def draw_line(image, start, end, colour, thickness) -> None:
    points = [_subpixels(*point) for point in (start, end)]
    thickness = max(1, round(thickness))
    cv2.line(image, *points, tuple(colour), thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _dot(image, centre, colour, diameter) -> None:
    place, radius = _subpixels(*centre), _subpixels(diameter / 2)[0]
    cv2.circle(image, place, radius, tuple(colour), -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _subpixels(*values: float) -> tuple[int, ...]:
    return tuple(round(float(value) * (1 << _SUBPIXEL_BITS)) for value in values)
