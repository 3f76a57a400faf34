"""Numbers and lists as parts of a sentence. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, what: str) -> str:
    """Such as "1 picture" and "12,000 pictures"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def listed(things: Sequence[object]) -> str:
    """Such as "a, b and c"; there is at least one."""
    words = [str(thing) for thing in things]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def bytes_words(count: float) -> str:
    """Such as "3.4 GB" and "12 MB": powers of 1,000, two digits at least."""
    if not count:
        return "0 KB"
    for unit in ("KB", "MB", "GB"):
        count /= 1000
        if count < 999.5 or unit == "GB":
            break
    return f"{count:.1f} {unit}" if count < 9.95 else f"{count:,.0f} {unit}"


def duration_words(seconds: float) -> str:
    """A duration in one or two units: "40 s", "23 min", "2 h 5 min", "3 days", "5 weeks"."""
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes:.0f} min"
    if hours < 10:
        whole, rest = divmod(round(minutes), 60)
        return f"{whole} h {rest} min"
    if hours < 48:
        return f"{hours:.0f} h"
    return f"{days:.0f} days" if days < 14 else f"{days / 7:,.0f} weeks"
