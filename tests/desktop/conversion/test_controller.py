"""What happens on the Convert page: one batch, from its pictures to its results."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QComboBox, QLineEdit

from cyclegan_desktop.conversion.file_list import FileState
from cyclegan_desktop.conversion.sources import Found
from engine.config import ConvertJob
from engine.errors import ConfigError, ModelFileError
from engine.events import Converted, ConvertingFile, ConvertPlanned, FileFailed, Notice, Preparing
from tests.desktop.conversion.acts import add, button, convert, hold, label, states

DONE, FAILED, SKIPPED = FileState.DONE, FileState.FAILED, FileState.SKIPPED
PENDING, CANCELED = FileState.PENDING, FileState.CANCELED


# Converting


def test_states_follow_the_conversion_and_a_bad_file_does_not_stop_it(page, controller, converter, pictures, qtbot):
    add(qtbot, controller, pictures)
    busy: list[bool] = []
    controller.busy_changed.connect(busy.append)
    assert convert(qtbot, controller) == "done"
    assert list(states(page).values()) == [DONE, DONE, FAILED, DONE]
    assert busy == [True, False]
    assert label(page, "convert_status").text() == "3 converted  ·  1 failed  ·  by PyTorch"
    rows = page.list.files.rows
    assert rows[2].text == "bad.png is empty. Copy it again."
    assert rows[1].text == "Only the first of 12 frames was converted."
    assert rows[0].target == pictures.parent / "Photos - Oranges" / "a.png"
    assert QApplication.activeModalWidget() is None


def test_the_job_says_what_the_page_says(page, controller, converter, pictures, qtbot, tmp_path):
    add(qtbot, controller, pictures)
    controller.set_direction("b2a")
    controller.set_output_folder(tmp_path / "Results")
    page.findChild(QComboBox, "convert_format").setCurrentText("WebP")
    page.findChild(QComboBox, "convert_size").setCurrentText("Longest side")
    page.findChild(object, "convert_longest").setValue(500)
    page.findChild(QComboBox, "convert_device").setCurrentText("CPU")
    convert(qtbot, controller)
    assert converter.jobs == [
        ConvertJob(
            model=tmp_path / "apple run" / "model.safetensors",
            sources=tuple(pictures / name for name in ("a.png", "b.gif", "bad.png", "sub/c.png")),
            to=tmp_path / "Results",
            direction="b2a",
            format="webp",
            resize=500,
            device="cpu",
            roots=(pictures,),
        )
    ]


def test_while_it_runs_the_button_cancels_and_the_settings_are_fixed(page, controller, converter, pictures, qtbot):
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "bad.png")
    qtbot.waitUntil(lambda: page.list.files.rows[2].state is FileState.IN_PROGRESS)
    assert button(page, "convert_button").text() == "&Cancel"
    assert not page.findChild(QLineEdit, "convert_output").isEnabled()
    assert controller.is_busy
    qtbot.waitUntil(lambda: label(page, "convert_status").text().startswith("Converted 2 of 4"))
    controller.remove([0])
    controller.clear()
    assert len(states(page)) == 4


def test_what_is_not_done_at_cancel_is_canceled_and_only_that_is_converted_again(
    page, controller, converter, pictures, qtbot
):
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "bad.png")
    qtbot.mouseClick(button(page, "convert_button"), Qt.MouseButton.LeftButton)
    assert button(page, "convert_button").text() == "Stopping..."
    assert not button(page, "convert_button").isEnabled()
    with qtbot.waitSignal(controller.ended) as ended:
        converter.go.set()
    assert ended.args == ["stopped"]
    # The picture under way was finished: the converter is closed between pictures.
    assert list(states(page).values()) == [DONE, DONE, FAILED, CANCELED]
    assert label(page, "convert_status").text() == "2 converted  ·  1 failed  ·  1 canceled  ·  by PyTorch"
    assert button(page, "convert_button").text() == "Con&vert"

    assert convert(qtbot, controller) == "done"
    assert [source.name for source in converter.jobs[1].sources] == ["bad.png", "c.png"]
    assert list(states(page).values()) == [DONE, DONE, FAILED, DONE]


def test_retry_converts_only_what_failed_and_keeps_its_place(page, controller, converter, pictures, tmp_path, qtbot):
    other = tmp_path / "Scans"
    other.mkdir()
    Image.new("RGB", (8, 8)).save(other / "a.png")
    add(qtbot, controller, pictures, other)
    convert(qtbot, controller)
    retry = button(page, "convert_retry")
    assert retry.isVisibleTo(page)
    (pictures / "bad.png").write_bytes((pictures / "a.png").read_bytes())
    with qtbot.waitSignal(controller.ended):
        qtbot.mouseClick(retry, Qt.MouseButton.LeftButton)
    job = converter.jobs[1]
    assert job.sources == (pictures / "bad.png",)
    # Both folders are named, so that the result goes into the same subfolder as the rest.
    assert job.roots == (pictures, other)
    assert set(states(page).values()) == {DONE}
    assert not retry.isVisibleTo(page)
    assert label(page, "convert_status").text() == "1 converted  ·  by PyTorch"


def test_removed_rows_are_not_converted(page, controller, converter, pictures, qtbot):
    add(qtbot, controller, pictures)
    page.list.select(1)
    qtbot.keyClick(page.list, Qt.Key.Key_Delete)
    assert label(page, "convert_count").text() == "3 pictures"
    convert(qtbot, controller)
    assert [source.name for source in converter.jobs[0].sources] == ["a.png", "bad.png", "c.png"]


def test_nothing_is_converted_twice_with_the_same_settings(page, controller, converter, pictures, qtbot):
    add(qtbot, controller, pictures / "sub")
    convert(qtbot, controller)
    controller.start()
    assert len(converter.jobs) == 1 and not controller.is_busy
    assert page.offer.text.startswith("1 picture is converted already")
    controller.set_direction("b2a")
    assert page.offer.text == ""
    convert(qtbot, controller)
    assert [job.direction for job in converter.jobs] == ["a2b", "b2a"]


def test_what_is_converted_already_can_be_made_anew(page, controller, converter, pictures, qtbot):
    add(qtbot, controller, pictures / "sub")
    convert(qtbot, controller)
    controller.start()
    with qtbot.waitSignal(controller.ended):
        qtbot.mouseClick(button(page, "convert_offer_0"), Qt.MouseButton.LeftButton)
    assert [job.again for job in converter.jobs] == [False, True]
    assert page.offer.text == "" and states(page) == {"c.png": DONE}


def test_results_of_an_earlier_run_are_skipped_and_still_compared(page, controller, converter, pictures, qtbot):
    page.show()
    add(qtbot, controller, pictures)
    convert(qtbot, controller)
    controller.clear()
    converter.has_ledger = True
    add(qtbot, controller, pictures)
    convert(qtbot, controller)
    assert list(states(page).values()) == [SKIPPED, SKIPPED, FAILED, SKIPPED]
    assert label(page, "convert_status").text() == "0 converted  ·  3 skipped  ·  1 failed"
    controller.show_comparison(0)
    qtbot.waitUntil(lambda: page.comparison.view.after is not None)
    assert page.offer.text.startswith("3 pictures are converted already")
    with qtbot.waitSignal(controller.ended):
        qtbot.mouseClick(button(page, "convert_offer_0"), Qt.MouseButton.LeftButton)
    assert [source.name for source in converter.jobs[-1].sources] == ["a.png", "b.gif", "c.png"]
    assert list(states(page).values()) == [DONE, DONE, FAILED, DONE]


def test_convert_pressed_while_folders_are_looked_through_begins_afterwards(
    page, make_controller, converter, settings, pictures, qtbot
):
    settings.library = [Path("/apple")]
    go = threading.Event()

    def look(_paths):
        assert go.wait(20)
        yield Found((pictures / "a.png",), pictures)

    controller = make_controller(look=look)
    controller.add_sources([pictures])
    controller.start()
    assert converter.jobs == []
    with qtbot.waitSignal(controller.ended):
        go.set()
    assert states(page) == {"a.png": DONE}


def test_convert_pressed_too_early_can_be_taken_back(page, make_controller, converter, settings, pictures, qtbot):
    settings.library = [Path("/apple")]
    go = threading.Event()

    def look(_paths):
        assert go.wait(20)
        yield Found((pictures / "a.png",), pictures)

    controller = make_controller(look=look)
    controller.add_sources([pictures])
    controller.start()
    qtbot.mouseClick(button(page, "convert_button"), Qt.MouseButton.LeftButton)
    go.set()
    qtbot.waitUntil(lambda: not controller.is_looking)
    assert converter.jobs == [] and states(page) == {"a.png": PENDING}


def test_every_event_is_passed_on(page, controller, pictures, qtbot):
    events: list[object] = []
    controller.event.connect(events.append)
    add(qtbot, controller, pictures)
    convert(qtbot, controller)
    assert [type(event) for event in events if isinstance(event, ConvertPlanned | Converted | FileFailed)] == [
        ConvertPlanned,
        Converted,
        Converted,
        FileFailed,
        Converted,
    ]


def test_notices_of_the_engine_are_shown(page, make_controller, settings, pictures, qtbot):
    settings.library = [Path("/apple")]

    def convert_with_notice(job):
        yield Notice("The GPU is busy, so the CPU is used.")

    controller = make_controller(convert=convert_with_notice)
    add(qtbot, controller, pictures)
    convert(qtbot, controller)
    assert page.messages.texts == ["The GPU is busy, so the CPU is used."]


def test_while_a_large_picture_takes_long_the_count_stays_in_sight(page, make_controller, settings, pictures, qtbot):
    settings.library = [Path("/apple")]
    go = threading.Event()

    def convert_slowly(job):
        yield ConvertPlanned(job.sources, 0, job.to, "CPU", "fp32")
        yield ConvertingFile(0, job.sources[0])
        yield Preparing("Translating a.png", 0, len(job.sources))
        assert go.wait(20)

    controller = make_controller(convert=convert_slowly)
    add(qtbot, controller, pictures)
    with qtbot.waitSignal(controller.ended):
        with qtbot.waitSignal(controller.event, check_params_cb=lambda event: isinstance(event, Preparing)):
            controller.start()
        assert "Translating" not in label(page, "convert_status").text()
        qtbot.waitUntil(lambda: label(page, "convert_status").text() == "Converted 0 of 4")
        go.set()


# What goes wrong


def test_without_a_model_nothing_begins_and_the_page_says_why(page, make_controller, converter, pictures, qtbot):
    controller = make_controller()
    add(qtbot, controller, pictures)
    assert not button(page, "convert_button").isEnabled()
    controller.start()
    assert label(page, "convert_model_error").text().startswith("Choose a model first")
    assert converter.jobs == []


@pytest.mark.parametrize("inside", ["", "Results", "sub/Results"])
def test_an_output_folder_among_the_sources_is_refused(page, controller, converter, pictures, qtbot, inside):
    add(qtbot, controller, pictures)
    controller.set_output_folder(pictures / inside)
    error = label(page, "convert_output_error")
    assert error.isVisibleTo(page)
    assert f"inside {pictures}" in error.text()
    assert page.messages.texts == []
    qtbot.mouseClick(button(page, "convert_button"), Qt.MouseButton.LeftButton)
    assert converter.jobs == [] and error.isVisibleTo(page)
    # The field is far from the button: what is pressed is answered where the eye is.
    assert f"inside {pictures}" in page.messages.texts[0]
    controller.set_output_folder(pictures.parent / "Results")
    assert not error.isVisibleTo(page) and page.messages.texts == []


def test_an_output_folder_needs_its_whole_path(page, controller, converter, pictures, qtbot):
    add(qtbot, controller, pictures)
    field = page.findChild(QLineEdit, "convert_output")
    field.selectAll()
    qtbot.keyClicks(field, "Results")
    qtbot.mouseClick(button(page, "convert_button"), Qt.MouseButton.LeftButton)
    assert "whole path" in label(page, "convert_output_error").text()
    assert converter.jobs == []
    page.options.output_picked.emit("~nobody-of-this-name/x")
    assert "whole path" in label(page, "convert_output_error").text()


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (ConfigError("to", "There is no space left."), "convert_output_error"),
        (ConfigError("device", "There is no NVIDIA GPU."), "convert_more_error"),
    ],
)
def test_a_conversion_that_fails_as_a_whole_says_so_on_the_page(
    page, controller, converter, pictures, qtbot, error, where
):
    converter.error = error
    add(qtbot, controller, pictures)
    assert convert(qtbot, controller) == "failed"
    assert label(page, where).isVisibleTo(page)
    assert label(page, where).text() == str(error)
    assert set(states(page).values()) == {PENDING}
    converter.error = None
    assert convert(qtbot, controller) == "done"
    assert not label(page, where).isVisibleTo(page)


def test_a_conversion_that_fails_for_no_setting_says_so_in_a_message(page, controller, converter, pictures, qtbot):
    converter.error = ModelFileError("The model is damaged.")
    add(qtbot, controller, pictures)
    assert convert(qtbot, controller) == "failed"
    assert page.messages.texts == ["The model is damaged."]
    assert button(page, "copy_details") is None
    converter.error = None
    assert convert(qtbot, controller) == "done"
    assert page.messages.texts == []


def test_a_bug_can_be_copied(page, controller, converter, pictures, qtbot):
    converter.error = ZeroDivisionError("division by zero")
    add(qtbot, controller, pictures)
    assert convert(qtbot, controller) == "failed"
    qtbot.mouseClick(button(page, "copy_details"), Qt.MouseButton.LeftButton)
    assert "ZeroDivisionError: division by zero" in QApplication.clipboard().text()


# Model, direction, output folder


def test_directions_are_named_by_the_model(page, controller, tmp_path):
    assert button(page, "convert_a2b").text() == "Apples to Oranges"
    assert button(page, "convert_b2a").text() == "Oranges to Apples"
    controller.set_model(tmp_path / "horse.safetensors")
    assert button(page, "convert_a2b").text().startswith("Horses && foals to <b>")
    assert "&lt;b&gt;Zebras&lt;/b&gt;" in button(page, "convert_a2b").toolTip()


def test_a_click_changes_the_direction_and_with_it_the_output_folder(page, controller, pictures, settings, qtbot):
    add(qtbot, controller, pictures)
    field = page.findChild(QLineEdit, "convert_output")
    assert field.text() == str(pictures.parent / "Photos - Oranges")
    qtbot.mouseClick(button(page, "convert_b2a"), Qt.MouseButton.LeftButton)
    assert field.text() == str(pictures.parent / "Photos - Apples")
    assert settings.last_direction == "b2a"
    qtbot.mouseClick(page.findChild(object, "convert_swap"), Qt.MouseButton.LeftButton)
    assert button(page, "convert_a2b").isChecked()


def test_single_pictures_go_into_a_folder_beside_them(page, controller, pictures, qtbot):
    add(qtbot, controller, pictures / "a.png")
    assert controller.output_folder == pictures / "Oranges"


def test_a_folder_within_another_does_not_put_the_output_into_it(page, controller, pictures, qtbot):
    add(qtbot, controller, pictures / "sub", pictures)
    assert controller.output_folder == pictures.parent / "Photos - Oranges"


def test_a_chosen_output_folder_is_kept_until_it_is_given_back(page, controller, pictures, settings, tmp_path, qtbot):
    add(qtbot, controller, pictures)
    controller.set_output_folder(tmp_path / "Results")
    controller.set_direction("b2a")
    assert controller.output_folder == tmp_path / "Results" == settings.output_folder
    beside = page.findChild(object, "convert_output_beside")
    assert beside.isVisibleTo(page)
    qtbot.mouseClick(beside, Qt.MouseButton.LeftButton)
    assert controller.output_folder == tmp_path / "Photos - Apples"
    assert settings.output_folder is None and not beside.isVisibleTo(page)


def test_choices_are_remembered(page, controller, settings, tmp_path):
    controller.set_model(tmp_path / "horse run")
    controller.set_direction("b2a")
    controller.set_output_folder(tmp_path / "Results")
    again = type(settings).load(settings.path)
    assert again.last_model == tmp_path / "horse run" / "model.safetensors"
    assert (again.last_direction, again.output_folder) == ("b2a", tmp_path / "Results")


# Afterwards


def test_the_summary_stands_until_something_is_changed(page, controller, pictures, settings, tmp_path, qtbot):
    add(qtbot, controller, pictures)
    convert(qtbot, controller)
    settings.library.append(tmp_path / "horse run")
    controller.refresh_models()
    assert label(page, "convert_status").text() == "3 converted  ·  1 failed  ·  by PyTorch"
    controller.set_direction("b2a")
    assert label(page, "convert_status").text() == "Ready to convert 4 pictures"


def test_the_output_folder_can_be_opened_once_there_is_one(page, controller, pictures, qtbot, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr(
        "cyclegan_desktop.conversion.page.QDesktopServices.openUrl", lambda url: bool(opened.append(url.toLocalFile()))
    )
    add(qtbot, controller, pictures)
    assert not button(page, "convert_open_output").isVisibleTo(page)
    convert(qtbot, controller)
    qtbot.mouseClick(button(page, "convert_open_output"), Qt.MouseButton.LeftButton)
    results = str(pictures.parent / "Photos - Oranges")
    assert opened == [results]
    # No file manager answered: then the page says where they are.
    assert results in page.messages.texts[0]
