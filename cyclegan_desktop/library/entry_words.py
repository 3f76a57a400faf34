"""What the Models page says of an entry, in words."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from cyclegan_desktop.library.entries import LibraryEntry
from cyclegan_desktop.library.model_words import architecture_words, directions_words
from cyclegan_desktop.words import duration_words
from engine.words import bytes_words

# Cleaning up is proposed from this share of a run's room on.
_WORTH_CLEANING = 0.2


def title_of(entry: LibraryEntry) -> str:
    """The name that the user gave it, or what it is called without one."""
    if entry.name:
        return entry.name
    if not entry.name_A:
        return entry.path.name
    return _tr("{a} and {b}").format(a=entry.name_A, b=entry.name_B)


def facts_of(entry: LibraryEntry) -> str:
    """Preset, size, steps and day in one line."""
    if not entry.name_A:
        return ""
    size = _tr("{n} px").format(n=entry.size)
    preset = _tr("{preset} preset").format(preset=entry.preset.capitalize())
    if entry.total_steps:
        steps = _tr("step {n:,} of {total:,}").format(n=entry.step, total=entry.total_steps)
        facts = [preset, size, steps]
    elif entry.step:
        facts = [preset, size, _tr("{n:,} steps").format(n=entry.step)]
    else:  # How it was trained, nobody here knows.
        facts = [_tr("Imported"), size]
    if entry.name:
        facts.insert(0, _tr("{a} and {b}").format(a=entry.name_A, b=entry.name_B))
    if entry.seconds:
        facts.append(duration_words(entry.seconds))
    if entry.day is not None:
        facts.append(f"{entry.day:%Y-%m-%d}")
    return "  ·  ".join(facts)


def room_words(entry: LibraryEntry) -> str:
    """The best score, and the room it takes."""
    words = []
    if entry.best_score is not None and entry.best_step is not None:
        words.append(
            _tr("best score {score} at step {step:,}, which converts").format(
                score=f"{entry.best_score:.1f}", step=entry.best_step
            )
        )
    if entry.disk is not None:
        words.append(_tr("{size} on disk").format(size=bytes_words(entry.disk.total)))
        freed = sum(entry.freeable.values())
        if freed > _WORTH_CLEANING * entry.disk.total:
            words.append(_tr("{size} of it can be cleaned up").format(size=bytes_words(freed)))
    return "  ·  ".join(words)


def network_words(entry: LibraryEntry) -> str:
    """What the generators are made of, which there are, and whether the discriminators are with them."""
    if entry.architecture is None:
        return ""
    words = [
        architecture_words(entry.architecture, entry.name_A, entry.name_B),
        directions_words(entry.directions, entry.name_A, entry.name_B),
    ]
    if entry.kind == "model":
        words.append(_tr("with discriminators") if entry.has_discriminators else _tr("without discriminators"))
    return "  ·  ".join(words)


def state_words(entry: LibraryEntry) -> str:
    """What an entry is, in a word or two."""
    match entry.kind:
        case "run":
            if entry.is_complete:
                return _tr("Training, complete") + _score_words(entry)
            percent = 100 * entry.step // entry.total_steps if entry.total_steps else 0
            return _tr("Training, {percent}%").format(percent=percent) + _score_words(entry)
        case "model":
            return _tr("Model file")
        case "starter":
            return _tr("Comes with the app")
        case "missing":
            return _tr("No longer there")
        case "unreadable":
            return _tr("Cannot be read")


def _score_words(entry: LibraryEntry) -> str:
    if entry.best_score is None:
        return ""
    return "  ·  " + _tr("best score {score}").format(score=f"{entry.best_score:.1f}")


def problem_of(entry: LibraryEntry) -> str:
    """What is wrong with it, "" if nothing is."""
    if entry.kind == "missing":
        return _tr("It is no longer at this place. It may have been moved or deleted, or its disk is not connected.")
    return entry.problem


def words_without_sheets(entry: LibraryEntry) -> tuple[str, str]:
    """Headline and text in place of its sheets of samples."""
    match entry.kind:
        case "run":
            return _tr("No samples yet"), _tr("They are drawn while the training runs.")
        case "starter":
            text = _tr("A small model to try converting with at once. Train your own on the Train page.")
            return _tr("The starter model"), entry.note or text
        case "model":
            return _tr("A model file"), entry.note or _tr("Pictures can be converted with it at once.")
        case "missing":
            return "", _tr("Remove it from the list, or bring it back to where it was.")
        case "unreadable":
            return "", _tr("Remove it from the list, or put a good copy in its place.")


def hint_for(entry: LibraryEntry, *, is_training: bool) -> str:
    """Why a button cannot be pressed, "" if each can.

    Args:
        entry: The entry.
        is_training: Whether a training is under way.
    """
    if entry.kind != "run":
        if entry.can_convert and not entry.can_fine_tune:
            return _tr("A training needs both directions to begin with, and this model holds one only.")
        if is_training and entry.can_convert:
            return _tr("A training is running. Stop it on the Train page before beginning another one.")
        return ""
    if entry.is_complete:
        return _tr("This training is complete: all its steps are done, so there is nothing to resume.")
    if is_training:
        return _tr("A training is running. Stop it on the Train page before opening or resuming another one.")
    if not entry.can_convert:
        return _tr("No model is saved yet, so there is nothing to convert with.")
    return ""


def _tr(text: str) -> str:
    return QCoreApplication.translate("EntryWords", text)
