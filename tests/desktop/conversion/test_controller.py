from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QLineEdit, QPushButton

from cyclegan_desktop.conversion.file_list import FileState
from cyclegan_desktop.conversion.sources import Found
from engine.config import ConvertJob
from engine.errors import ConfigError, ModelFileError
from engine.events import Converted, ConvertingFile, ConvertPlanned, FileFailed, Notice, Preparing

DONE, FAILED, SKIPPED = FileState.DONE, FileState.FAILED, FileState.SKIPPED
PENDING, CANCELED = FileState.PENDING, FileState.CANCELED


def states(page) -> dict[str, FileState]:
    files = page.list.files
    return {files.shown_name(number): row.state for number, row in enumerate(files.rows)}


def label(page, name: str) -> QLabel:
    return page.findChild(QLabel, name)


def button(page, name: str) -> QPushButton:
    return page.findChild(QPushButton, name)


def invites(page) -> bool:
    """Whether the invitation to drop pictures is shown."""
    return page.findChild(object, "drop_invitation").isVisibleTo(page)


def add(qtbot, page, controller, *paths: Path) -> None:
    """Add files and folders, and wait until they are looked through."""
    controller.add_sources(list(paths))
    qtbot.waitUntil(lambda: not controller.is_looking)


def convert(qtbot, controller) -> str:
    """Press Convert and wait for the end.

    Returns:
        How it ended.
    """
    with qtbot.waitSignal(controller.ended, timeout=20_000) as ended:
        controller.start()
    return ended.args[0]


def convert_until(qtbot, controller, converter, name: str) -> None:
    """Begin, and wait until the converter holds before the picture `name`."""
    converter.hold_before = name
    controller.start()
    qtbot.waitUntil(converter.waiting.is_set)


# What to convert


def test_a_real_drop_of_a_folder_and_a_file_fills_the_list(page, controller, pictures, tmp_path, qtbot):
    single = tmp_path / "single.png"
    Image.new("RGB", (8, 8)).save(single)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in (pictures, single, single)])
    how = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(page.drop_area, QDragEnterEvent(QPoint(50, 50), *how))
    QApplication.sendEvent(page.drop_area, QDropEvent(QPointF(50, 50), *how))
    qtbot.waitUntil(lambda: not controller.is_looking)
    names = ["a.png", "b.gif", "bad.png", str(Path("sub/c.png")), "single.png"]
    assert list(states(page)) == names
    assert label(page, "convert_count").text() == "5 pictures"
    assert label(page, "convert_others").text() == "2 other files left alone"
    assert not invites(page)


def test_the_same_folder_dropped_twice_counts_once(page, controller, pictures, qtbot):
    add(qtbot, page, controller, pictures)
    add(qtbot, page, controller, pictures, pictures / "sub", pictures / "a.png")
    assert len(states(page)) == 4
    assert label(page, "convert_others").text() == "2 other files left alone"


def test_a_folder_without_pictures_and_a_missing_file_are_said(page, controller, tmp_path, qtbot):
    folder = tmp_path / "<b>Letters"
    folder.mkdir()
    (folder / "letter.txt").touch()
    add(qtbot, page, controller, folder, tmp_path / "gone.png")
    assert page.messages.isVisibleTo(page)
    no_pictures, not_there = page.messages.texts
    assert "<b>Letters holds no pictures, only other files (1)." in no_pictures
    assert "gone.png is not there." in not_there
    assert invites(page)
    assert not button(page, "convert_button").isEnabled()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="Names are text there.")
def test_a_name_that_is_no_text_is_listed_and_converted(page, controller, converter, tmp_path, qtbot):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    path.write_bytes(b"picture")
    mime = QMimeData()
    mime.setData("text/uri-list", f"file://{tmp_path}/%FF.png\r\n".encode())
    how = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(page.drop_area, QDragEnterEvent(QPoint(50, 50), *how))
    QApplication.sendEvent(page.drop_area, QDropEvent(QPointF(50, 50), *how))
    qtbot.waitUntil(lambda: not controller.is_looking)
    convert(qtbot, controller)
    controller.show_comparison(0)
    assert converter.jobs[0].sources == (path,)
    assert page.list.files.data(page.list.files.index(0, 0)) == "\ufffd.png"


