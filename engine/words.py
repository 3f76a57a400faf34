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
