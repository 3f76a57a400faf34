from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QListWidget, QPushButton

from cyclegan_desktop.library import controller as controller_module
from cyclegan_desktop.library.controller import LibraryController
from cyclegan_desktop.library.import_dialog import ImportChoice, Recognised
from cyclegan_desktop.library.importing import Importer
from cyclegan_desktop.library.page import LibraryPage
from cyclegan_desktop.settings import Settings
from engine.conversion.model_file import ModelInfo, read_model_info
from engine.model.architecture import Architecture
from engine.training.run import Run


@pytest.fixture
def starter(tmp_path, make_model, monkeypatch):
    path = make_model(tmp_path / "starter.safetensors")
    monkeypatch.setattr(controller_module, "starter_model", lambda: path)
    return path


@pytest.fixture
def revealed():
    return []


@pytest.fixture
def controller(page, settings, starter, revealed):
    controller = LibraryController(page, settings, reveal=revealed.append)
    yield controller
    controller.close()


class Importing:
    """A controller that imports every file as the same model, and whether that is written."""

    def __init__(self, page: LibraryPage, settings: Settings, make_model: Callable[[Path], Path], model: Path) -> None:
        self.written = threading.Event()
        self._make_model = make_model
        self._model = model
        importer = Importer(page, settings, read=self._read, write=self._write)
        self.controller = LibraryController(page, settings, importer=importer)

    def _read(self, files: Sequence[Path]) -> Iterator[Recognised]:
        yield Recognised(((files[0], "G_AB"),), Architecture(), ("a2b",), False)

    def _write(self, files: Sequence[Path], choice: ImportChoice) -> Iterator[ModelInfo]:
        yield read_model_info(self._make_model(self._model))
        self.written.set()


@pytest.fixture
def importing(page, settings, starter, make_model, tmp_path):
    importing = Importing(page, settings, make_model, tmp_path / "imported.safetensors")
    yield importing
    importing.controller.close()


def listed(page: LibraryPage) -> list[tuple[str, str]]:
    listing = page.findChild(QListWidget, "library_list")
    entries = [listing.item(row).data(Qt.ItemDataRole.UserRole) for row in range(listing.count())]
    return [(entry.path.name, entry.kind) for entry in entries]


def test_at_the_first_start_the_starter_is_there(controller, page, qtbot):
    controller.refresh()
    qtbot.waitUntil(lambda: listed(page) == [("starter.safetensors", "starter")])


def test_known_and_found_trainings_are_listed(controller, page, qtbot, settings, make_run, tmp_path):
    make_run(settings.runs_folder / "found")
    settings.remember_in_library(make_run(tmp_path / "elsewhere"))
    settings.remember_in_library(tmp_path / "gone")
    controller.refresh()
    expected = [("gone", "missing"), ("elsewhere", "run"), ("found", "run"), ("starter.safetensors", "starter")]
    qtbot.waitUntil(lambda: listed(page) == expected)


def test_after_closing_nothing_more_comes_to_the_page(controller, page, qapp, starter):
    controller.refresh()
    controller._reading._thread.wait()
    controller.close()
    assert listed(page) == [("starter.safetensors", "starter")]
    page.show_entry = None
    page.arrange = None
    qapp.processEvents()


def test_asking_again_while_reading_reads_once_more(controller, page, qtbot, settings, make_run):
    controller.refresh()
    make_run(settings.runs_folder / "new")
    for _ in range(5):
        controller.refresh()
    qtbot.waitUntil(lambda: ("new", "run") in listed(page))


def test_removing_takes_it_off_the_list_and_deletes_nothing(controller, page, qtbot, settings, make_run, tmp_path):
    run = make_run(settings.runs_folder / "run")
    settings.remember_in_library(run)
    controller.refresh()
    qtbot.waitUntil(lambda: len(listed(page)) == 2)
    with qtbot.waitSignal(controller.models_changed):
        page.remove_requested.emit(run)
    qtbot.waitUntil(lambda: listed(page) == [("starter.safetensors", "starter")])
    assert (run / "model.safetensors").exists()


def test_a_model_file_is_added(controller, page, qtbot, settings, make_model, tmp_path):
    model = make_model(tmp_path / "new.safetensors")
    with qtbot.waitSignal(controller.models_changed):
        page.add_requested.emit(model)
    qtbot.waitUntil(lambda: ("new.safetensors", "model") in listed(page))
    assert settings.library == [model]