def test_a_bug_while_looking_for_pictures_is_told(page, make_controller, qtbot):
    def look(_paths):
        yield Found((Path("/photos/a.png"),), Path("/photos"))
        raise ZeroDivisionError

    controller = make_controller(look=look)
    add(qtbot, page, controller, Path("/photos"))
    assert page.messages.texts[0].startswith("Something unexpected happened")
    assert button(page, "copy_details").isVisibleTo(page)
    assert list(states(page)) == ["a.png"]


def test_a_hundred_thousand_files_come_in_few_steps(page, make_controller, settings, qtbot):
    settings.library = [Path("/apple")]
    root = Path("/many")

    def look(_paths):
        for start in range(0, 100_000, 5000):
            yield Found(tuple(root / f"{number}.png" for number in range(start, start + 5000)), root)

    controller = make_controller(look=look)
    inserted: list[int] = []
    page.list.files.rowsInserted.connect(lambda _parent, first, last: inserted.append(last - first + 1))
    widgets = len(page.findChildren(object))
    controller.add_sources([root])
    qtbot.waitUntil(lambda: not controller.is_looking, timeout=60_000)
    assert inserted == [5000] * 20
    assert len(page.findChildren(object)) <= widgets + 10
    assert label(page, "convert_count").text() == "100,000 pictures"


def test_clearing_while_folders_are_looked_through_leaves_nothing(page, make_controller, qtbot):
    go, started = threading.Event(), threading.Event()

    def look(_paths):
        yield Found((Path("/photos/a.png"),), Path("/photos"))
        started.set()
        assert go.wait(20)
        yield Found((Path("/photos/b.png"),), Path("/photos"))

    controller = make_controller(look=look)
    controller.add_sources([Path("/photos")])
    qtbot.waitUntil(started.is_set)
    controller.clear()
    go.set()
    qtbot.waitUntil(lambda: not controller.is_looking)
    assert states(page) == {}
    add(qtbot, page, controller, Path("/photos"))
    assert list(states(page)) == ["a.png", "b.png"]


# Converting


def test_states_follow_the_conversion_and_a_bad_file_does_not_stop_it(page, controller, converter, pictures, qtbot):
    add(qtbot, page, controller, pictures)
    busy: list[bool] = []
    controller.busy_changed.connect(busy.append)
    assert convert(qtbot, controller) == "done"
    assert list(states(page).values()) == [DONE, DONE, FAILED, DONE]
    assert busy == [True, False]
    assert label(page, "convert_status").text() == "3 converted  ·  1 failed"
    rows = page.list.files.rows
    assert rows[2].text == "bad.png is empty. Copy it again."
    assert rows[1].text == "Only the first of 12 frames was converted."
    assert rows[0].target == pictures.parent / "Photos - Oranges" / "a.png"
    assert QApplication.activeModalWidget() is None


def test_the_job_says_what_the_page_says(page, controller, converter, pictures, qtbot, tmp_path):
    add(qtbot, page, controller, pictures)
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
    add(qtbot, page, controller, pictures)
    convert_until(qtbot, controller, converter, "bad.png")
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
    add(qtbot, page, controller, pictures)
    convert_until(qtbot, controller, converter, "bad.png")
    qtbot.mouseClick(button(page, "convert_button"), Qt.MouseButton.LeftButton)
    assert button(page, "convert_button").text() == "Stopping..."
    assert not button(page, "convert_button").isEnabled()
    with qtbot.waitSignal(controller.ended) as ended:
        converter.go.set()
    assert ended.args == ["stopped"]
    # The picture under way was finished: the converter is closed between pictures.
    assert list(states(page).values()) == [DONE, DONE, FAILED, CANCELED]
    assert label(page, "convert_status").text() == "2 converted  ·  1 failed  ·  1 canceled"
    assert button(page, "convert_button").text() == "Con&vert"

    assert convert(qtbot, controller) == "done"
    assert [source.name for source in converter.jobs[1].sources] == ["bad.png", "c.png"]
    assert list(states(page).values()) == [DONE, DONE, FAILED, DONE]


def test_retry_converts_only_what_failed_and_keeps_its_place(page, controller, converter, pictures, tmp_path, qtbot):
    other = tmp_path / "Scans"
    other.mkdir()
    Image.new("RGB", (8, 8)).save(other / "a.png")
    add(qtbot, page, controller, pictures, other)
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
    assert label(page, "convert_status").text() == "1 converted"


