"""What is dropped, on its way into the list of its batch."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication

from cyclegan_desktop.conversion.batches import BatchState
from cyclegan_desktop.conversion.file_list import FileState
from cyclegan_desktop.conversion.sources import FolderDone, Found
from tests.desktop.conversion.acts import (
    add,
    batch_states,
    button,
    convert,
    hold,
    invites,
    label,
    press,
    states,
)

DONE = BatchState.DONE


def test_what_is_said_about_a_drop_stands_with_its_own_batch(
    page, make_controller, settings, pictures, tmp_path, qtbot
):
    settings.library = [Path("/apple")]
    go = threading.Event()
    empty = tmp_path / "Empty"

    def look(paths):
        if paths == [pictures]:
            yield Found((pictures / "a.png",), pictures)
            return
        yield Found((pictures / "b.gif",), None)
        assert go.wait(20)
        yield FolderDone(empty, 0, 3, ())

    controller = make_controller(look=look)
    add(qtbot, controller, pictures)
    controller.new_batch()
    controller.add_sources([empty])
    second = controller.batch
    qtbot.waitUntil(lambda: len(second.files) == 1)
    controller.show_batch(controller.batches[0])
    go.set()
    qtbot.waitUntil(lambda: not controller._is_looking(second))
    assert page.messages.texts == []
    controller.show_batch(second)
    assert "Empty holds no pictures" in page.messages.texts[0]


def test_pictures_dropped_on_a_finished_batch_begin_a_new_one(page, controller, pictures, scans, tmp_path, qtbot):
    add(qtbot, controller, pictures)
    controller.set_output_folder(tmp_path / "Results")
    with qtbot.waitSignal(controller.ended):
        controller.start()
    add(qtbot, controller, scans)
    assert [batch.source_name for batch in controller.batches] == ["Photos", "Scans"]
    # Results of other pictures do not mix with those in the folder chosen for the first.
    assert controller.output_folder == tmp_path / "Scans - Oranges"
    controller.show_batch(controller.batches[0])
    controller.clear()
    add(qtbot, controller, scans)
    assert len(controller.batches) == 2


def test_convert_can_be_pressed_while_the_first_drop_is_looked_through(
    page, make_controller, converter, settings, pictures, qtbot
):
    settings.library = [Path("/apple")]
    go = threading.Event()

    def look(_paths):
        assert go.wait(20)
        yield Found((pictures / "a.png",), pictures)

    controller = make_controller(look=look)
    controller.add_sources([pictures])
    press(qtbot, page, "convert_button")
    with qtbot.waitSignal(controller.ended):
        go.set()
    assert batch_states(controller) == [DONE]


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
    add(qtbot, controller, pictures)
    add(qtbot, controller, pictures, pictures / "sub", pictures / "a.png")
    assert len(states(page)) == 4
    assert label(page, "convert_others").text() == "2 other files left alone"


def test_a_folder_without_pictures_and_a_missing_file_are_said(page, controller, tmp_path, qtbot):
    folder = tmp_path / "<b>Letters"
    folder.mkdir()
    (folder / "letter.txt").touch()
    add(qtbot, controller, folder, tmp_path / "gone.png")
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
    add(qtbot, controller, Path("/photos"))
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
    add(qtbot, controller, Path("/photos"))
    assert list(states(page)) == ["a.png", "b.png"]


def test_weights_of_the_reference_are_handed_on_to_be_imported(page, controller, pictures, tmp_path, qtbot):
    weights = [tmp_path / "horse2zebra.pth", tmp_path / "old.PT"]
    with qtbot.waitSignal(controller.import_requested) as asked:
        controller.add_sources(weights)
    assert asked.args == [weights]
    with qtbot.waitSignal(controller.import_requested) as asked:
        add(qtbot, controller, weights[0], pictures / "a.png")
    assert asked.args == [weights[:1]]
    assert list(states(page)) == ["a.png"]
    with qtbot.waitSignal(controller.import_requested) as asked:
        page.options.model_opened.emit(weights[0])
    assert asked.args == [weights[:1]]
    assert page.messages.texts == []


def test_a_video_is_turned_down_politely(page, controller, tmp_path, qtbot):
    film, notes = tmp_path / "Holiday.MP4", tmp_path / "notes.txt"
    for path in (film, notes):
        path.touch()
    add(qtbot, controller, film, notes)
    assert page.messages.texts[0].startswith("Holiday.MP4 is a video")
    assert page.messages.texts[1].startswith("notes.txt is no picture")


def test_single_files_that_are_no_pictures_are_named_and_not_listed(page, controller, tmp_path, qtbot):
    notes, letter = (tmp_path / name for name in ("notes.txt", "letter.doc"))
    for path in (notes, letter):
        path.touch()
    add(qtbot, controller, notes)
    remedy = "Add pictures such as JPEG, PNG, WebP or TIFF."
    assert page.messages.texts == [f"notes.txt is no picture that can be converted. {remedy}"]
    add(qtbot, controller, notes, letter)
    assert page.messages.texts == [f"notes.txt and 1 other file are no pictures that can be converted. {remedy}"]
    assert states(page) == {} and not button(page, "convert_button").isEnabled()


def test_pictures_dropped_while_it_runs_open_a_new_batch(page, controller, converter, pictures, tmp_path, qtbot):
    later = tmp_path / "later.png"
    Image.new("RGB", (8, 8)).save(later)
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "bad.png")
    add(qtbot, controller, later)
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    assert states(page) == {"later.png": FileState.PENDING}
    assert [line.name for line in page.queue.lines] == ["Photos, Apples to Oranges", "later.png, Apples to Oranges"]
    controller.show_batch(controller.batches[0])
    assert list(states(page).values()) == [FileState.DONE, FileState.DONE, FileState.FAILED, FileState.DONE]
