"""Several batches on the Convert page: they wait, pause, go on, and outlive the app."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton, QToolButton

from cyclegan_desktop.conversion.batches import BatchState
from cyclegan_desktop.conversion.file_list import FileState
from cyclegan_desktop.conversion.queue_store import QueueStore
from engine.errors import DataError, ModelFileError
from engine.events import Converted, ConvertFinished, ConvertingFile, ConvertPlanned, FilesFound, WaitingForSpace

DRAFT, WAITING, RUNNING, PAUSED = BatchState.DRAFT, BatchState.WAITING, BatchState.RUNNING, BatchState.PAUSED
DONE, STOPPED, FAILED = BatchState.DONE, BatchState.STOPPED, BatchState.FAILED


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


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A second folder: x.png and y.png."""
    folder = tmp_path / "Scans"
    folder.mkdir()
    for name in ("x.png", "y.png"):
        Image.new("RGB", (8, 6), "green").save(folder / name)
    return folder


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """What notifications said."""
    texts: list[str] = []
    monkeypatch.setattr("cyclegan_desktop.notification.Notifier.tell", lambda _self, title, text: texts.append(text))
    return texts


def test_a_second_batch_waits_and_is_converted_after_the_first(
    page, controller, converter, pictures, scans, told, qtbot
):
    busy: list[bool] = []
    controller.busy_changed.connect(busy.append)
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "bad.png")
    assert not page.queue.isVisibleTo(page)
    add(qtbot, controller, scans)
    controller.set_direction("b2a")
    press(qtbot, page, "convert_button")
    assert batch_states(controller) == [RUNNING, WAITING]
    assert label(page, "convert_status").text() == "Waiting for its turn"
    assert page.queue.isVisibleTo(page)
    converter.go.set()
    qtbot.waitUntil(lambda: batch_states(controller) == [DONE, DONE] and not controller.is_busy)
    assert [(job.direction, job.to.name) for job in converter.jobs] == [
        ("a2b", "Photos - Oranges"),
        ("b2a", "Scans - Apples"),
    ]
    assert busy == [True, False]
    # One message at the end of everything.
    assert told == ["2 batches: 5 converted, 1 failed"]


def test_a_batch_that_waits_can_be_converted_earlier(
    page, controller, converter, pictures, scans, qtbot, tmp_path, told
):
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    for source in (scans / "x.png", scans / "y.png"):
        add(qtbot, controller, source)
        controller.set_output_folder(tmp_path / source.stem)
        controller.start()
    assert batch_states(controller) == [RUNNING, WAITING, WAITING]
    press(qtbot, page, "queue_up")
    assert not page.findChild(QToolButton, "queue_down").isEnabled() or controller.batches[1] is controller.batch
    converter.go.set()
    qtbot.waitUntil(lambda: not controller.is_busy)
    assert [job.to.name for job in converter.jobs] == ["Photos - Oranges", "y", "x"]


def test_showing_a_batch_brings_its_rows_settings_and_place_back(page, controller, pictures, scans, tmp_path, qtbot):
    add(qtbot, controller, pictures)
    controller.set_output_folder(tmp_path / "Results")
    controller.show_comparison(1)
    press(qtbot, page, "convert_new")
    assert len(page.list.files) == 0 and len(controller.batches) == 2
    add(qtbot, controller, scans)
    controller.set_direction("b2a")
    controller.set_model(tmp_path / "horse.safetensors")
    page.queue.batch_chosen.emit(0)
    assert page.list.currentIndex().row() == 1
    assert button(page, "convert_a2b").isChecked() and button(page, "convert_a2b").text() == "Apples to Oranges"
    assert label(page, "convert_count").text() == "4 pictures"
    page.queue.batch_chosen.emit(1)
    assert button(page, "convert_b2a").isChecked() and "Horses" in button(page, "convert_b2a").text()


def test_an_empty_new_batch_is_gone_once_another_is_shown(page, controller, pictures, qtbot):
    add(qtbot, controller, pictures)
    controller.new_batch()
    controller.new_batch()
    assert len(controller.batches) == 2
    assert not page.findChild(QToolButton, "convert_new").isEnabled()
    controller.show_batch(controller.batches[0])
    assert len(controller.batches) == 1 and not page.queue.isVisibleTo(page)


