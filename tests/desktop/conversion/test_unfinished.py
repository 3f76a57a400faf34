"""What was not finished, offered at the next start."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cyclegan_desktop.conversion.batches import BatchState
from cyclegan_desktop.conversion.file_list import FileState
from engine.errors import ModelFileError
from tests.desktop.conversion.acts import (
    add,
    batch_states,
    begin_and_leave,
    gone,
    hold,
    label,
    leave,
    press,
    row_states,
)

DRAFT = BatchState.DRAFT
DONE = BatchState.DONE


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


# The batches that go on


def test_a_batch_taken_off_the_list_while_it_is_read_disturbs_no_other(
    page, make_controller, converter, settings, pictures, scans, qtbot
):
    settings.library = [Path("/apple")]
    controller = make_controller()
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans)
    controller.start()
    leave(qtbot, controller, converter)
    again = make_controller()
    again.resume_unfinished()
    again.remove_batch(again.batch)
    qtbot.waitUntil(lambda: [batch.state for batch in again.batches] == [DONE])
    assert [path.name for path in converter.jobs[-1].sources] == ["x.png", "y.png"]
    again.close()
    make_controller().close()
    assert page.unfinished.text == ""


def test_a_scan_of_another_batch_does_not_mix_up_those_that_are_read(
    page, make_controller, converter, settings, pictures, scans, tmp_path, qtbot
):
    settings.library = [Path("/apple")]
    controller = make_controller()
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    add(qtbot, controller, scans)
    controller.start()
    leave(qtbot, controller, converter)
    again = make_controller()
    again.resume_unfinished()
    first = again._unfinished._loading
    again._arrivals.ended.emit(again.batches[-1])  # Some other batch was looked through.
    assert again._unfinished._loading is first
    qtbot.waitUntil(lambda: [batch.state for batch in again.batches] == [DONE, DONE])
    again.close()


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
    leave(qtbot, controller, converter)
    converter.hold_before = ""
    again = make_controller()
    with qtbot.waitSignal(again.ended):
        again.resume_unfinished()
    assert row_states(again) == [FileState.SKIPPED, FileState.DONE, FileState.FAILED, FileState.DONE]
    again.close()


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


# Without their model


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
    leave(qtbot, again, converter)
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
