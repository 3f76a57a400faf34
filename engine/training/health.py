"""Signs that a training is ill."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config import Direction


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What translated pictures look like at one moment, in one direction, in a few numbers.

    Attributes:
        direction: Which.
        change: Mean difference between pictures and their translations, on [-1, 1].
        likeness: Whether light stays light: the correlation of brightness within pictures before and after, averaged
            over pictures; -1 are negatives.
        diversity: How much translations differ from one another: their mean difference from their mean picture.
        source_diversity: The same of the pictures that were translated.
        real_diversity: The same of real pictures of the other domain.
        cycle_error: Mean difference of a few pictures from themselves translated and back.
        disturbed_error: The same where the translations were blurred a little before they went back.
        honest_error: What the same blur changes in what is made of real pictures of the other domain.
        score: As in `DirectionQuality.distance`.
        start_line: As there.
        finish_line: As there.
    """

    direction: Direction
    change: float
    likeness: float
    diversity: float
    source_diversity: float
    real_diversity: float
    cycle_error: float
    disturbed_error: float
    honest_error: float
    score: float
    start_line: float
    finish_line: float
