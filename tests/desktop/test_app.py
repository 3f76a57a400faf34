from __future__ import annotations

import locale
import os
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QMimeData, QObject, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QCheckBox, QDialog, QPushButton, QToolButton, QWidget

from cyclegan_desktop.app import App
from cyclegan_desktop.library.page import LibraryPage
from cyclegan_desktop.main_window import Page
from cyclegan_desktop.settings import Settings
from cyclegan_desktop.start import make_application
from engine.events import (
    Converted,
    ConvertPlanned,
    Losses,
    StepReport,
    TrainStarted,
)


class Windows(QObject):
    """Writes down which windows are shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[QWidget] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
            self.shown.append(watched)
        return False


def test_no_part_of_a_page_flashes_up_as_a_window_while_it_is_made(qapp, qtbot, settings):
    windows = Windows()
    qapp.installEventFilter(windows)
    try:
        app = App(settings)
        qtbot.addWidget(app.window)
        for _ in app.training.make_plots():
            pass
        assert windows.shown == []
    finally:
        qapp.removeEventFilter(windows)
        app.window.close()
        app.close()


@pytest.fixture
def app(own_look, qtbot, settings, monkeypatch):
    make_application()
    app = App(settings)

    def finish(window):
        window.set_training(False)
        window.stay_open()
        app.close()
        app.conversion.close()
        app.library.close()

    # pytest-qt destroys its widgets before the fixtures that use them end.
    qtbot.addWidget(app.window, before_close_func=finish)
    with qtbot.waitExposed(app.window):
        app.show()
    return app


@pytest.fixture
def asked(app, monkeypatch):
    """What the controllers were asked for."""
    calls: list[tuple[str, object]] = []
    for controller, name in (
        (app.training, "new_training"),
        (app.training, "resume"),
        (app.training, "show_run"),
        (app.training, "stop"),
        (app.conversion, "add_sources"),
        (app.conversion, "set_model"),
        (app.conversion, "stop_for_closing"),
        (app.library, "import_files"),
    ):
        monkeypatch.setattr(
            controller, name, lambda *values, name=name, **named: calls.append((name, *values, *named.items()))
        )
    return calls


def drop(window, *paths: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    middle = window.rect().center()
    QApplication.sendEvent(window, QDragEnterEvent(middle, Qt.DropAction.CopyAction, mime, buttons, keys))
    QApplication.sendEvent(window, QDropEvent(QPointF(middle), Qt.DropAction.CopyAction, mime, buttons, keys))


@pytest.fixture
def domains(tmp_path) -> Path:
    for name in ("trainA", "trainB"):
        (tmp_path / "domains" / name).mkdir(parents=True)
    return tmp_path / "domains"


def test_a_model_file_dropped_anywhere_is_ready_to_convert_with(app, asked, make_model, tmp_path):
    model = make_model(tmp_path / "m.safetensors")
    app.window.show_page(Page.MODELS)
    drop(app.window, model)
    assert app.window.page == Page.CONVERT
    assert asked == [("set_model", model)]
    assert app.settings.library == [model]


def test_a_run_dropped_anywhere_is_ready_to_convert_with(app, asked, make_run, tmp_path):
    run = make_run(tmp_path / "run")
    drop(app.window, run)
    assert app.window.page == Page.CONVERT
    assert asked == [("set_model", run)]
    assert app.settings.library == [run]


def test_a_file_that_only_ends_like_a_model_is_explained_there_and_not_kept(app, asked, tmp_path):
    file = tmp_path / "x.SAFETENSORS"
    file.write_bytes(b"x")
    drop(app.window, file)
    assert asked == [("set_model", file)]
    assert app.settings.library == []


def test_a_folder_with_any_other_config_json_is_a_folder_of_pictures(app, asked, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    app.window.show_page(Page.CONVERT)
    drop(app.window, tmp_path)
    assert asked == [("add_sources", [tmp_path])]


@pytest.mark.parametrize("parts", [[""], ["trainA"], ["trainA", "trainB"]])
def test_folders_dropped_on_the_train_page_begin_a_training(app, asked, domains, parts):
    drop(app.window, *(domains / part for part in parts))
    assert app.window.page == Page.TRAIN
    assert asked == [("new_training", [domains / part for part in parts])]


def test_folders_are_converted_while_a_training_runs(app, asked, domains, monkeypatch):
    monkeypatch.setattr(type(app.training), "is_busy", property(lambda self: True))
    drop(app.window, domains)
    assert app.window.page == Page.CONVERT
    assert asked == [("add_sources", [domains])]


@pytest.mark.parametrize("page", [Page.CONVERT, Page.MODELS])
def test_folders_are_converted_from_the_other_pages(app, asked, domains, page):
    app.window.show_page(page)
    drop(app.window, domains)
    assert app.window.page == Page.CONVERT
    assert asked == [("add_sources", [domains])]


def test_pictures_are_converted_from_every_page(app, asked, tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"x")
    drop(app.window, picture, tmp_path)
    assert app.window.page == Page.CONVERT
    assert asked == [("add_sources", [picture, tmp_path])]


@pytest.mark.parametrize("suffix", ["", ".safetensors", ".pth"])
def test_a_path_that_is_too_long_is_explained_where_it_belongs(app, asked, suffix):
    app.window.show_page(Page.TRAIN)
    path = Path("/", "x" * 300 + suffix)
    app.open_paths([path])
    name = {"": "add_sources", ".safetensors": "set_model", ".pth": "import_files"}[suffix]
    assert [(call[0], *call[1:2]) for call in asked] == [(name, path if suffix == ".safetensors" else [path])]


@pytest.mark.parametrize("page", list(Page))
def test_weights_of_the_reference_are_imported_from_every_page(app, asked, tmp_path, page):
    app.window.show_page(page)
    weights = [tmp_path / "latest_net_G_A.pth", tmp_path / "latest_net_G_B.pth"]
    drop(app.window, *weights)
    assert asked == [("import_files", weights)]
    assert app.window.page == page


def test_weights_dropped_together_with_pictures_keep_nothing_from_being_converted(app, asked, tmp_path):
    drop(app.window, tmp_path / "a.png", tmp_path / "x.pth")
    assert asked == [("import_files", [tmp_path / "x.pth"]), ("add_sources", [tmp_path / "a.png"])]


def test_weights_dropped_on_the_list_of_pictures_are_imported_as_well(app, qtbot, tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(app.library._importer, "begin", begun.append)
    app.conversion.add_sources([tmp_path / "x.pth"])
    assert begun == [[tmp_path / "x.pth"]]


def test_an_imported_model_is_shown_on_the_models_page(app, tmp_path):
    app.library.imported.emit(tmp_path / "m.safetensors")
    assert app.window.page == Page.MODELS


def test_fine_tuning_begins_on_the_train_page(app, asked, tmp_path):
    app.window.show_page(Page.MODELS)
    app.library.fine_tune_requested.emit(tmp_path)
    assert app.window.page == Page.TRAIN
    assert asked == [("new_training", ("start_from", tmp_path))]


def test_a_training_like_another_begins_on_the_train_page(app, tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(app.training, "new_alike", begun.append)
    app.window.show_page(Page.MODELS)
    app.window.findChild(LibraryPage).duplicate_requested.emit(tmp_path)
    assert app.window.page == Page.TRAIN
    assert begun == [tmp_path]


def test_the_models_page_leads_to_the_others(app, asked, tmp_path):
    app.library.resume_requested.emit(tmp_path)
    assert app.window.page == Page.TRAIN
    app.library.convert_requested.emit(tmp_path)
    assert app.window.page == Page.CONVERT
    assert asked == [("resume", tmp_path), ("set_model", tmp_path)]


def test_a_training_is_opened_on_the_train_page(app, asked, tmp_path):
    app.window.show_page(Page.MODELS)
    app.library.open_requested.emit(tmp_path)
    assert app.window.page == Page.TRAIN
    assert asked == [("show_run", tmp_path)]


@pytest.mark.parametrize("width", [960, 1240])
def test_every_button_of_the_models_page_has_room_for_its_words(app, make_run, settings, qtbot, width):
    make_run(settings.runs_folder / "run")
    app.window.resize(width, 600)
    app.window.show_page(Page.MODELS)
    page = app.window.findChild(LibraryPage)
    names = ("convert", "open", "resume", "fine_tune", "export", "more", "reveal", "remove")
    made = [page.findChild(QPushButton, f"library_{name}") for name in names]
    qtbot.waitUntil(lambda: all(each.isVisible() for each in made))
    qtbot.waitUntil(lambda: [each.objectName() for each in made if each.width() < each.sizeHint().width()] == [])


def test_the_title_follows_the_work(app, tmp_path, qtbot):
    training, conversion = app.training, app.conversion
    training.busy_changed.emit(True)
    training.event.emit(TrainStarted(tmp_path, "Apples", "Oranges", 0, 200, 10, 20, 40, 40, "CPU", "fp32"))
    qtbot.waitUntil(lambda: app.window.windowTitle().startswith("Training Apples and Oranges, 0%"))
    training.event.emit(StepReport(50, 200, 5, 20, 10.0, 5.0, 30.0, 2e-4, Losses(*[0.5] * 8)))
    qtbot.waitUntil(lambda: app.window.windowTitle().startswith("Training Apples and Oranges, 25%"))
    ends_by_the_clock = StepReport(51, 200, 5, 20, 10.0, 1.0, 10.0, 2e-4, Losses(*[0.5] * 8))
    training.event.emit(ends_by_the_clock)
    qtbot.waitUntil(lambda: app.window.windowTitle().startswith("Training Apples and Oranges, 50%"))
    training.busy_changed.emit(False)
    conversion.busy_changed.emit(True)
    conversion.event.emit(ConvertPlanned((tmp_path, tmp_path), 0, tmp_path, "CPU", "fp32"))
    conversion.event.emit(Converted(0, tmp_path, tmp_path, (), 0.1))
    qtbot.waitUntil(lambda: app.window.windowTitle().startswith("Converting, 1 of 2"))
    conversion.busy_changed.emit(False)
    assert app.window.windowTitle() == "CycleGAN Desktop"


def test_closing_stops_what_runs_and_waits_for_it(app, asked, qtbot):
    app.training.busy_changed.emit(True)
    app.window.stop_and_close()
    assert ("stop",) in asked
    assert app.window.isVisible()
    with qtbot.waitSignal(app.window.closed):
        app.training.busy_changed.emit(False)
        app.training.ended.emit("stopped")


def test_a_training_that_could_not_be_saved_keeps_the_window_open(app, asked):
    app.training.busy_changed.emit(True)
    app.window.stop_and_close()
    app.training.busy_changed.emit(False)
    app.training.ended.emit("failed")
    QApplication.processEvents()
    assert app.window.isVisible()


@pytest.mark.skipif(os.name != "posix", reason="Qt changes the locale on POSIX only")
def test_numbers_are_written_with_points_whatever_the_users_language(app):
    assert locale.setlocale(locale.LC_NUMERIC) == "C"


def test_the_application_has_a_name_and_an_icon(app, qapp):
    assert qapp.applicationName() == "CycleGAN Desktop"
    assert not qapp.windowIcon().isNull()


def test_the_way_to_compare_is_remembered(app, settings):
    comparison = app.conversion._page.comparison
    comparison.set_mode("side")
    assert Settings.load(settings.path).compare_mode == "side"


@pytest.fixture
def remembered(settings):
    settings.compare_mode = "toggle"


def test_the_way_to_compare_comes_back_at_the_start(remembered, app):
    assert app.conversion._page.comparison.view.mode == "toggle"


def test_conversions_that_were_not_finished_are_counted_in_the_sidebar(app):
    button = app.window.findChild(QToolButton, "show_convert")
    assert button.accessibleDescription() == ""
    app.conversion.offered.emit(2)
    assert button.accessibleDescription() == "2 conversions were not finished"
    app.conversion.offered.emit(0)
    assert button.accessibleDescription() == ""


def test_trainings_that_were_interrupted_are_counted_in_the_sidebar(app):
    button = app.window.findChild(QToolButton, "show_train")
    app.training.interrupted_changed.emit(1)
    assert button.accessibleDescription() == "1 training was interrupted"
    app.training.interrupted_changed.emit(0)
    assert button.accessibleDescription() == ""


def test_the_title_tells_pauses_apart(app, tmp_path, qtbot):
    training = app.training
    training.state_changed.emit("working")
    training.busy_changed.emit(True)
    training.event.emit(TrainStarted(tmp_path, "Apples", "Oranges", 50, 200, 10, 20, 40, 40, "CPU", "fp32"))
    for state, words in (
        ("working", "Training Apples and Oranges, 25%"),
        ("paused", "Paused: Apples and Oranges, 25%"),
        ("freeing", "Stopping: Apples and Oranges, 25%"),
    ):
        training.state_changed.emit(state)
        assert app.window.windowTitle() == f"{words} - CycleGAN Desktop"
    training.busy_changed.emit(False)
    training.state_changed.emit("freed")
    assert app.window.windowTitle() == "Paused, memory freed: Apples and Oranges, 25% - CycleGAN Desktop"
    training.state_changed.emit("idle")
    assert app.window.windowTitle() == "CycleGAN Desktop"


def test_the_machine_may_sleep_only_while_nothing_works(app, monkeypatch):
    reasons = app.awake._reasons
    for state, holds in (("working", True), ("paused", False), ("stopping", True), ("freed", False), ("idle", False)):
        app.training.state_changed.emit(state)
        assert ("training" in reasons) == holds
    app.conversion.busy_changed.emit(True)
    assert reasons == {"conversion"}
    app.conversion.busy_changed.emit(False)
    assert not reasons


def test_preferences_take_effect_at_once(app, settings):
    app.window.findChild(QToolButton, "show_preferences").click()
    app.window.findChild(QCheckBox, "keep_awake").click()
    app.training.state_changed.emit("working")
    assert not app.awake._is_asked
    app.training.state_changed.emit("idle")
    app.window.findChild(QDialog, "preferences_dialog").accept()


def test_progress_goes_to_the_task_bar(app, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(app._taskbar, "show", lambda state, share=0.0: shown.append((state, share)))
    app.training.state_changed.emit("working")
    app.training.event.emit(TrainStarted(tmp_path, "A", "B", 50, 200, 10, 20, 40, 40, "CPU", "fp32"))
    app.training.state_changed.emit("paused")
    app.training.state_changed.emit("idle")
    assert shown[1:] == [("working", 0.25), ("paused", 0.25), ("none", 0.0)]