def test_an_imported_model_is_on_the_list_and_chosen(importing, page, settings, qtbot, make_run, tmp_path):
    make_run(settings.runs_folder / "run")

    importing.controller.refresh()
    qtbot.waitUntil(lambda: len(listed(page)) == 2)
    page.import_requested.emit([tmp_path / "horse2zebra.pth"])
    button = page.window().findChild(QPushButton, "import_start")
    qtbot.waitUntil(button.isEnabled)
    with qtbot.waitSignals([importing.controller.models_changed, importing.controller.imported]):
        button.click()
    qtbot.waitUntil(lambda: page.current_path() == tmp_path / "imported.safetensors")
    assert settings.library == [tmp_path / "imported.safetensors"]
    with qtbot.waitSignal(importing.controller.convert_requested) as asked:
        page.window().findChild(QPushButton, "import_convert").click()
    assert asked.args == [tmp_path / "imported.safetensors"]


def test_an_import_that_is_done_while_closing_starts_nothing_more(importing, page, settings, qtbot, tmp_path):
    controller = importing.controller
    page.import_requested.emit([tmp_path / "horse2zebra.pth"])
    button = page.window().findChild(QPushButton, "import_start")
    qtbot.waitUntil(button.isEnabled)
    # Nobody hears of the end of either thread before closing.
    button.click()
    assert importing.written.wait(20)
    controller.refresh()
    controller.close()
    assert settings.library == [tmp_path / "imported.safetensors"]
    assert not controller._reading.is_running


def test_a_file_that_is_no_model_is_named_and_not_added(controller, page, settings, tmp_path):
    file = tmp_path / "no.safetensors"
    file.write_bytes(b"x")
    controller.add(file)
    assert str(file) in page.messages.texts[0]
    assert settings.library == []


def test_revealing_is_asked_of_the_system(controller, page, revealed, tmp_path):
    page.reveal_requested.emit(tmp_path)
    assert revealed == [tmp_path]


def test_a_fault_in_reading_is_shown_and_reading_works_again(controller, page, qtbot, monkeypatch):
    def broken(*_):
        raise RuntimeError("a bug")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(controller_module, "read_library", broken)
        controller.refresh()
        qtbot.waitUntil(lambda: any("a bug" in text for text in page.messages.texts))
    controller.refresh()
    qtbot.waitUntil(lambda: len(listed(page)) == 1)


def texts(page: LibraryPage) -> str:
    return " ".join(page.messages.texts)


def test_a_training_that_is_named_is_listed_by_that_name(controller, page, qtbot, settings, make_run):
    path = make_run(settings.runs_folder / "found")
    page.describe_requested.emit(path, "Second try", "Better.")
    listing = page.findChild(QListWidget, "library_list")
    qtbot.waitUntil(lambda: listing.count() == 2 and listing.item(0).text() == "Second try")
    page.describe_requested.emit(path, "two\nlines", "")
    assert "at most 100 characters" in texts(page)


def test_cleaning_up_says_what_it_freed(controller, page, qtbot, settings, make_run):
    path = make_run(settings.runs_folder / "found")
    (path / "checkpoints" / ".step_00000004.safetensors.part-0123abcd").write_bytes(b"x" * 5000)
    page.clean_up_requested.emit(path, [])
    qtbot.waitUntil(lambda: "5.0 KB freed." in texts(page))


def test_what_was_put_into_the_trash_is_off_the_list_and_comes_back_with_it(page, qtbot, settings, make_run, starter):
    path = make_run(settings.runs_folder / "found")
    settings.remember_in_library(path)
    aside = path.with_name("trashed")
    controller = LibraryController(page, settings, trash=lambda path: bool(path.rename(aside)))
    controller.refresh()
    page.trash_requested.emit(path)
    qtbot.waitUntil(lambda: listed(page) == [("starter.safetensors", "starter"), ("trashed", "run")][::-1])
    assert path not in settings.library
    aside.rename(path)
    controller.refresh()
    qtbot.waitUntil(lambda: ("found", "run") in listed(page))
    controller.close()


def test_a_training_at_work_or_without_a_trash_stays(page, qtbot, settings, make_run, starter):
    path = make_run(settings.runs_folder / "found")
    tried = []
    controller = LibraryController(page, settings, trash=lambda path: bool(tried.append(path)))
    at_work = Run.open(path)
    page.trash_requested.emit(path)
    qtbot.waitUntil(lambda: "being trained" in texts(page))
    at_work.close()
    assert not tried
    page.messages.clear()
    page.trash_requested.emit(path)
    qtbot.waitUntil(lambda: "could not be moved to the trash" in texts(page))
    assert tried == [path]
    controller.close()