def test_removed_rows_are_not_converted(page, controller, converter, pictures, qtbot):
    add(qtbot, page, controller, pictures)
    page.list.select(1)
    qtbot.keyClick(page.list, Qt.Key.Key_Delete)
    assert label(page, "convert_count").text() == "3 pictures"
    convert(qtbot, controller)
    assert [source.name for source in converter.jobs[0].sources] == ["a.png", "bad.png", "c.png"]


def test_nothing_is_converted_twice_with_the_same_settings(page, controller, converter, pictures, qtbot):
    add(qtbot, page, controller, pictures / "sub")
    convert(qtbot, controller)
    controller.start()
    assert len(converter.jobs) == 1 and not controller.is_busy
    assert page.offer.text.startswith("1 picture is converted already")
    controller.set_direction("b2a")
    assert page.offer.text == ""
    convert(qtbot, controller)
    assert [job.direction for job in converter.jobs] == ["a2b", "b2a"]


def test_what_is_converted_already_can_be_made_anew(page, controller, converter, pictures, qtbot):
    add(qtbot, page, controller, pictures / "sub")
    convert(qtbot, controller)
    controller.start()
    with qtbot.waitSignal(controller.ended):
        qtbot.mouseClick(button(page, "convert_offer_0"), Qt.MouseButton.LeftButton)
    assert [job.again for job in converter.jobs] == [False, True]
    assert page.offer.text == "" and states(page) == {"c.png": DONE}


def test_results_of_an_earlier_run_are_skipped_and_still_compared(page, controller, converter, pictures, qtbot):
    page.show()
    add(qtbot, page, controller, pictures)
    convert(qtbot, controller)
    controller.clear()
    converter.has_ledger = True
    add(qtbot, page, controller, pictures)
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


def test_pictures_dropped_while_it_runs_open_a_new_batch(page, controller, converter, pictures, tmp_path, qtbot):
    later = tmp_path / "later.png"
    Image.new("RGB", (8, 8)).save(later)
    add(qtbot, page, controller, pictures)
    convert_until(qtbot, controller, converter, "bad.png")
    add(qtbot, page, controller, later)
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    assert states(page) == {"later.png": PENDING}
    assert [line.name for line in page.queue.lines] == ["Photos, Apples to Oranges", "later.png, Apples to Oranges"]
    controller.show_batch(controller.batches[0])
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
    add(qtbot, page, controller, pictures)
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
    add(qtbot, page, controller, pictures)
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
    add(qtbot, page, controller, pictures)
    with qtbot.waitSignal(controller.ended):
        with qtbot.waitSignal(controller.event, check_params_cb=lambda event: isinstance(event, Preparing)):
            controller.start()
        assert "Translating" not in label(page, "convert_status").text()
        qtbot.waitUntil(lambda: label(page, "convert_status").text() == "Converted 0 of 4")
        go.set()


# What goes wrong


def test_a_file_that_is_no_model_is_a_message_and_the_model_stays(page, controller, pictures, tmp_path, qtbot):
    controller.add_sources([tmp_path / "letter.safetensors"])
    assert "letter.safetensors is no model file" in page.messages.texts[0]
    box = page.findChild(QComboBox, "convert_model")
    assert box.currentText().startswith("apple run") and not box.property("invalid")
    assert not label(page, "convert_model_error").isVisibleTo(page)
    add(qtbot, page, controller, pictures)
    assert page.messages.texts == []


def test_a_message_about_a_model_goes_with_the_next_choice(page, controller, tmp_path):
    for choose in (
        lambda: controller.set_model(tmp_path / "horse.safetensors"),
        lambda: controller.set_direction("b2a"),
        lambda: controller.set_output_folder(tmp_path / "Results"),
    ):
        controller.set_model(tmp_path / "letter.safetensors")
        assert len(page.messages.texts) == 1
        choose()
        assert page.messages.texts == []