def test_ctrl_n_begins_a_new_batch(page, controller, pictures, qtbot):
    page.show()
    add(qtbot, controller, pictures)
    page.list.setFocus()
    qtbot.keyClick(page.list, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    assert len(controller.batches) == 2


def test_pause_ends_the_work_after_the_picture_and_resume_goes_on_where_it_was(
    page, controller, converter, pictures, qtbot
):
    add(qtbot, controller, pictures)
    converter.has_ledger = True
    hold(qtbot, controller, converter, "b.gif")
    press(qtbot, page, "convert_pause")
    assert button(page, "convert_pause").text() == "Pausing..."
    with qtbot.waitSignal(controller.ended) as ended:
        converter.go.set()
    assert ended.args == ["paused"]
    # The converter is closed: its model is no longer in memory.
    assert not controller.is_busy and batch_states(controller) == [PAUSED]
    done = FileState.DONE
    assert row_states(controller) == [done, done, FileState.PENDING, FileState.PENDING]
    assert label(page, "convert_status").text().startswith("Converted 2 of 4  ·  paused")
    assert button(page, "convert_button").text() == "&Cancel"
    with qtbot.waitSignal(controller.ended):
        press(qtbot, page, "convert_pause")
    assert converter.jobs[1] == converter.jobs[0]
    # What this batch has converted itself is not called skipped.
    assert row_states(controller) == [done, done, FileState.FAILED, done]
    assert label(page, "convert_status").text() == "3 converted  ·  1 failed"
    assert page.offer.text == ""


def test_while_one_is_paused_nothing_begins_by_itself(page, controller, converter, pictures, scans, told, qtbot):
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans)
    controller.start()
    controller.show_batch(controller.batches[0])
    controller.pause()
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    assert batch_states(controller) == [PAUSED, WAITING] and told == []
    controller.show_batch(controller.batches[1])
    assert label(page, "convert_status").text() == "Waiting: another conversion is paused"
    press(qtbot, page, "convert_pause")
    qtbot.waitUntil(lambda: batch_states(controller) == [PAUSED, DONE])


def test_a_pause_that_takes_long_can_still_be_a_cancel(page, controller, converter, pictures, qtbot):
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    controller.pause()
    press(qtbot, page, "convert_button")
    with qtbot.waitSignal(controller.ended) as ended:
        converter.go.set()
    assert ended.args == ["stopped"] and batch_states(controller) == [STOPPED]


def test_cancel_of_a_paused_batch_leaves_its_results(page, controller, converter, pictures, qtbot):
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    controller.pause()
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    press(qtbot, page, "convert_button")
    assert batch_states(controller) == [STOPPED]
    assert row_states(controller) == [FileState.DONE, *[FileState.CANCELED] * 3]
    assert label(page, "convert_status").text() == "1 converted  ·  3 canceled"


def test_a_batch_that_has_only_waited_is_a_draft_again_when_canceled(
    page, controller, converter, pictures, scans, qtbot
):
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans)
    controller.start()
    press(qtbot, page, "convert_button")
    assert batch_states(controller) == [RUNNING, DRAFT]
    assert row_states(controller, 1) == [FileState.PENDING] * 2
    assert page.options.isEnabled()
    converter.go.set()
    qtbot.waitUntil(lambda: not controller.is_busy)
    assert len(converter.jobs) == 1


def test_a_batch_that_fails_as_a_whole_does_not_hold_up_the_next(page, controller, converter, pictures, scans, qtbot):
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans / "x.png")
    controller.start()
    add(qtbot, controller, scans)
    controller.start()
    jobs = converter.jobs
    original = type(converter).__call__

    def fail_second(job):
        if len(jobs) == 1:
            jobs.append(job)
            raise ModelFileError("The model is damaged.")
        yield from original(converter, job)

    controller._queue._convert = fail_second
    converter.go.set()
    qtbot.waitUntil(lambda: batch_states(controller) == [DONE, FAILED, DONE])
    controller.show_batch(controller.batches[1])
    assert page.messages.texts == ["The model is damaged."]
    assert page.queue.lines[1].text == "The model is damaged."


def test_removing_a_batch_shows_its_neighbour_and_the_running_one_stays(
    page, controller, converter, pictures, scans, qtbot
):
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans)
    controller.start()
    press(qtbot, page, "queue_remove")
    assert batch_states(controller) == [RUNNING]
    controller.remove_batch(controller.batches[0])
    assert batch_states(controller) == [RUNNING]
    converter.go.set()
    qtbot.waitUntil(lambda: not controller.is_busy)
    assert len(converter.jobs) == 1


def test_marked_pictures_go_into_a_new_batch_to_be_made_anew(page, controller, converter, pictures, qtbot):
    page.show()
    add(qtbot, controller, pictures)
    with qtbot.waitSignal(controller.ended):
        controller.start()
    assert not button(page, "convert_redo").isVisibleTo(page)
    controller.show_comparison(0)
    qtbot.keyClick(page.list, Qt.Key.Key_M)
    controller.show_comparison(3)
    page.comparison.mark_asked.emit()
    page.comparison.mark_asked.emit()
    page.comparison.mark_asked.emit()
    assert button(page, "convert_redo").text() == "Redo mar&ked (2)..."
    press(qtbot, page, "convert_redo")
    assert page.options.isEnabled()
    controller.set_direction("b2a")
    with qtbot.waitSignal(controller.ended):
        controller.start()
    job = converter.jobs[1]
    assert [source.name for source in job.sources] == ["a.png", "c.png"]
    assert job.again and job.direction == "b2a" and job.roots == (pictures,)
    assert [row.marked for row in controller.batches[0].files.rows] == [True, False, False, True]
    controller.new_batch()
    assert not controller.batch.choices.again


