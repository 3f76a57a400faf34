from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel, QPushButton

from cyclegan_desktop.library.entries import LibraryEntry
from cyclegan_desktop.library.exporting import Exporter
from cyclegan_desktop.library.page import ExportKind, LibraryPage
from engine.errors import ModelFileError

MODEL = Path("/models/fruit.safetensors")


class FakeExport:
    """Writes nothing, and only when it may."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, ExportKind, Path]] = []
        self.go = threading.Event()
        self.go.set()
        self.failure: Exception | None = None
        self.names = ("latest_net_G_A.pth", "latest_net_G_B.pth")

    def __call__(self, model: Path, kind: ExportKind, to: Path) -> Iterator[tuple[Path, ...]]:
        self.asked.append((model, kind, to))
        assert self.go.wait(20)
        if self.failure is not None:
            raise self.failure
        yield tuple(to / name for name in self.names)


@pytest.fixture
def fake():
    return FakeExport()


@pytest.fixture
def page(page):
    page.show_entry(LibraryEntry(path=MODEL, kind="model", name_A="Apples", name_B="Oranges", model=MODEL))
    return page


@pytest.fixture
def exporter(page, fake):
    exporter = Exporter(page, write=fake)
    yield exporter
    fake.go.set()
    exporter.close()


def line(page: LibraryPage) -> str:
    label = page.findChild(QLabel, "export_text")
    return label.text() if label.isVisible() else ""


def test_an_export_is_told_while_it_runs_and_leads_to_its_folder(exporter, page, fake, qtbot, tmp_path):
    fake.go.clear()
    page.export_requested.emit(MODEL, "pth", tmp_path)
    button = page.findChild(QPushButton, "library_export")
    assert (button.text(), button.isEnabled()) == ("Exporting...", False)
    assert ".pth" in line(page)
    page.export_requested.emit(MODEL, "onnx", tmp_path)
    fake.go.set()
    qtbot.waitUntil(lambda: "are written" in line(page))
    assert line(page) == "latest_net_G_A.pth and latest_net_G_B.pth are written."
    assert fake.asked == [(MODEL, "pth", tmp_path)], "a second export waits for the first"
    assert button.isEnabled()
    with qtbot.waitSignal(page.reveal_requested) as revealed:
        page.findChild(QPushButton, "export_reveal").click()
    assert revealed.args == [tmp_path / "latest_net_G_A.pth"]


def test_a_refusal_stands_on_the_page_until_the_next_try(exporter, page, fake, qtbot, tmp_path):
    fake.failure = ModelFileError("The reference has no long skip. Export it as ONNX.")
    page.export_requested.emit(MODEL, "pth", tmp_path)
    qtbot.waitUntil(lambda: page.messages.texts == [str(fake.failure)])
    assert line(page) == ""
    fake.failure, fake.names = None, ("fruit.json",)
    page.export_requested.emit(MODEL, "card", tmp_path)
    qtbot.waitUntil(lambda: line(page) == "fruit.json is written.")
    assert page.messages.texts == []


def test_a_bug_is_told_with_its_details(exporter, page, fake, qtbot, tmp_path):
    fake.failure = ZeroDivisionError("oops")
    page.export_requested.emit(MODEL, "onnx", tmp_path)
    qtbot.waitUntil(lambda: any("oops" in text for text in page.messages.texts))
    assert page.findChild(QPushButton, "copy_details") is not None
    assert page.findChild(QPushButton, "library_export").isEnabled()