def test_single_files_that_are_no_pictures_are_named_and_not_listed(page, controller, tmp_path, qtbot):
    notes, letter = (tmp_path / name for name in ("notes.txt", "letter.doc"))
    for path in (notes, letter):
        path.touch()
    add(qtbot, page, controller, notes)
    remedy = "Add pictures such as JPEG, PNG, WebP or TIFF."
    assert page.messages.texts == [f"notes.txt is no picture that can be converted. {remedy}"]
    add(qtbot, page, controller, notes, letter)
    assert page.messages.texts == [f"notes.txt and 1 other file are no pictures that can be converted. {remedy}"]
    assert states(page) == {} and not button(page, "convert_button").isEnabled()


def test_a_video_is_turned_down_politely(page, controller, tmp_path, qtbot):
    film, notes = tmp_path / "Holiday.MP4", tmp_path / "notes.txt"
    for path in (film, notes):
        path.touch()
    add(qtbot, page, controller, film, notes)
    assert page.messages.texts[0].startswith("Holiday.MP4 is a video")
    assert page.messages.texts[1].startswith("notes.txt is no picture")


def test_weights_of_the_reference_are_handed_on_to_be_imported(page, controller, pictures, tmp_path, qtbot):
    weights = [tmp_path / "horse2zebra.pth", tmp_path / "old.PT"]
    with qtbot.waitSignal(controller.import_requested) as asked:
        controller.add_sources(weights)
    assert asked.args == [weights]
    with qtbot.waitSignal(controller.import_requested) as asked:
        add(qtbot, page, controller, weights[0], pictures / "a.png")
    assert asked.args == [weights[:1]]
    assert list(states(page)) == ["a.png"]
    with qtbot.waitSignal(controller.import_requested) as asked:
        page.options.model_opened.emit(weights[0])
    assert asked.args == [weights[:1]]
    assert page.messages.texts == []


def test_of_a_model_of_one_direction_only_that_one_can_be_chosen(
    page, controller, converter, pictures, settings, qtbot, tmp_path
):
    hint = label(page, "convert_only_direction")
    controller.set_direction("b2a")
    controller.set_model(tmp_path / "one-way horse.safetensors")
    assert button(page, "convert_a2b").isEnabled() and button(page, "convert_a2b").isChecked()
    assert not button(page, "convert_b2a").isEnabled() and not button(page, "convert_b2a").isChecked()
    assert not page.findChild(object, "convert_swap").isEnabled()
    assert hint.isVisibleTo(page)
    assert hint.text() == "This model holds Horses & foals to <b>Zebras</b> only."
    assert "only" in button(page, "convert_b2a").toolTip()
    page.options.direction_picked.emit("b2a")
    add(qtbot, page, controller, pictures / "a.png")
    assert convert(qtbot, controller) == "done"
    assert converter.jobs[-1].direction == "a2b"
    # The wish is remembered for models that can do both.
    controller.set_model(tmp_path / "apple.safetensors")
    assert button(page, "convert_b2a").isChecked() and settings.last_direction == "b2a"
    assert button(page, "convert_a2b").isEnabled() and not hint.isVisibleTo(page)


def test_without_a_model_nothing_begins_and_the_page_says_why(page, make_controller, converter, pictures, qtbot):
    controller = make_controller()
    add(qtbot, page, controller, pictures)
    assert not button(page, "convert_button").isEnabled()
    controller.start()
    assert label(page, "convert_model_error").text().startswith("Choose a model first")
    assert converter.jobs == []


@pytest.mark.parametrize("inside", ["", "Results", "sub/Results"])
def test_an_output_folder_among_the_sources_is_refused(page, controller, converter, pictures, qtbot, inside):
    add(qtbot, page, controller, pictures)
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
    add(qtbot, page, controller, pictures)
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
    add(qtbot, page, controller, pictures)
    assert convert(qtbot, controller) == "failed"
    assert label(page, where).isVisibleTo(page)
    assert label(page, where).text() == str(error)
    assert set(states(page).values()) == {PENDING}
    converter.error = None
    assert convert(qtbot, controller) == "done"
    assert not label(page, where).isVisibleTo(page)


def test_a_conversion_that_fails_for_no_setting_says_so_in_a_message(page, controller, converter, pictures, qtbot):
    converter.error = ModelFileError("The model is damaged.")
    add(qtbot, page, controller, pictures)
    assert convert(qtbot, controller) == "failed"
    assert page.messages.texts == ["The model is damaged."]
    assert button(page, "copy_details") is None
    converter.error = None
    assert convert(qtbot, controller) == "done"
    assert page.messages.texts == []


