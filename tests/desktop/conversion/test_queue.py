"""Several batches on the Convert page: they wait, pause, go on, and watch."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QToolButton

from cyclegan_desktop.conversion.batches import BatchState
from cyclegan_desktop.conversion.file_list import FileState
from engine.errors import ModelFileError
from engine.events import (
    Converted,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    FilesFound,
    Preparing,
    WaitingForSpace,
)
from tests.desktop.conversion.acts import (
    add,
    batch_states,
    button,
    hold,
    label,
    press,
    row_states,
)

DRAFT, WAITING, RUNNING, PAUSED = BatchState.DRAFT, BatchState.WAITING, BatchState.RUNNING, BatchState.PAUSED
DONE, STOPPED, FAILED = BatchState.DONE, BatchState.STOPPED, BatchState.FAILED


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
    assert label(page, "convert_status").text() == "3 converted  ·  1 failed  ·  by PyTorch"
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
    assert label(page, "convert_status").text() == "1 converted  ·  3 canceled  ·  by PyTorch"


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


def test_a_redo_is_called_so(page, controller, pictures, qtbot):
    add(qtbot, controller, pictures)
    with qtbot.waitSignal(controller.ended):
        controller.start()
    controller._row.mark([0])
    controller.redo_marked()
    assert controller.batch.name == "Photos, Apples to Oranges, redo"


def test_other_choices_take_back_what_was_offered_for_the_old_ones(page, controller, pictures, qtbot):
    add(qtbot, controller, pictures / "a.png")
    with qtbot.waitSignal(controller.ended):
        controller.start()
    controller.start()
    assert "converted already" in page.offer.text
    page.findChild(object, "convert_format").setCurrentText("WebP")
    assert page.offer.text == ""


def test_those_behind_a_batch_that_watches_say_for_what_they_wait(
    page, make_controller, converter, settings, pictures, scans, qtbot
):
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
