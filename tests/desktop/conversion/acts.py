"""What the tests of the Convert page do again and again, as a user would."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton, QToolButton

from cyclegan_desktop.conversion.batches import BatchState
from cyclegan_desktop.conversion.file_list import FileState
from engine.errors import ModelFileError


def label(page, name: str) -> QLabel:
    return page.findChild(QLabel, name)


def button(page, name: str) -> QPushButton:
    return page.findChild(QPushButton, name)


def press(qtbot, page, name: str) -> None:
    found = page.findChild(QPushButton, name) or page.findChild(QToolButton, name)
    assert found.isVisibleTo(page) and found.isEnabled(), name
    qtbot.mouseClick(found, Qt.MouseButton.LeftButton)


def batch_states(controller) -> list[BatchState]:
    return [batch.state for batch in controller.batches]


def row_states(controller, place: int = 0) -> list[FileState]:
    return [row.state for row in controller.batches[place].files.rows]


def add(qtbot, controller, *paths: Path) -> None:
    controller.add_sources(list(paths))
    qtbot.waitUntil(lambda: not controller.is_looking)


def hold(qtbot, controller, converter, name: str) -> None:
    """Press Convert, and wait until the converter holds before the picture `name`."""
    converter.hold_before = name
    controller.start()
    qtbot.waitUntil(converter.waiting.is_set)


def leave(qtbot, controller, converter) -> None:
    """Close the app while the converter holds."""
    controller.stop_for_closing()
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    controller.close()


def begin_and_leave(qtbot, make_controller, converter, *sources: Path) -> None:
    """Convert until the second picture, and close the app."""
    controller = make_controller()
    add(qtbot, controller, *sources)
    hold(qtbot, controller, converter, controller.batch.files.rows[1].path.name)
    leave(qtbot, controller, converter)
    converter.waiting.clear()
    converter.hold_before = ""


def gone(read_model, names: list[str]):
    """Reads models, except those whose path holds one of the names, as they are by then."""

    def read(path: Path):
        if any(name in str(path) for name in names):
            raise ModelFileError(f"{path} is not there.")
        return read_model(path)

    return read


def states(page) -> dict[str, FileState]:
    files = page.list.files
    return {files.shown_name(number): row.state for number, row in enumerate(files.rows)}


def invites(page) -> bool:
    """Whether the invitation to drop pictures is shown."""
    return page.findChild(object, "drop_invitation").isVisibleTo(page)


def convert(qtbot, controller) -> str:
    """Press Convert and wait for the end.

    Returns:
        How it ended.
    """
    with qtbot.waitSignal(controller.ended, timeout=20_000) as ended:
        controller.start()
    return ended.args[0]
