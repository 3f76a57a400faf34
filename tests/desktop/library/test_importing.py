from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel, QLineEdit, QPushButton

from cyclegan_desktop.library.exporting import export
from cyclegan_desktop.library.import_dialog import ImportChoice, ImportDialog, Recognised
from cyclegan_desktop.library.importing import Importer, files_beside, free_model_file, models_folder, suggest_names
from cyclegan_desktop.library.page import LibraryPage
from engine.conversion.model_file import ModelInfo, read_model_info
from engine.errors import ConfigError, ModelFileError
from engine.model.architecture import Architecture


class FakeExchange:
    """Recognises every file as a generator from A to B unless it is called "bad", and imports when it may."""

    def __init__(self) -> None:
        self.read_files: list[list[str]] = []
        self.choices: list[ImportChoice] = []
        self.go = threading.Event()
        self.go.set()
        self.writing = threading.Event()
        self.failure: Exception | None = None

    def read(self, files: Sequence[Path]) -> Iterator[Recognised]:
        self.read_files.append([file.name for file in files])
        if any("bad" in file.name for file in files):
            raise ModelFileError(f"{files[0]} is damaged. Copy it again.")
        yield Recognised(tuple((file, "G_AB") for file in files), Architecture(), ("a2b",), False)

    def write(self, files: Sequence[Path], choice: ImportChoice) -> Iterator[ModelInfo]:
        self.choices.append(choice)
        self.writing.set()
        assert self.go.wait(20)
        if self.failure is not None:
            raise self.failure
        choice.to.parent.mkdir(parents=True, exist_ok=True)
        choice.to.touch()
        yield ModelInfo(
            choice.to, *choice.names, choice.size, Architecture(), "reference", 0, "2026-03-01", directions=("a2b",)
        )


@pytest.fixture
def fake():
    return FakeExchange()


@pytest.fixture
def importer(page, settings, fake):
    importer = Importer(page, settings, read=fake.read, write=fake.write)
    yield importer
    fake.go.set()
    importer.close()


def dialog_of(page: LibraryPage) -> ImportDialog:
    return page.window().findChild(ImportDialog)


def found(page: LibraryPage) -> str:
    return dialog_of(page).findChild(QLabel, "import_recognised").text()


def field(page: LibraryPage, name: str) -> QLineEdit:
    return dialog_of(page).findChild(QLineEdit, f"import_{name}")


def press(page: LibraryPage, name: str) -> None:
    button = dialog_of(page).findChild(QPushButton, f"import_{name}")
    assert button.isEnabled()
    button.click()


def recognised(qtbot, page: LibraryPage) -> None:
    qtbot.waitUntil(lambda: "ResNet" in found(page))


def test_a_file_becomes_a_model_with_a_name_for_each_domain(importer, page, fake, settings, qtbot, tmp_path):
    importer.begin([tmp_path / "horse2zebra.pth"])
    assert dialog_of(page).isVisible()
    recognised(qtbot, page)
    assert (field(page, "name_A").text(), field(page, "name_B").text()) == ("Horse", "Zebra")
    field(page, "name_B").setText("Zebras")
    expected = tmp_path / "Models" / "Horse and Zebras.safetensors"
    assert field(page, "to").text() == str(expected)
    with qtbot.waitSignal(importer.imported) as imported:
        press(page, "start")
    assert imported.args == [expected]
    assert fake.choices == [ImportChoice(("Horse", "Zebras"), expected, 256)]
    assert dialog_of(page).findChild(QLabel, "import_done").text() == "Horse and Zebras is imported"
    with qtbot.waitSignal(importer.convert_requested) as asked:
        press(page, "convert")
    assert asked.args == [expected]


def test_the_place_proposed_is_free_and_the_users_own_is_kept(importer, page, settings, qtbot, tmp_path):
    taken = models_folder(settings) / "Horse and Zebra.safetensors"
    taken.parent.mkdir()
    taken.touch()
    importer.begin([tmp_path / "horse2zebra.pth"])
    assert field(page, "to").text() == str(taken.with_name("Horse and Zebra (2).safetensors"))
    place = field(page, "to")
    place.clear()
    qtbot.keyClicks(place, str(tmp_path / "own.safetensors"))
    field(page, "name_A").setText("Mules")
    assert place.text() == str(tmp_path / "own.safetensors")
    recognised(qtbot, page)


