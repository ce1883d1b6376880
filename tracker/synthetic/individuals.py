"""The appearance of an individual: colours and temperatures of its parts."""

from dataclasses import dataclass

import numpy as np

from tracker.synthetic.paint import (
    CAR_COLOURS,
    KELVIN,
    VIVID_COLOURS,
    heat_level,
    make_paint,
    mix,
    pick_colour,
)
from tracker.synthetic.places import Place


@dataclass(frozen=True)
class Individual:
    """An individual: its paints (colour and temperature) by name, and its size."""

    paints: dict[str, np.ndarray]
    size: float


def skin_colour(rng: np.random.Generator) -> np.ndarray:
    """A skin colour between fair and dark."""
    return mix(np.array([232.0, 190, 160]), np.array([104.0, 70, 50]), rng.uniform(0, 1))


def cloth_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour of clothes: mostly muted, sometimes vivid."""
    if rng.random() < 0.45:
        return pick_colour(rng, VIVID_COLOURS) * rng.uniform(0.8, 1.1)
    base = rng.uniform(36, 210)
    return np.clip(base + rng.normal(0, 16, 3), 16, 235)


def make_individual(kind: str, place: Place, rng: np.random.Generator) -> Individual:
    """Draw the colours and temperatures of a new individual."""
    air, sun = place.air, place.sun
    skin_heat = 33.5 + rng.uniform(-1, 1)
    cloth = mix(air, skin_heat, 0.42) + 2 * sun
    size = rng.uniform(0.94, 1.06)
    if kind in ("person", "cyclist"):
        skin, top, legs = skin_colour(rng), cloth_colour(rng), cloth_colour(rng) * 0.8
        # Short sleeves in warm air.
        forearm = (skin, skin_heat - 1.5) if air > 20 else (top * 0.92, cloth - 0.5)
        paints = {
            "skin": make_paint(skin, skin_heat),
            "hair": make_paint(
                np.array([46, 36, 28]) * rng.uniform(0.6, 3.2), mix(air, skin_heat, 0.6)
            ),
            "top": make_paint(top, cloth + 0.8),
            "band": make_paint(cloth_colour(rng) if rng.random() < 0.5 else top, cloth + 0.4),
            "sleeve": make_paint(top * 0.94, cloth),
            "forearm": make_paint(*forearm),
            "trousers": make_paint(legs, mix(air, skin_heat, 0.36) + 2 * sun),
            "shoes": make_paint(rng.uniform(24, 220) * np.ones(3), mix(air, skin_heat, 0.12)),
            "tyre": make_paint((34, 34, 36), air + 4),
            "metal": make_paint((170, 172, 176), air + 1),
            "frame": make_paint(cloth_colour(rng), air + 0.5),
            "helmet": make_paint(pick_colour(rng, VIVID_COLOURS), air + 3),
        }
        if kind == "person" and rng.random() < 0.35:
            paints["bag"] = make_paint(cloth_colour(rng), air + 1.5)
        return Individual(paints, size)
    if kind in ("dog", "deer"):
        coats = ((118, 82, 50), (60, 50, 44), (206, 190, 164), (150, 140, 128), (160, 104, 58))
        coat = np.array(coats[rng.integers(5)]) * rng.uniform(0.85, 1.15)
        fur = mix(air, 36.0, 0.5)
        paints = {
            "coat": make_paint(coat, fur),
            "belly": make_paint(mix(coat, 220, 0.35), fur + 2.5),
            "face": make_paint(mix(coat, 40, 0.3), fur + 5),
            "leg": make_paint(coat * 0.7, fur - 2),
            "horn": make_paint((150, 128, 98), air + 1),
        }
        return Individual(paints, size * (rng.uniform(0.8, 1.15) if kind == "dog" else 1.0))
    if kind in ("car", "van"):
        colour = pick_colour(rng, CAR_COLOURS)
        body = air + 1.5 + 6 * sun
        paints = {
            "body": make_paint(colour, body),
            "bonnet": make_paint(colour * 0.97, body + rng.uniform(7, 13)),
            "cabin": make_paint(colour * 0.9, body + 0.5),
            "stripe": make_paint(pick_colour(rng, VIVID_COLOURS), body),
            "glass": make_paint((44, 52, 62), air - 2),
            "tyre": make_paint((28, 28, 30), air + 9),
            "hub": make_paint((150, 152, 156), air + 12),
            "lamp": make_paint((250, 244, 214), air + 8),
            "tail": make_paint((214, 30, 24), air + 4),
            "exhaust": make_paint((60, 58, 56), air + 28),
        }
        return Individual(paints, size)
    if kind == "boat":
        colour = pick_colour(rng, CAR_COLOURS)
        paints = {
            "hull": make_paint(colour, air + 1 + 4 * sun),
            "deck": make_paint((196, 176, 140), air + 2 + 5 * sun),
            "stripe": make_paint((236, 234, 226), air + 1 + 4 * sun),
            "cabin": make_paint((232, 230, 222), air + 2 + 4 * sun),
            "glass": make_paint((50, 60, 70), air - 2),
            "engine": make_paint((40, 42, 46), air + 20),
            "mast": make_paint((210, 210, 206), air),
            "skin": make_paint(skin_colour(rng), skin_heat),
            "top": make_paint(cloth_colour(rng), cloth),
        }
        return Individual(paints, size)
    if kind == "drone":
        shade = np.array(((40, 42, 46), (222, 222, 224), (150, 60, 40))[rng.integers(3)], float)
        paints = {
            "body": make_paint(shade, air + 5),
            "battery": make_paint(shade * 0.8, air + 13),
            "camera": make_paint((30, 30, 34), air + 9),
            "arm": make_paint(shade * 0.85, air + 1),
            "motor": make_paint((60, 60, 64), air + 17),
            "blade": make_paint((70, 72, 76), air + 0.5),
            "leg": make_paint(shade * 0.7, air),
        }
        return Individual(paints, size)
    tone = np.array(((52, 50, 52), (206, 206, 204), (124, 94, 66))[rng.integers(3)], float)
    paints = {
        "body": make_paint(tone, mix(air, 39.0, 0.5)),
        "belly": make_paint(mix(tone, 230, 0.5), mix(air, 39.0, 0.55)),
        "head": make_paint(tone * 0.9, mix(air, 39.0, 0.62)),
        "beak": make_paint((214, 160, 54), mix(air, 39.0, 0.3)),
        "wing": make_paint(tone * 0.86, mix(air, 39.0, 0.2)),
        "tip": make_paint(tone * 0.6, mix(air, 39.0, 0.08)),
    }
    return Individual(paints, size)


def make_twin(
    target: Individual, kind: str, place: Place, twins: str, rng: np.random.Generator
) -> Individual:
    """A distractor; ``twins`` selects what it shares with the target (see `SequenceSpec`)."""
    other = make_individual(kind, place, rng)
    paints = {}
    cold = rng.random() < 0.5
    for name, paint in target.paints.items():
        new = paint.copy()
        if twins == "ir":
            new[:3] = other.paints.get(name, paint)[:3]
        else:
            new[:3] = np.clip(paint[:3] + rng.normal(0, 4, 3), 0, 255)
        if twins == "rgb":
            # Cold: at rest for hours, or well insulated. Hot: just arrived, or working.
            excess = paint[3] - heat_level(place.air)
            new[3] = heat_level(place.air) + (0.12 * excess if cold else 1.3 * excess + KELVIN * 5)
        else:
            new[3] += rng.normal(0, 0.3 * KELVIN)
        paints[name] = new
    return Individual(paints, target.size * rng.uniform(0.97, 1.03))
