from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QLabel, QPlainTextEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.doctor_page import MOST_THUMBNAILS, DoctorPage, FindingThumbnail, load_thumbnails
from engine.events import Examined, Finding, Preparing

A, B = Path("/pictures/apples"), Path("/pictures/oranges")
END = Examined(50, 40, 45, 40, 3, 12.0)
COPIES = (A / "1.png", A / "2.png", A / "3.png")
SAME = Finding("same", "warning", ("A",), "Copies.", COPIES, groups=(COPIES,), leave_out=COPIES[1:])
ALIKE = Finding("alike", "note", ("A",), "Nearly copies.", COPIES[1:], groups=(COPIES[1:],), leave_out=COPIES[2:])
BROKEN = Finding(
    "unreadable",
    "warning",
    ("B",),
    "1 picture of Oranges cannot be read.",
    (B / "<b>x.png",),
    leave_out=(B / "<b>x.png",),
    reasons=("It ends too early.",),
)
FEW = Finding("few_pictures", "warning", ("B",), "Few.")


@pytest.fixture
def page(qtbot: QtBot) -> DoctorPage:
    page = DoctorPage()
    qtbot.addWidget(page)
    page.set_folders(A, B)
    page.show()
    return page


def card(page: DoctorPage, kind: str) -> QWidget:
    return next(part for part in page.findChildren(QWidget) if part.objectName().startswith(f"finding_{kind}_"))


def leave_out(page: DoctorPage, kind: str) -> QPushButton:
    return card(page, kind).findChild(QPushButton, "leave_out")


def text(page: DoctorPage, name: str) -> str:
    label = page.findChild(QLabel, name)
    return label.text() if label.isVisible() else ""


def test_progress_is_told_and_nobody_has_to_wait(page: DoctorPage) -> None:
    page.show_begun()
    page.show_progress(Preparing("Looking at the pictures", 1200, 2014))
    assert "1,200 of 2,014" in text(page, "doctor_status")
    assert "1,200 of 2,014" in page.short_words


def test_nothing_found_is_said(page: DoctorPage) -> None:
    page.show_findings((), END)
    assert text(page, "doctor_status").startswith("Nothing to complain about: 90 pictures")
    assert text(page, "doctor_left_out") == "Every picture is used."
    assert not page.findChild(QPushButton, "leave_out_all").isVisible()


def test_problems_and_notes_are_counted(page: DoctorPage) -> None:
    page.show_findings((BROKEN, SAME, ALIKE), END)
    assert page.warnings == 2
    assert "2 problems and 1 note" in text(page, "doctor_status")
    assert "2 problems and 1 note" in page.short_words


def test_files_are_left_out_with_one_click_and_taken_back_with_another(page: DoctorPage, qtbot: QtBot) -> None:
    page.show_findings((BROKEN, SAME), END)
    with qtbot.waitSignal(page.left_out_changed):
        leave_out(page, "same").click()
    assert page.left_out == COPIES[1:]
    assert leave_out(page, "same").text() == "Left out: 2 pictures. Undo"
    assert text(page, "doctor_left_out") == "2 pictures are left out. Nothing is deleted."
    leave_out(page, "same").click()
    assert page.left_out == ()


def test_what_another_finding_leaves_out_stays_out(page: DoctorPage) -> None:
    page.show_findings((SAME, ALIKE), END)
    leave_out(page, "same").click()
    assert leave_out(page, "alike").isChecked()
    leave_out(page, "same").click()
    assert page.left_out == (COPIES[2],)


def test_all_that_is_proposed_is_left_out_at_once_and_nothing_again(page: DoctorPage) -> None:
    page.show_findings((BROKEN, SAME, ALIKE, FEW), END)
    page.findChild(QPushButton, "leave_out_all").click()
    assert set(page.left_out) == {*COPIES[1:], *BROKEN.files}
    assert leave_out(page, "unreadable").isChecked()
    page.findChild(QPushButton, "leave_out_none").click()
    assert page.left_out == ()


def test_a_finding_without_files_offers_nothing_to_press(page: DoctorPage) -> None:
    page.show_findings((FEW,), END)
    assert not card(page, "few_pictures").findChildren(QPushButton)


def test_every_name_is_shown_with_its_reason_as_it_is(page: DoctorPage) -> None:
    page.show_findings((BROKEN, SAME), END)
    card(page, "unreadable").findChild(QPushButton, "show_names").click()
    names = card(page, "unreadable").findChild(QPlainTextEdit, "names")
    assert names.toPlainText() == str(Path("oranges") / "<b>x.png") + "   It ends too early."
    assert not names.isHidden()


def test_the_folder_of_a_finding_is_opened(page: DoctorPage, qtbot: QtBot) -> None:
    page.show_findings((SAME,), END)
    with qtbot.waitSignal(page.reveal_requested) as asked:
        card(page, "same").findChild(QPushButton, "reveal").click()
    assert asked.args == [COPIES[0]]


def test_thumbnails_come_in_and_the_rest_is_counted(page: DoctorPage) -> None:
    files = tuple(A / f"{number}.png" for number in range(MOST_THUMBNAILS + 37))
    page.show_findings((Finding("cmyk", "note", ("A",), "CMYK.", files),), END)
    assert any(label.text() == "and 37 more" for label in card(page, "cmyk").findChildren(QLabel))
    page.add_thumbnail(FindingThumbnail(0, 2, files[2], np.zeros((20, 30, 3), np.uint8)))
    page.add_thumbnail(FindingThumbnail(0, 2, Path("of earlier findings"), np.zeros((20, 30, 3), np.uint8)))
    page.add_thumbnail(FindingThumbnail(7, 0, files[2], np.zeros((20, 30, 3), np.uint8)))
    shown = [label for label in card(page, "cmyk").findChildren(QLabel) if label.toolTip() and not label.isHidden()]
    assert sum(".png" in label.toolTip() for label in shown) == 1


def test_what_lies_in_other_folders_is_not_left_out_but_remembered(page: DoctorPage) -> None:
    page.set_left_out((A / "1.png", B / "1.png"))
    page.set_folders(A)
    assert page.left_out == (A / "1.png",)
    page.set_folders(A, B)
    assert page.left_out == (A / "1.png", B / "1.png")


def test_a_failure_is_told(page: DoctorPage) -> None:
    page.show_failure("No process could be started.")
    assert text(page, "doctor_status") == "No process could be started."


def test_pictures_that_cannot_be_read_have_no_thumbnails(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.new("RGB", (300, 200), "red").save(good)
    bad.write_bytes(b"no picture")
    broken = Finding("unreadable", "warning", ("A",), "Broken.", (bad,), reasons=("It is broken.",))
    loaded = list(load_thumbnails((broken, Finding("cmyk", "note", ("A",), "CMYK.", (bad, good)))))
    assert [(one.finding, one.place, one.path) for one in loaded] == [(1, 1, good)]
    assert max(loaded[0].picture.shape) < 200
