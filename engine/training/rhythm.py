"""How often a training shows samples and measures its quality: each takes a bounded share of its time."""

from __future__ import annotations

# Samples take at most a twentieth of the time, and their number grows with the logarithm of a long training.
_SAMPLE_SECONDS = 5.0
_SAMPLE_SHARE = 20.0
_SAMPLE_GROWTH = 0.02
# Measuring takes its share likewise, and shows a course also of a training of minutes.
_QUALITY_SECONDS = 15.0
_QUALITY_SHARE = 20.0
_QUALITY_GROWTH = 0.01


def seconds_before_first_measurement() -> float:
    """Seconds until the quality is measured in a sitting that does not begin with it."""
    return _QUALITY_SECONDS


def seconds_between_measurements(measuring: float, so_far: float) -> float:
    """Seconds until the quality is measured again, as `seconds_between_samples`."""
    return max(_QUALITY_SECONDS, _QUALITY_SHARE * measuring, _QUALITY_GROWTH * so_far)


def seconds_between_samples(drawing: float, so_far: float) -> float:
    """Seconds until samples are drawn again.

    Args:
        drawing: Seconds that drawing them takes.
        so_far: Seconds spent on training so far, over all sittings.
    """
    return max(_SAMPLE_SECONDS, _SAMPLE_SHARE * drawing, _SAMPLE_GROWTH * so_far)