def test_while_watching_new_pictures_join_the_list(page, make_controller, converter, settings, pictures, qtbot):
    settings.library = [Path("/apple")]
    jobs = []

    def watch(job):
        jobs.append(job)
        found = tuple(pictures / name for name in ("a.png", "b.gif", "bad.png", "sub/c.png"))
        yield ConvertPlanned(found, 2, job.to, "CPU", "fp32")
        new = (pictures / "new.png", pictures / "sub" / "newer.png")
        for index, source in enumerate((*found, *new)):
            if index == len(found):
                yield FilesFound(new)
            yield ConvertingFile(index, source)
            yield Converted(index, source, job.to / source.name, (), 0.1)
        converter.waiting.set()
        yield FilesFound((pictures / "a.png",))  # It was changed.
        yield Converted(6, pictures / "a.png", job.to / "a.png", (), 0.1)
        while not converter.go.wait(0.01):
            yield FilesFound(())

    controller = make_controller(convert=watch)
    add(qtbot, controller, pictures)
    page.options.set_choices(type(page.options.choices)(watch=True))
    page.options.choices_changed.emit()
    controller.start()
    qtbot.waitUntil(lambda: label(page, "convert_status").text().startswith("Watching for new pictures"))
    assert jobs[0].sources == (pictures,) and jobs[0].watch
    assert label(page, "convert_status").text() == "Watching for new pictures  ·  6 converted"
    assert page.list.files.shown_name(5) == str(Path("sub/newer.png"))
    assert row_states(controller) == [FileState.DONE] * 6
    with qtbot.waitSignal(controller.ended) as ended:
        press(qtbot, page, "convert_button")
    assert ended.args == ["done"]
    converter.go.set()


def test_an_empty_folder_can_be_watched(page, controller, converter, tmp_path, qtbot):
    folder = tmp_path / "Inbox"
    folder.mkdir()
    add(qtbot, controller, folder)
    assert not button(page, "convert_button").isEnabled()
    page.options.set_choices(type(page.options.choices)(watch=True))
    page.options.choices_changed.emit()
    with qtbot.waitSignal(controller.ended):
        press(qtbot, page, "convert_button")
    assert converter.jobs[0].sources == (folder,)
    assert converter.jobs[0].to == tmp_path / "Inbox - Oranges"


def test_a_full_disk_is_told_as_long_as_it_is_full(page, make_controller, converter, settings, pictures, qtbot):
    settings.library = [Path("/apple")]
    sentence = "There is no space left. Free some, and the work goes on."

    def fill(job):
        yield ConvertPlanned(job.sources, 0, job.to, "CPU", "fp32")
        yield ConvertingFile(0, job.sources[0])
        yield WaitingForSpace(job.to, sentence)
        assert converter.go.wait(20)
        yield Converted(0, job.sources[0], job.to / "a.png", (), 0.1)
        converter.waiting.set()
        yield ConvertFinished(1, 0, 0, 0, job.to, 1.0)

    controller = make_controller(convert=fill)
    add(qtbot, controller, pictures / "a.png")
    controller.start()
    qtbot.waitUntil(lambda: page.space.texts == [sentence])
    converter.go.set()
    qtbot.waitUntil(lambda: not controller.is_busy)
    assert page.space.texts == []


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
    from PySide6.QtWidgets import QFileDialog

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


# The next start


def begin_and_leave(qtbot, make_controller, converter, *sources: Path) -> None:
    """Convert until the second picture, and close the app."""
    controller = make_controller()
    add(qtbot, controller, *sources)
    hold(qtbot, controller, converter, controller.batch.files.rows[1].path.name)
    controller.stop_for_closing()
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    controller.close()
    converter.waiting.clear()
    converter.hold_before = ""


def test_what_was_not_finished_is_offered_at_the_next_start_and_goes_on(
    page, make_controller, converter, settings, pictures, qtbot
):
    settings.library = [Path("/apple")]
    converter.has_ledger = True
    begin_and_leave(qtbot, make_controller, converter, pictures)
    again = make_controller()
    assert page.unfinished.text == "1 conversion was not finished: Photos, Apples to Oranges, 2 of 4 done."
    # It never begins by itself.
    assert not again.is_busy and len(converter.jobs) == 1
    with qtbot.waitSignal(again.ended):
        press(qtbot, page, "unfinished_offer_0")
    assert converter.jobs[1] == converter.jobs[0]
    done = FileState.DONE
    assert [row.state for row in again.batch.files.rows] == [done, done, FileState.FAILED, done]
    assert again.batch.files.rows[0].target is not None
    again.close()
    third = make_controller()
    assert page.unfinished.text == ""
    third.close()


def test_a_killed_app_offers_what_it_was_doing(page, make_controller, converter, settings, pictures, scans, qtbot):
    settings.library = [Path("/apple")]
    controller = make_controller()
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans)
    controller.start()
    controller._unfinished._store.wait()
    kept = {path.name: path.read_bytes() for path in settings.queue_folder.iterdir()}
    converter.go.set()
    qtbot.waitUntil(lambda: not controller.is_busy)
    controller.close()
    for name, data in kept.items():  # As they were at the moment of the kill.
        (settings.queue_folder / name).write_bytes(data)
    again = make_controller()
    assert page.unfinished.text.startswith("2 conversions were not finished: Photos, Apples to Oranges, 0 of 4 done; ")
    press(qtbot, page, "unfinished_offer_0")
    qtbot.waitUntil(lambda: [batch.state for batch in again.batches] == [DONE, DONE])
    assert [[path.name for path in job.sources] for job in converter.jobs[2:]] == [
        ["a.png", "b.gif", "bad.png", "c.png"],
        ["x.png", "y.png"],
    ]
    again.close()


