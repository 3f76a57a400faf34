"""Durations as people say them."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


def duration_words(seconds: float) -> str:
    """A duration in one or two units: "40 s", "23 min", "2 h 5 min", "3 days", "5 weeks", "4 months"."""
    if seconds < 90:
        return _tr("{count} s").format(count=round(seconds))
    if seconds < 90 * _MINUTE:
        return _tr("{count} min").format(count=round(seconds / _MINUTE))
    if seconds < 10 * _HOUR:
        hours, minutes = divmod(round(seconds / _MINUTE), 60)
        return _tr("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    if seconds < 2 * _DAY:
        return _tr("{count} h").format(count=round(seconds / _HOUR))
    if seconds < 14 * _DAY:
        return _tr("{count} days").format(count=round(seconds / _DAY))
    if seconds < 70 * _DAY:
        return _tr("{count} weeks").format(count=round(seconds / (7 * _DAY)))
    if seconds < 700 * _DAY:
        return _tr("{count} months").format(count=round(seconds / (30.44 * _DAY)))
    return _tr("{count:,} years").format(count=round(seconds / (365.25 * _DAY)))


def _tr(text: str) -> str:
    return QCoreApplication.translate("Duration", text)
