"""The models that Convert offers, and those that are away."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QComboBox

from cyclegan_desktop.conversion.batches import BatchState
from tests.desktop.conversion.acts import (
    add,
    batch_states,
    button,
    convert,
    gone,
    label,
    states,
)

DRAFT = BatchState.DRAFT


def test_a_model_of_last_time_that_is_away_is_not_replaced_by_another(page, make_controller, settings, read_model):
    settings.library = [Path("/apple"), Path("/horse")]
    settings.last_model = Path("/horse/model.safetensors")
    controller = make_controller(read_model=gone(read_model, ["horse"]))
    assert controller.batch.model is None and page.findChild(object, "convert_model").currentIndex() == -1
    assert label(page, "convert_model_error").text().startswith("The model ")


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
    add(qtbot, controller, pictures / "a.png")
    assert convert(qtbot, controller) == "done"
    assert converter.jobs[-1].direction == "a2b"
    # The wish is remembered for models that can do both.
    controller.set_model(tmp_path / "apple.safetensors")
    assert button(page, "convert_b2a").isChecked() and settings.last_direction == "b2a"
    assert button(page, "convert_a2b").isEnabled() and not hint.isVisibleTo(page)


def test_a_file_that_is_no_model_is_a_message_and_the_model_stays(page, controller, pictures, tmp_path, qtbot):
    controller.add_sources([tmp_path / "letter.safetensors"])
    assert "letter.safetensors is no model file" in page.messages.texts[0]
    box = page.findChild(QComboBox, "convert_model")
    assert box.currentText().startswith("apple run") and not box.property("invalid")
    assert not label(page, "convert_model_error").isVisibleTo(page)
    add(qtbot, controller, pictures)
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