def test_discard_forgets_it_for_good(page, make_controller, converter, settings, pictures, qtbot):
    settings.library = [Path("/apple")]
    begin_and_leave(qtbot, make_controller, converter, pictures)
    again = make_controller()
    press(qtbot, page, "unfinished_offer_1")
    again.close()
    assert list(settings.queue_folder.glob("*.json*")) == []
    make_controller().close()
    assert page.unfinished.text == "" and len(converter.jobs) == 1


def test_an_offer_that_is_not_answered_stands_at_the_next_start(
    page, make_controller, converter, settings, pictures, scans, qtbot
):
    settings.library = [Path("/apple")]
    begin_and_leave(qtbot, make_controller, converter, pictures)
    again = make_controller()
    add(qtbot, again, scans)
    with qtbot.waitSignal(again.ended):
        again.start()
    again.close()
    make_controller().close()
    assert "Photos, Apples to Oranges, 2 of 4 done" in page.unfinished.text


def test_a_batch_taken_off_the_list_while_it_is_read_disturbs_no_other(
    page, make_controller, converter, settings, pictures, scans, qtbot
):
    settings.library = [Path("/apple")]
    controller = make_controller()
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans)
    controller.start()
    controller.stop_for_closing()
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    controller.close()
    again = make_controller()
    again.resume_unfinished()
    again.remove_batch(again.batch)
    qtbot.waitUntil(lambda: [batch.state for batch in again.batches] == [DONE])
    assert [path.name for path in converter.jobs[-1].sources] == ["x.png", "y.png"]
    again.close()
    make_controller().close()
    assert page.unfinished.text == ""


def test_without_its_model_an_unfinished_batch_is_kept_and_explained(
    page, make_controller, converter, settings, pictures, qtbot
):
    settings.library = [Path("/apple")]
    begin_and_leave(qtbot, make_controller, converter, pictures)

    def read(path):
        raise ModelFileError(f"{path} is not there.")

    again = make_controller(read_model=read)
    press(qtbot, page, "unfinished_offer_0")
    qtbot.waitUntil(lambda: len(again.batch.files) == 4 and not again.is_looking)
    assert label(page, "convert_model_error").text().startswith("The model ")
    again.close()
    make_controller().close()
    assert page.unfinished.text.startswith("1 conversion was not finished")


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"version": 99, "batches": []}', b'{"version": 1, "batches": [{}]}'])
def test_a_damaged_list_is_kept_aside_and_the_app_starts(page, make_controller, settings, damage):
    settings.queue_folder.mkdir(parents=True)
    (settings.queue_folder / "unfinished.json").write_bytes(damage)
    make_controller().close()
    assert page.unfinished.text == ""
    assert "is damaged" in page.messages.texts[0]
    (aside,) = settings.queue_folder.glob("unfinished.damaged-*/unfinished.json")
    assert aside.read_bytes() == damage
    assert str(aside.parent) in page.messages.texts[0]


def test_a_second_app_neither_sees_nor_disturbs_what_the_first_converts(
    page, make_controller, converter, settings, pictures, qtbot
):
    settings.library = [Path("/apple")]
    controller = make_controller()
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    controller._unfinished._store.wait()
    before = sorted(path.name for path in settings.queue_folder.iterdir())
    second = QueueStore(settings.queue_folder)
    assert second.load() == []
    second.save_index([])
    second.close()
    assert sorted(path.name for path in settings.queue_folder.iterdir()) == before
    converter.go.set()
    qtbot.waitUntil(lambda: not controller.is_busy)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="Names are text there.")
def test_names_that_are_no_text_are_kept(page, make_controller, converter, settings, tmp_path, qtbot):
    settings.library = [Path("/apple")]
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Ph\xffotos"))
    folder.mkdir()
    names = [os.fsdecode(b"\xfe%d.png" % number) for number in range(3)]
    for name in names:
        (folder / name).write_bytes(b"picture")
    begin_and_leave(qtbot, make_controller, converter, folder)
    again = make_controller()
    with qtbot.waitSignal(again.ended):
        again.resume_unfinished()
    assert converter.jobs[1] == converter.jobs[0]
    assert [path.name for path in converter.jobs[1].sources] == names
    again.close()