def test_what_cannot_be_read_is_said_in_the_dialog_and_other_files_help(importer, page, fake, qtbot, tmp_path):
    importer.begin([tmp_path / "bad.pth"])
    qtbot.waitUntil(lambda: "is damaged. Copy it again." in found(page))
    dialog_of(page).files_chosen.emit([tmp_path / "good.pth"])
    recognised(qtbot, page)
    dialog_of(page).files_added.emit([tmp_path / "good.pth", tmp_path / "second.pth"])
    qtbot.waitUntil(lambda: len(fake.read_files) == 3)
    recognised(qtbot, page)
    assert fake.read_files == [["bad.pth"], ["good.pth"], ["good.pth", "second.pth"]]
    assert page.messages.texts == []


def test_files_dropped_while_the_dialog_is_open_take_the_place_of_those_shown(importer, page, fake, qtbot, tmp_path):
    importer.begin([tmp_path / "a.pth"])
    importer.begin([tmp_path / "b.pth"])
    recognised(qtbot, page)
    assert len(page.window().findChildren(ImportDialog)) == 1
    assert "b.pth" in [label.text() for label in dialog_of(page).findChildren(QLabel)]


@pytest.mark.parametrize(
    ("failure", "field_name"),
    [(ConfigError("size", "A picture size of 250 is no multiple of 4."), "size"), (ModelFileError("It is taken."), "")],
)
def test_a_refused_import_is_explained_and_can_be_tried_again(
    importer, page, fake, qtbot, tmp_path, failure, field_name
):
    importer.begin([tmp_path / "horse2zebra.pth"])
    recognised(qtbot, page)
    fake.failure = failure
    press(page, "start")
    error = dialog_of(page).findChild(QLabel, f"import_error_{field_name or 'other'}")
    qtbot.waitUntil(lambda: error.text() == str(failure))
    assert page.messages.texts == []
    fake.failure = None
    with qtbot.waitSignal(importer.imported):
        press(page, "start")


def test_the_next_import_may_begin_as_soon_as_the_outcome_of_the_last_is_told(
    importer, page, fake, qtbot, tmp_path, monkeypatch
):
    show_problem = ImportDialog.show_problem

    def show_and_press(dialog, *words):
        show_problem(dialog, *words)
        fake.failure = None
        press(page, "start")

    monkeypatch.setattr(ImportDialog, "show_problem", show_and_press)
    importer.imported.connect(lambda _: importer.begin([tmp_path / "cat2dog.pth"]))
    importer.begin([tmp_path / "horse2zebra.pth"])
    recognised(qtbot, page)
    fake.failure = ModelFileError("It is taken.")
    with qtbot.waitSignal(importer.imported):
        press(page, "start")
    assert page.messages.texts == []
    assert len(fake.choices) == 2


def test_files_that_come_after_an_import_are_the_next_import(importer, page, fake, qtbot, tmp_path):
    importer.begin([tmp_path / "horse2zebra.pth"])
    recognised(qtbot, page)
    field(page, "name_A").setText("Mules")
    with qtbot.waitSignal(importer.imported):
        press(page, "start")
    assert dialog_of(page).findChild(QLabel, "import_done").isVisible()
    importer.begin([tmp_path / "cat2dog.pth"])
    recognised(qtbot, page)
    assert field(page, "name_A").isVisible()
    assert [field(page, name).text() for name in ("name_A", "name_B")] == ["Cat", "Dog"]
    assert field(page, "to").text() == str(tmp_path / "Models" / "Cat and Dog.safetensors")
    with qtbot.waitSignal(importer.imported):
        press(page, "start")


def test_one_import_at_a_time_and_a_closed_dialog_does_not_lose_it(importer, page, fake, qtbot, tmp_path):
    importer.begin([tmp_path / "horse2zebra.pth"])
    recognised(qtbot, page)
    fake.go.clear()
    press(page, "start")
    qtbot.waitUntil(fake.writing.is_set)
    dialog_of(page).reject()
    importer.begin([tmp_path / "other.pth"])
    assert "being imported" in page.messages.texts[0]
    with qtbot.waitSignal(importer.imported):
        fake.go.set()
    qtbot.waitUntil(lambda: not importer._writing.is_running)
    importer.begin([tmp_path / "other.pth"])
    qtbot.waitUntil(lambda: "ResNet" in page.window().findChildren(ImportDialog)[-1]._recognised_label.text())
    assert len(fake.choices) == 1