def test_a_bug_can_be_copied(page, controller, converter, pictures, qtbot):
    converter.error = ZeroDivisionError("division by zero")
    add(qtbot, page, controller, pictures)
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
    add(qtbot, page, controller, pictures)
    field = page.findChild(QLineEdit, "convert_output")
    assert field.text() == str(pictures.parent / "Photos - Oranges")
    qtbot.mouseClick(button(page, "convert_b2a"), Qt.MouseButton.LeftButton)
    assert field.text() == str(pictures.parent / "Photos - Apples")
    assert settings.last_direction == "b2a"
    qtbot.mouseClick(page.findChild(object, "convert_swap"), Qt.MouseButton.LeftButton)
    assert button(page, "convert_a2b").isChecked()


def test_single_pictures_go_into_a_folder_beside_them(page, controller, pictures, qtbot):
    add(qtbot, page, controller, pictures / "a.png")
    assert controller.output_folder == pictures / "Oranges"


def test_a_folder_within_another_does_not_put_the_output_into_it(page, controller, pictures, qtbot):
    add(qtbot, page, controller, pictures / "sub", pictures)
    assert controller.output_folder == pictures.parent / "Photos - Oranges"


def test_a_chosen_output_folder_is_kept_until_it_is_given_back(page, controller, pictures, settings, tmp_path, qtbot):
    add(qtbot, page, controller, pictures)
    controller.set_output_folder(tmp_path / "Results")
    controller.set_direction("b2a")
    assert controller.output_folder == tmp_path / "Results" == settings.output_folder
    beside = page.findChild(object, "convert_output_beside")
    assert beside.isVisibleTo(page)
    qtbot.mouseClick(beside, Qt.MouseButton.LeftButton)
    assert controller.output_folder == tmp_path / "Photos - Apples"
    assert settings.output_folder is None and not beside.isVisibleTo(page)


def test_models_of_the_library_are_offered_and_others_left_out(page, make_controller, settings, tmp_path):
    settings.library = [tmp_path / "run of horses" / "horse", tmp_path / "empty run", tmp_path / "apple.safetensors"]
    make_controller()
    box = page.findChild(QComboBox, "convert_model")
    assert [box.itemText(place) for place in range(box.count())] == [
        "horse (Horses & foals and <b>Zebras</b>, 64 px)",
        "apple (Apples and Oranges, 64 px)",
    ]
    assert box.currentIndex() == 0


def test_the_model_of_a_moment_shows_its_step_and_stays_offered(page, controller, tmp_path):
    moment = tmp_path / "apple run" / "moments" / "step_00001250.safetensors"
    controller.set_model(moment)
    box = page.findChild(QComboBox, "convert_model")
    assert box.currentText() == "apple run, step 1,250 (Apples and Oranges, 64 px)"
    controller.set_model(tmp_path / "apple run")
    assert box.currentText() == "apple run (Apples and Oranges, 64 px)"
    assert [box.itemText(place) for place in range(box.count())][1].startswith("apple run, step 1,250")


def test_the_starter_model_is_chosen_at_the_first_start(page, make_controller, settings, tmp_path, read_model):
    starter = tmp_path / "resources" / "starter.safetensors"
    starter.parent.mkdir()
    starter.touch()
    settings.library = [tmp_path / "horse run"]

    def read(path: Path):
        return read_model(tmp_path / "apple.safetensors" if path == starter else path)

    def read_with_path(path: Path):
        import dataclasses

        return dataclasses.replace(read(path), path=starter) if path == starter else read(path)

    make_controller(read_model=read_with_path)
    assert page.findChild(QComboBox, "convert_model").currentText() == "Starter model (Apples and Oranges, 64 px)"


def test_model_and_direction_are_those_of_last_time(page, make_controller, settings, tmp_path):
    settings.library = [tmp_path / "apple run", tmp_path / "horse run"]
    settings.last_model = tmp_path / "horse run" / "model.safetensors"
    settings.last_direction = "b2a"
    make_controller()
    assert page.findChild(QComboBox, "convert_model").currentText().startswith("horse run")
    assert button(page, "convert_b2a").isChecked()