def test_a_batch_of_a_hundred_thousand_is_kept_in_order(tmp_path):
    roots = [tmp_path / "A", tmp_path / "B"]
    files = [(roots[number // 50_000] / f"{number}.png", roots[number // 50_000]) for number in range(100_000)]
    files.insert(70_000, (tmp_path / "single.png", None))
    store = QueueStore(tmp_path / "queue")
    store.load()
    store.save_files("key", [path for path, _ in files], [root for _, root in files])
    store.wait()
    from cyclegan_desktop.conversion.job_choices import JobChoices
    from cyclegan_desktop.conversion.queue_store import SavedBatch

    saved = SavedBatch(
        key="key",
        name="A",
        model=tmp_path / "m",
        direction="a2b",
        output=tmp_path / "to",
        is_output_chosen=True,
        choices=JobChoices(),
        folders=tuple((root, 7) for root in roots),
        done=5,
        converted=3,
        made_before=((0, 1),),
        total=100_001,
    )
    store.save_index([saved])
    store.close()
    later = QueueStore(tmp_path / "queue")
    assert later.load() == [saved]
    back = [(path, found.root) for found in later.files_of(saved) for path in found.pictures]
    later.close()
    assert back == files


# Between the engine and the window


def test_thousands_of_skipped_pictures_come_in_few_pieces_and_in_order(tmp_path):
    from cyclegan_desktop.conversion.batch_queue import _Flow
    from engine.events import FileSkipped

    closed = []

    def work():
        try:
            for index in range(1000):
                yield FileSkipped(index, tmp_path, tmp_path, True, "")
            yield ConvertingFile(1000, tmp_path)
            raise ZeroDivisionError
        finally:
            closed.append(True)

    flow = _Flow()
    pieces = []
    with pytest.raises(ZeroDivisionError):
        for piece in flow.of(work()):
            flow.take()
            pieces.append(piece)
    events = [event for piece in pieces for event in piece]
    assert [event.index for event in events] == list(range(1001))
    assert len(pieces) < 200
    # What begins is told at once, however long it takes.
    assert isinstance(pieces[-1][-1], ConvertingFile)
    assert closed == [True]


def test_closing_the_flow_closes_the_converter(tmp_path):
    from cyclegan_desktop.conversion.batch_queue import _Flow

    closed = []

    def work():
        try:
            while True:
                yield ConvertingFile(0, tmp_path)
        finally:
            closed.append(True)

    going = _Flow().of(work())
    next(going)
    going.close()
    assert closed == [True]


def test_a_notification_only_calls_someone_who_is_elsewhere(page, monkeypatch):
    from PySide6.QtWidgets import QApplication

    from cyclegan_desktop.notification import Notifier

    called = []
    monkeypatch.setattr(QApplication, "alert", called.append)
    notifier = Notifier(page.window)
    notifier.tell("Conversion finished", "Photos: 3 converted")
    assert called == [page]
    monkeypatch.setattr(page, "isActiveWindow", lambda: True)
    notifier.tell("Conversion finished", "Photos: 3 converted")
    assert called == [page]


# What a batch keeps to itself


def test_a_pause_that_becomes_a_cancel_lets_the_next_begin(page, controller, converter, pictures, scans, qtbot):
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans)
    controller.start()
    controller.show_batch(controller.batches[0])
    controller.pause()
    controller.stop()
    converter.go.set()
    qtbot.waitUntil(lambda: batch_states(controller) == [STOPPED, DONE])


@pytest.mark.parametrize("how", ["cancel", "remove"])
def test_without_the_paused_batch_those_that_wait_begin(page, controller, converter, pictures, scans, how, qtbot):
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans)
    controller.start()
    controller.show_batch(controller.batches[0])
    controller.pause()
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    assert batch_states(controller) == [PAUSED, WAITING]
    if how == "cancel":
        controller.stop()
    else:
        controller.remove_batch(controller.batches[0])
    qtbot.waitUntil(lambda: batch_states(controller)[-1] is DONE)


def test_a_pause_at_the_last_picture_pauses_the_next_batch(page, controller, converter, pictures, scans, qtbot):
    add(qtbot, controller, pictures / "a.png")
    finished = []
    original = controller._queue._convert

    def convert(job):
        yield from original(job)
        finished.append(job)

    controller._queue._convert = convert
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans)
    controller.start()
    controller._queue._thread.stop = lambda: None  # The work ends before the thread looks whether it is to stop.
    controller._queue.pause(controller.batches[0])
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    assert batch_states(controller) == [DONE, PAUSED] and len(finished) == 1
    assert label(page, "convert_status").text() == "Paused"
    press(qtbot, page, "convert_pause")
    qtbot.waitUntil(lambda: batch_states(controller) == [DONE, DONE])


def test_a_batch_that_pauses_before_its_turn_says_so(page, controller, converter, pictures, scans, qtbot):
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans)
    controller.start()
    controller.pause()
    assert label(page, "convert_status").text() == "Paused"
    assert not page.findChild(object, "convert_progress").isVisibleTo(page)
    converter.go.set()
    qtbot.waitUntil(lambda: not controller.is_busy)
    assert batch_states(controller) == [DONE, PAUSED]


def test_a_folder_that_is_to_be_watched_is_kept_though_it_is_empty(page, controller, pictures, tmp_path, qtbot):
    folder = tmp_path / "Inbox"
    folder.mkdir()
    add(qtbot, controller, folder)
    page.options.set_choices(type(page.options.choices)(watch=True))
    page.options.choices_changed.emit()
    controller.new_batch()
    add(qtbot, controller, pictures)
    assert [batch.source_name for batch in controller.batches] == ["Inbox", "Photos"]


