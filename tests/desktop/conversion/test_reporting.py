"""The report on a batch, from the Convert page."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog

from engine.errors import DataError
from tests.desktop.conversion.acts import (
    add,
    button,
    press,
)


def test_a_report_is_written_and_offered(page, make_controller, settings, pictures, tmp_path, qtbot):
    settings.library = [Path("/apple")]
    given = []

    def write(rows, to, title):
        given.append((rows, to, title))
        to.mkdir()
        yield from ()

    controller = make_controller(write_report=write)
    add(qtbot, controller, pictures)
    assert not button(page, "convert_report").isVisibleTo(page)
    with qtbot.waitSignal(controller.ended):
        controller.start()
    assert button(page, "convert_report").isVisibleTo(page)
    to = tmp_path / "report"
    page.report_requested.emit(to)
    qtbot.waitUntil(lambda: page.offer.text != "")
    assert page.offer.text == f"The report is in {to}."
    rows, where, title = given[0]
    assert (where, title) == (to, "Photos, Apples to Oranges")
    assert [(row.source.name, row.state, row.seconds) for row in rows] == [
        ("a.png", "Done", 0.01),
        ("b.gif", "Done", 0.01),
        ("bad.png", "Failed", 0.0),
        ("c.png", "Done", 0.01),
    ]
    assert rows[2].text == "bad.png is empty. Copy it again."


def test_a_report_that_cannot_be_written_is_explained(page, make_controller, settings, pictures, tmp_path, qtbot):
    settings.library = [Path("/apple")]

    def write(rows, to, title):
        raise DataError(f"{to} is there already.", field="report")
        yield

    controller = make_controller(write_report=write)
    add(qtbot, controller, pictures)
    with qtbot.waitSignal(controller.ended):
        controller.start()
    controller.write_report(tmp_path)
    qtbot.waitUntil(lambda: bool(page.messages.texts))
    assert page.messages.texts == [f"{tmp_path} is there already."]
    assert button(page, "convert_report").isVisibleTo(page)


def test_the_dialog_for_a_report_proposes_a_free_folder_beside_the_results(page, controller, pictures, qtbot):
    add(qtbot, controller, pictures)
    with qtbot.waitSignal(controller.ended):
        controller.start()
    (pictures.parent / "Photos - Oranges report").mkdir()
    press(qtbot, page, "convert_report")
    dialog = page.findChild(QFileDialog, "report_dialog")
    asked = []
    page.report_requested.connect(asked.append)
    dialog.fileSelected.emit(dialog.selectedFiles()[0])
    dialog.close()
    assert asked == [pictures.parent / "Photos - Oranges report (2)"]
    controller._report.close()