def test_a_failure_after_the_dialog_was_closed_stands_on_the_page(importer, page, fake, qtbot, tmp_path):
    importer.begin([tmp_path / "horse2zebra.pth"])
    recognised(qtbot, page)
    fake.go.clear()
    press(page, "start")
    dialog_of(page).reject()
    fake.failure = ModelFileError("The disk is full.")
    fake.go.set()
    qtbot.waitUntil(lambda: page.messages.texts == ["The disk is full."])


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("horse2zebra.pth", ("Horse", "Zebra")),
        ("horse2zebra_cyclegan/latest_net_G_A.pth", ("Horse", "Zebra")),
        ("summer2winter_yosemite/latest_net_G_A.pth", ("Summer", "Winter")),
        ("style_monet/latest_net_G.pth", ("", "")),
        ("mine/200_net_G_A.pth", ("", "")),
    ],
)
def test_names_are_taken_from_the_file_or_its_folder(path, names):
    assert suggest_names([Path("/checkpoints") / path]) == names
    assert suggest_names([]) == ("", "")


def test_a_name_becomes_a_file_name_on_every_system(tmp_path):
    assert free_model_file(tmp_path, "A/C: <day>", "Night").name == "A-C- -day- and Night.safetensors"
    assert free_model_file(tmp_path, "", "Night").name == "Model.safetensors"


def test_long_names_become_a_file_name_that_every_disk_takes(importer, page, settings, qtbot, tmp_path):
    importer.begin([tmp_path / "horse2zebra.pth"])
    recognised(qtbot, page)
    field(page, "name_A").setText("马" * 50)
    field(page, "name_B").setText("斑" * 50)
    place = Path(field(page, "to").text())
    assert place.name.startswith("马" * 50 + " and 斑")
    assert place.suffix == ".safetensors"
    with qtbot.waitSignal(importer.imported):
        press(page, "start")
    assert free_model_file(place.parent, "马" * 50, "斑" * 50).name.endswith(" (2).safetensors")


def test_the_other_networks_of_the_same_epoch_are_found(tmp_path):
    for name in ("latest_net_G_A", "latest_net_G_B", "latest_net_D_A", "200_net_G_A", "200_net_G_B", "notes"):
        (tmp_path / f"{name}.pth").touch()
    chosen = tmp_path / "latest_net_G_A.pth"
    assert files_beside([chosen]) == [tmp_path / "latest_net_G_B.pth", tmp_path / "latest_net_D_A.pth"]
    assert files_beside([chosen, tmp_path / "latest_net_G_B.pth", tmp_path / "latest_net_D_A.pth"]) == []
    assert files_beside([tmp_path / "notes.pth"]) == []


def test_the_engine_imports_a_generator_of_the_reference_and_exports_it_again(page, settings, qtbot, tmp_path):
    import torch

    from engine.model.generator import make_generator

    architecture = Architecture(blocks=2, channels=4)
    file = tmp_path / "apple2orange.pth"
    torch.save(make_generator(architecture, "a2b").state_dict(), file)
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(file.read_bytes()[:3000])
    importer = Importer(page, settings)
    importer.begin([damaged])
    qtbot.waitUntil(lambda: f"{damaged} is damaged" in found(page).replace("\u200b", ""), timeout=60_000)
    dialog_of(page).files_chosen.emit([file])
    qtbot.waitUntil(lambda: "ResNet, 2 blocks, 4 channels; Apple to Orange only" in found(page), timeout=60_000)
    with qtbot.waitSignal(importer.imported, timeout=60_000) as imported:
        press(page, "start")
    info = read_model_info(imported.args[0])
    assert info.path == tmp_path / "Models" / "Apple and Orange.safetensors"
    assert (info.name_A, info.name_B, info.architecture, info.directions) == (
        "Apple",
        "Orange",
        architecture,
        ("a2b",),
    )
    assert "apple2orange.pth" in info.note
    importer.close()
    ((again,),) = export(info.path, "pth", tmp_path / "exported")
    first, second = (torch.load(path, weights_only=True) for path in (file, again))
    assert set(first) == set(second)
    assert all(torch.equal(first[key], second[key]) for key in first)
    ((card,),) = export(info.path, "card", tmp_path / "card.json")
    assert json.loads(card.read_text(encoding="utf-8"))["names"] == {"A": "Apple", "B": "Orange"}