def test_a_file_that_changes_while_watched_counts_once(tmp_path, read_model):
    from cyclegan_desktop.conversion.batches import Batch
    from cyclegan_desktop.conversion.job_choices import JobChoices

    batch = Batch(read_model(tmp_path / "apple"), "a2b", None, JobChoices(watch=True))
    source = tmp_path / "Photos" / "a.png"
    batch.files.add([source], tmp_path / "Photos")
    made_with = batch.made_with_now(batch.model, tmp_path / "to")
    batch.prepare(batch.job_for([0], made_with), [0], made_with)
    batch.follow(ConvertPlanned((source,), 0, tmp_path / "to", "CPU", "fp32"))
    batch.follow(Converted(0, source, tmp_path / "to" / "a.png", (), 0.1))
    batch.follow(FilesFound((source,)))
    assert (batch.progress.converted, batch.progress.total) == (0, 1)
    batch.follow(Converted(1, source, tmp_path / "to" / "a.png", (), 0.1))
    assert (batch.progress.converted, batch.progress.total) == (1, 1)
    assert batch.job_files[0] == [source]


def planned_batch(tmp_path, read_model, pictures: int):
    from cyclegan_desktop.conversion.batches import Batch
    from cyclegan_desktop.conversion.job_choices import JobChoices

    batch = Batch(read_model(tmp_path / "apple"), "a2b", None, JobChoices())
    sources = tuple(tmp_path / f"{number}.png" for number in range(pictures))
    batch.files.add(sources, None)
    made_with = batch.made_with_now(batch.model, tmp_path / "to")
    numbers = list(range(pictures))
    batch.prepare(batch.job_for(numbers, made_with), numbers, made_with)
    batch.state = RUNNING
    batch.follow(ConvertPlanned(sources, 0, tmp_path / "to", "CPU", "fp32"))
    return batch, sources


