"""Lines of the headless command, whatever the names of files in them. Imports nothing heavy."""

from __future__ import annotations

import sys

# Spaces, and what holds letters and emoji together.
_HARMLESS = frozenset("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000\u200c\u200d")


def say(text: str, *, error: bool = False) -> None:
    """A line on standard output, or on standard error where output is for other programs; at once."""
    stream = sys.stderr if error else sys.stdout
    stream.write(printable(text) + "\n")
    stream.flush()


def printable(text: str) -> str:
    """On one line, as it is: file names may hold line breaks, commands to a terminal, and bytes that are no text."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in _HARMLESS else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
