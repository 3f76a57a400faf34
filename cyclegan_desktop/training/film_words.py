"""Moments of a training in words."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from engine.events import Moment


def step_words(step: int) -> str:
    """A step, such as "Step 1,250"."""
    return _tr("Step {step:,}").format(step=step)


def moment_words(moment: Moment) -> str:
    """A moment and what is kept of it, such as "Step 1,250, starred, with its model"."""
    parts = [step_words(moment.step)]
    if moment.is_starred:
        parts.append(_tr("starred"))
    parts.append(_tr("with its model") if moment.model is not None else _tr("pictures only"))
    return ", ".join(parts)


def _tr(text: str) -> str:
    return QCoreApplication.translate("FilmWords", text)
