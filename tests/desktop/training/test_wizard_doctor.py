"""What the doctor found, in the wizard."""

from __future__ import annotations

from pathlib import Path

from pytestqt.qtbot import QtBot

from engine.config import preset_config
from engine.events import Finding
from tests.desktop.training.wizards import (
    FakeExamination,
    MakePictures,
    Wizard,
    drop,
)


def test_what_the_doctor_proposes_to_leave_out_is_not_trained_on(
    wizard: Wizard, folders: tuple[Path, Path], examine: FakeExamination, qtbot: QtBot
) -> None:
    out = tuple(sorted(folders[0].iterdir()))[:2]
    examine.findings = [Finding("same", "warning", ("A",), "Copies.", out, leave_out=out)]
    wizard.dialog.set_folders(list(folders))
    qtbot.waitUntil(lambda: "1 problem" in wizard.text("doctor_line"))
    assert examine.configs[-1].folder_A == folders[0]
    wizard.go_on()
    assert wizard.doctor.isVisible()
    wizard.button("leave_out_all").click()
    wizard.go_on()
    wizard.go_on()
    assert "3 and 4 pictures" in wizard.text("summary_sentence")
    wizard.go_on()
    assert wizard.started[0].left_out == out


def test_nobody_waits_for_the_doctor(
    wizard: Wizard, folders: tuple[Path, Path], examine: FakeExamination, qtbot: QtBot
) -> None:
    examine.lasts_for_ever = True
    wizard.dialog.set_folders(list(folders))
    qtbot.waitUntil(lambda: "3 of 9" in wizard.text("doctor_line") or "4 of 9" in wizard.text("doctor_line"))
    for _ in range(3):
        wizard.go_on()
    assert wizard.started and not wizard.started[0].left_out
    qtbot.waitUntil(examine.closed.is_set)


def test_what_no_training_can_begin_with_blocks_like_any_error(
    wizard: Wizard, folders: tuple[Path, Path], examine: FakeExamination
) -> None:
    examine.findings = [Finding("too_few", "stop", ("B",), "Oranges has no picture that can be read.")]
    wizard.dialog.set_folders(list(folders))
    wizard.wait_for_error("folder_B", "no picture that can be read")


def test_leaving_out_too_much_blocks_and_can_be_taken_back(
    wizard: Wizard, folders: tuple[Path, Path], examine: FakeExamination, qtbot: QtBot
) -> None:
    out = tuple(folders[1].iterdir())
    examine.findings = [Finding("same", "warning", ("B",), "Copies.", out, leave_out=out)]
    wizard.dialog.set_folders(list(folders))
    qtbot.waitUntil(lambda: bool(wizard.doctor.findings))
    wizard.go_on()
    wizard.button("leave_out_all").click()
    assert "Too much is left out" in wizard.text("error_left_out")
    assert not wizard.button("wizard_next").isEnabled()
    wizard.button("leave_out_none").click()
    qtbot.waitUntil(wizard.button("wizard_next").isEnabled)


def test_other_folders_are_examined_anew_and_other_settings_with_what_is_remembered(
    wizard: Wizard, folders: tuple[Path, Path], examine: FakeExamination, qtbot: QtBot, make_pictures: MakePictures
) -> None:
    wizard.dialog.set_folders(list(folders))
    qtbot.waitUntil(lambda: "nothing to complain about" in wizard.text("doctor_line"))
    wizard.go_on()
    wizard.spin("size").setValue(96)
    qtbot.waitUntil(lambda: examine.configs[-1].size == 96)
    wizard.go_back()
    other = make_pictures(folders[0].parent / "pears", 3)
    drop(wizard.well("B"), other)
    qtbot.waitUntil(lambda: examine.configs[-1].folder_B == other)


def test_settings_to_be_corrected_keep_what_is_left_out(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    out = (min(folders[0].iterdir()),)
    config = preset_config(
        "quick", folder_A=folders[0], folder_B=folders[1], run=tmp_path / "run", name_B="Oranges", left_out=out
    )
    wizard.dialog.set_config(config)
    for _ in range(3):
        wizard.go_on()
    assert wizard.started[0].left_out == out
