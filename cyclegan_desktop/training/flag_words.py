"""The engine's sentences as the window says them: where they name a flag of the command, it has an option to name."""

from __future__ import annotations

import re

from PySide6.QtCore import QCoreApplication

from engine.options import OPTIONS

_IN_BRACKETS = re.compile(r" \(--(no-)?([a-z-]+)(?: [\w.]+)?\)")
_WITH_VALUE = re.compile(r"--([a-z-]+) (\w+)")

_OPTIONS = {option.flag.removeprefix("--"): option for option in OPTIONS}


def without_flags(sentence: str) -> str:
    """A sentence with the names of options in place of flags.

    "Train it in grey (--grey-b)" becomes "Train it in grey (the option ...)", with the option's title. A flag in
    brackets that is no option, or one that the sentence has just named by its title, is left out.
    """

    def named(match: re.Match[str]) -> str:
        option = _OPTIONS.get(match[2])
        if option is None or match.string[: match.start()].endswith(option.title):
            return ""
        return " " + QCoreApplication.translate("flag_words", '(the option "{0}")').format(option.title)

    def chosen(match: re.Match[str]) -> str:
        option = _OPTIONS.get(match[1])
        words = dict(option.choices).get(match[2]) if option is not None else None
        return match[0] if words is None else f'"{words}"'

    return _WITH_VALUE.sub(chosen, _IN_BRACKETS.sub(named, sentence))