def test_the_time_left_waits_for_some_pictures_and_counts_down(tmp_path, read_model, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("cyclegan_desktop.conversion.batches.time.monotonic", lambda: now[0])
    batch, sources = planned_batch(tmp_path, read_model, 100)
    assert batch.progress.seconds_left is None
    now[0] += 60  # The first one also warms up the graphics card.
    for done in range(5):
        now[0] += 2
        batch.follow(Converted(done, sources[done], tmp_path / "to" / "x.png", (), 2.0))
        left = batch.progress.seconds_left
        assert (left is None) == (done < 2)
    assert left == pytest.approx(190)
    now[0] += 30  # A large picture is at work.
    assert batch.progress.seconds_left == pytest.approx(160)
    now[0] += 200
    assert batch.progress.seconds_left is None


def test_what_a_result_made_before_has_lost_is_still_said(tmp_path, read_model):
    from engine.events import FileSkipped

    batch, sources = planned_batch(tmp_path, read_model, 3)
    batch.is_restored = True
    lost = ("Only the first of 12 frames was converted.",)
    target = tmp_path / "to" / "x.png"
    batch.follow(FileSkipped(0, sources[0], target, True, "It was converted before.", lost))
    batch.made_before = frozenset({sources[1]})
    batch.follow(FileSkipped(1, sources[1], target, True, "It was converted before.", lost))
    batch.follow(FileSkipped(2, sources[2], target, False, "The name is taken.", ()))
    assert [(row.state, row.text) for row in batch.files.rows] == [
        (FileState.DONE, lost[0]),
        (FileState.SKIPPED, "It was converted before. " + lost[0]),
        (FileState.SKIPPED, "The name is taken."),
    ]


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


def test_a_redo_is_called_so(page, controller, pictures, qtbot):
    add(qtbot, controller, pictures)
    with qtbot.waitSignal(controller.ended):
        controller.start()
    controller._row.mark([0])
    controller.redo_marked()
    assert controller.batch.name == "Photos, Apples to Oranges, redo"


def test_a_restored_model_that_is_not_in_the_library_stands_in_the_box(
    page, make_controller, converter, settings, pictures, qtbot
):
    settings.library = [Path("/apple")]
    begin_and_leave(qtbot, make_controller, converter, pictures)
    settings.library = [Path("/horse")]
    again = make_controller()
    with qtbot.waitSignal(again.ended):
        again.resume_unfinished()
    assert page.findChild(object, "convert_model").currentText().startswith("apple")
    assert converter.jobs[1].model == Path("/apple/model.safetensors")
    again.close()


def test_a_model_of_last_time_that_is_away_is_not_replaced_by_another(page, make_controller, settings, read_model):
    settings.library = [Path("/apple"), Path("/horse")]
    settings.last_model = Path("/horse/model.safetensors")
    controller = make_controller(read_model=gone(read_model, ["horse"]))
    assert controller.batch.model is None and page.findChild(object, "convert_model").currentIndex() == -1
    assert label(page, "convert_model_error").text().startswith("The model ")


def test_other_choices_take_back_what_was_offered_for_the_old_ones(page, controller, pictures, qtbot):
    add(qtbot, controller, pictures / "a.png")
    with qtbot.waitSignal(controller.ended):
        controller.start()
    controller.start()
    assert "converted already" in page.offer.text
    page.findChild(object, "convert_format").setCurrentText("WebP")
    assert page.offer.text == ""


def test_convert_can_be_pressed_while_the_first_drop_is_looked_through(
    page, make_controller, converter, settings, pictures, qtbot
):
    import threading

    from cyclegan_desktop.conversion.sources import Found

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


def test_what_is_said_about_a_drop_stands_with_its_own_batch(
    page, make_controller, settings, pictures, tmp_path, qtbot
):
    import threading

    from cyclegan_desktop.conversion.sources import FolderDone, Found

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


# A model that is not there


def gone(read_model, names: list[str]):
    """Reads models, except those whose path holds one of the names, as they are by then."""

    def read(path: Path):
        if any(name in str(path) for name in names):
            raise ModelFileError(f"{path} is not there.")
        return read_model(path)

    return read


def test_a_draft_keeps_its_model_while_the_disk_is_away(page, make_controller, settings, read_model, pictures, qtbot):
    settings.library = [Path("/apple"), Path("/horse")]
    away: list[str] = []
    controller = make_controller(read_model=gone(read_model, away))
    add(qtbot, controller, pictures)
    away.append("apple")
    controller.refresh_models()
    error = label(page, "convert_model_error")
    assert "model.safetensors" in error.text() and "is not there" in error.text() and error.isVisibleTo(page)
    controller.start()
    assert not controller.is_busy and batch_states(controller) == [DRAFT]
    away.clear()  # Connected again: Convert looks for itself.
    with qtbot.waitSignal(controller.ended):
        controller.start()
    assert controller.batch.job.model == Path("/apple/model.safetensors")
    assert not error.isVisibleTo(page)


def test_a_restored_batch_never_gets_another_model(
    page, make_controller, converter, settings, read_model, pictures, qtbot
):
    settings.library = [Path("/apple")]
    begin_and_leave(qtbot, make_controller, converter, pictures)
    settings.library = [Path("/horse")]
    again = make_controller(read_model=gone(read_model, ["apple"]))
    again.resume_unfinished()
    again.refresh_models()  # As after every save of a training.
    qtbot.waitUntil(lambda: len(again.batch.files) == 4 and not again.is_looking)
    again.refresh_models()
    assert len(converter.jobs) == 1 and batch_states(again)[-1] is DRAFT
    assert "The model" in label(page, "convert_model_error").text()
    assert "is not there" in label(page, "convert_model_error").text()
    again.set_model(Path("/horse"))
    assert not label(page, "convert_model_error").isVisibleTo(page)
    with qtbot.waitSignal(again.ended):
        again.start()
    assert converter.jobs[1].model == Path("/horse/model.safetensors")
    again.close()


# What was not finished, once more


def restored_without_model(qtbot, page, make_controller, converter, settings, read_model, pictures):
    """A restored batch that cannot begin, since its model is away."""
    settings.library = [Path("/apple")]
    begin_and_leave(qtbot, make_controller, converter, pictures)
    again = make_controller(read_model=gone(read_model, ["apple"]))
    again.resume_unfinished()
    qtbot.waitUntil(lambda: len(again.batch.files) == 4 and not again.is_looking)
    return again


def test_a_restored_batch_is_kept_as_it_was_changed(
    page, make_controller, converter, settings, read_model, pictures, scans, qtbot
):
    again = restored_without_model(qtbot, page, make_controller, converter, settings, read_model, pictures)
    again.remove([0])
    add(qtbot, again, scans)
    again.close()
    third = make_controller()
    with qtbot.waitSignal(third.ended):
        third.resume_unfinished()
    assert [path.name for path in converter.jobs[-1].sources] == ["b.gif", "bad.png", "c.png", "x.png", "y.png"]
    third.close()


def test_a_restored_batch_that_was_changed_and_begun_is_kept_as_it_is_now(
    page, make_controller, converter, settings, read_model, pictures, qtbot
):
    again = restored_without_model(qtbot, page, make_controller, converter, settings, read_model, pictures)
    again.set_model(Path("/horse"))
    again.remove([3])
    converter.go.clear()
    hold(qtbot, again, converter, "a.png")
    again.stop_for_closing()
    with qtbot.waitSignal(again.ended):
        converter.go.set()
    again.close()
    converter.hold_before = ""
    third = make_controller()
    with qtbot.waitSignal(third.ended):
        third.resume_unfinished()
    assert [path.name for path in converter.jobs[-1].sources] == ["a.png", "b.gif", "bad.png"]
    third.close()


def test_a_restored_batch_that_is_cleared_is_not_offered_again(
    page, make_controller, converter, settings, read_model, pictures, qtbot
):
    again = restored_without_model(qtbot, page, make_controller, converter, settings, read_model, pictures)
    again.clear()
    again.close()
    assert list(settings.queue_folder.glob("*.json*")) == []


def test_cancel_while_a_restored_batch_is_read_forgets_it(page, make_controller, converter, settings, pictures, qtbot):
    settings.library = [Path("/apple")]
    begin_and_leave(qtbot, make_controller, converter, pictures)
    again = make_controller()
    again.resume_unfinished()
    again.stop()
    qtbot.waitUntil(lambda: not again.is_looking)
    assert len(again.batch.files) == 4 and batch_states(again)[-1] is DRAFT and len(converter.jobs) == 1
    again.close()
    assert list(settings.queue_folder.glob("*.json*")) == []


def test_a_drop_on_a_batch_that_is_still_read_joins_it(
    page, make_controller, converter, settings, pictures, scans, qtbot
):
    settings.library = [Path("/apple")]
    begin_and_leave(qtbot, make_controller, converter, pictures)
    again = make_controller()
    again.resume_unfinished()
    again.add_sources([scans])
    with qtbot.waitSignal(again.ended):
        pass
    names = {path.name for path in converter.jobs[-1].sources}
    assert names == {"a.png", "b.gif", "bad.png", "c.png", "x.png", "y.png"}
    again.close()


def test_a_scan_of_another_batch_does_not_mix_up_those_that_are_read(
    page, make_controller, converter, settings, pictures, scans, tmp_path, qtbot
):
    settings.library = [Path("/apple")]
    controller = make_controller()
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans)
    controller.start()
    controller.stop_for_closing()
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    controller.close()
    again = make_controller()
    again.resume_unfinished()
    first = again._unfinished._loading
    again._arrivals.ended.emit(again.batches[-1])  # Some other batch was looked through.
    assert again._unfinished._loading is first
    qtbot.waitUntil(lambda: [batch.state for batch in again.batches] == [DONE, DONE])
    again.close()