def test_choices_are_remembered(page, controller, settings, tmp_path):
    controller.set_model(tmp_path / "horse run")
    controller.set_direction("b2a")
    controller.set_output_folder(tmp_path / "Results")
    again = type(settings).load(settings.path)
    assert again.last_model == tmp_path / "horse run" / "model.safetensors"
    assert (again.last_direction, again.output_folder) == ("b2a", tmp_path / "Results")


def test_a_dropped_model_is_converted_with_and_joins_the_library(page, controller, settings, tmp_path, qtbot):
    model = tmp_path / "horse.safetensors"
    with qtbot.waitSignal(controller.library_changed):
        controller.add_sources([model])
    assert settings.library[0] == model
    assert page.findChild(QComboBox, "convert_model").currentText().startswith("horse")
    assert states(page) == {}


def test_a_model_chosen_from_the_list_does_not_join_the_library_twice(page, controller, settings, tmp_path):
    library = list(settings.library)
    page.options.model_picked.emit(tmp_path / "apple run" / "model.safetensors")
    assert settings.library == library


def test_a_new_model_of_the_library_is_offered_after_a_refresh(page, controller, settings, tmp_path):
    settings.library.insert(0, tmp_path / "horse run")
    controller.refresh_models()
    box = page.findChild(QComboBox, "convert_model")
    assert box.count() == 2
    assert box.currentText().startswith("apple run")


# Before and after


def test_a_chosen_row_shows_before_and_after(page, controller, pictures, qtbot):
    page.show()
    add(qtbot, page, controller, pictures)
    convert(qtbot, controller)
    controller.show_comparison(3)
    view = page.comparison.view
    qtbot.waitUntil(lambda: view.before is not None and view.after is not None)
    assert page.comparison.name == str(Path("sub/c.png"))
    controller.show_comparison(2)
    assert label(page, "comparison_problem").text() == "bad.png is empty. Copy it again."


def test_results_show_themselves_until_a_row_is_chosen(page, controller, converter, pictures, qtbot):
    page.show()
    add(qtbot, page, controller, pictures)
    convert_until(qtbot, controller, converter, "c.png")
    qtbot.waitUntil(lambda: page.comparison.name == "b.gif")
    controller.show_comparison(0)
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    assert page.comparison.name == "a.png"


def test_what_the_pictures_show_follows_the_direction_until_they_are_converted(page, controller, pictures, qtbot):
    page.show()
    add(qtbot, page, controller, pictures)
    controller.show_comparison(0)
    assert page.comparison.view.captions == ("Apples", "Oranges")
    controller.set_direction("b2a")
    assert page.comparison.view.captions == ("Oranges", "Apples")
    convert(qtbot, controller)
    controller.show_comparison(0)
    controller.set_direction("a2b")
    assert page.comparison.view.captions == ("Oranges", "Apples")


def test_the_summary_stands_until_something_is_changed(page, controller, pictures, settings, tmp_path, qtbot):
    add(qtbot, page, controller, pictures)
    convert(qtbot, controller)
    settings.library.append(tmp_path / "horse run")
    controller.refresh_models()
    assert label(page, "convert_status").text() == "3 converted  ·  1 failed"
    controller.set_direction("b2a")
    assert label(page, "convert_status").text() == "Ready to convert 4 pictures"


def test_failures_can_be_listed_alone(page, controller, pictures, qtbot):
    add(qtbot, page, controller, pictures)
    convert(qtbot, controller)
    only = page.findChild(object, "convert_failed_only")
    assert only.isVisibleTo(page)
    only.click()
    assert page.list.files.rowCount() == 1
    assert page.comparison.name == "bad.png"
    only.click()
    assert page.list.files.rowCount() == 4


def test_the_output_folder_can_be_opened_once_there_is_one(page, controller, pictures, qtbot, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr(
        "cyclegan_desktop.conversion.page.QDesktopServices.openUrl", lambda url: bool(opened.append(url.toLocalFile()))
    )
    add(qtbot, page, controller, pictures)
    assert not button(page, "convert_open_output").isVisibleTo(page)
    convert(qtbot, controller)
    qtbot.mouseClick(button(page, "convert_open_output"), Qt.MouseButton.LeftButton)
    results = str(pictures.parent / "Photos - Oranges")
    assert opened == [results]
    # No file manager answered: then the page says where they are.
    assert results in page.messages.texts[0]
