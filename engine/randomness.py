"""Randomness as a function of (seed, what for, number): nothing to store, nothing to replay on resume."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a random choice is for. The numbers are part of every training's seed: never renumber them."""

    ORDER = 1
    PARTNER = 2
    AUGMENT_A = 3
    AUGMENT_B = 4
    POOL_A = 5
    POOL_B = 6
    WEIGHTS = 7
    HOLD_OUT_A = 8
    HOLD_OUT_B = 9
    DROPOUT = 10
    DIFF_AUGMENT = 11
    PATCHES = 12
    PROJECTIONS = 13
    MEASURED = 14


def random_at(seed: int, stream: Stream, number: int = 0) -> np.random.Generator:
    """The source of randomness for choice `number` of `stream`: the same whenever and wherever it is asked for."""
    return np.random.default_rng((seed, int(stream), number))