def test_a_proposed_output_folder_stays_a_proposal_after_the_next_start(
    page, make_controller, converter, settings, pictures, qtbot
):
    settings.library = [Path("/apple")]
    begin_and_leave(qtbot, make_controller, converter, pictures)
    again = make_controller()
    with qtbot.waitSignal(again.ended):
        again.resume_unfinished()
    assert converter.jobs[-1].to == pictures.parent / "Photos - Oranges"
    assert again.batch.chosen_output is None
    assert label(page, "convert_others").text() == "2 other files left alone"
    again._row.mark([0])
    again.redo_marked()
    again.set_direction("b2a")
    assert again.output_folder == pictures.parent / "Photos - Apples"
    again.close()


def test_results_of_an_earlier_batch_are_called_skipped_also_after_the_next_start(
    page, make_controller, converter, settings, pictures, qtbot
):
    settings.library = [Path("/apple")]
    results = pictures.parent / "Photos - Oranges"
    results.mkdir()
    (results / "a.png").write_bytes(b"made before")
    converter.has_ledger = True
    controller = make_controller()
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "bad.png")
    controller.stop_for_closing()
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    controller.close()
    converter.hold_before = ""
    again = make_controller()
    with qtbot.waitSignal(again.ended):
        again.resume_unfinished()
    assert row_states(again) == [FileState.SKIPPED, FileState.DONE, FileState.FAILED, FileState.DONE]
    again.close()


def test_discard_can_be_undone(page, make_controller, converter, settings, pictures, qtbot):
    settings.library = [Path("/apple")]
    begin_and_leave(qtbot, make_controller, converter, pictures)
    again = make_controller()
    counts: list[int] = []
    again.offered.connect(counts.append)
    qtbot.waitUntil(lambda: counts == [1])
    press(qtbot, page, "unfinished_offer_1")
    assert page.unfinished.text.startswith("Discarded") and again.unfinished_count == 0
    press(qtbot, page, "unfinished_offer_0")
    assert again.unfinished_count == 1 and counts == [1, 0, 1]
    with qtbot.waitSignal(again.ended):
        press(qtbot, page, "unfinished_offer_0")
    assert converter.jobs[1] == converter.jobs[0]
    again.close()


def test_a_discard_that_is_not_undone_is_for_good(page, make_controller, converter, settings, pictures, qtbot):
    settings.library = [Path("/apple")]
    begin_and_leave(qtbot, make_controller, converter, pictures)
    again = make_controller()
    press(qtbot, page, "unfinished_offer_1")
    press(qtbot, page, "unfinished_offer_close")
    again._unfinished._store.wait()
    assert list(settings.queue_folder.glob("*.json*")) == []
    again.close()


# Watching


def test_those_behind_a_batch_that_watches_say_for_what_they_wait(
    page, make_controller, converter, settings, pictures, scans, qtbot
):
    from engine.events import Preparing

    settings.library = [Path("/apple")]

    def watch(job):
        yield ConvertPlanned((pictures / "a.png",), 0, job.to, "CPU", "fp32")
        yield Converted(0, pictures / "a.png", job.to / "a.png", (), 0.1)
        while job.watch and not converter.go.wait(0.01):
            yield Preparing("Watching for new pictures", 1, 1)

    controller = make_controller(convert=watch)
    add(qtbot, controller, pictures)
    page.options.set_choices(type(page.options.choices)(watch=True))
    page.options.choices_changed.emit()
    controller.start()
    qtbot.waitUntil(lambda: controller.batches[0].is_watching)
    add(qtbot, controller, scans)
    controller.start()
    assert label(page, "convert_status").text() == "Waits until the watching is stopped"
    assert controller.is_watching
    controller._refresh_panel()
    cells = [page.queue._table.index(0, column).data() for column in (1, 2)]
    assert cells == ["Watching", "1 done"]
    controller.show_batch(controller.batches[0])
    controller.stop()
    qtbot.waitUntil(lambda: batch_states(controller) == [DONE, DONE])
    assert not controller.is_watching
