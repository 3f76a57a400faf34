"""Text of strangers, such as file names, made fit for one line or a paragraph of the screen."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_LONGEST_WORD: Final = 40
_LONG_WORD: Final = re.compile(rf"[^\s/\\]{{{_LONGEST_WORD}}}(?=[^\s/\\])")


def shown_text(text: str) -> str:
    """A file name fit for the screen: one line, in its order of letters, also if its bytes are no text."""
    if text.isprintable():
        return text
    joiners = "\u200c\u200d"  # They hold letters and emoji together and move nothing else.
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join(
        "\ufffd" if unicodedata.category(letter) in bad and letter not in joiners else letter for letter in text
    )


def shown_paragraph(text: str) -> str:
    """The same for text that goes on in further lines: a name of 200 letters may be broken and widens no window."""
    return _LONG_WORD.sub(lambda word: word[0] + "\u200b", "\n".join(shown_text(line) for line in text.split("\n")))
