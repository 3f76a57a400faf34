"""Writes models in the formats of others, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeAlias, assert_never

from PySide6.QtCore import QCoreApplication, QObject

from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.library.page import ExportKind, LibraryPage
from cyclegan_desktop.one_work import OneWork

Written: TypeAlias = tuple[Path, ...]
"""The files of an export."""


def export(model: Path, kind: ExportKind, to: Path) -> Iterator[Written]:
    """Write a model in another format, as work for a thread, since it may load torch."""
    from engine.conversion import exchange

    match kind:
        case "pth":
            yield exchange.export_pth(model, to)
        case "onnx":
            yield exchange.export_onnx(model, to)
        case "card":
            yield (exchange.export_card(model, to),)
        case _:
            assert_never(kind)


class Exporter(QObject):
    """Owns the thread of an export, and tells the page what comes of it."""

    def __init__(
        self,
        page: LibraryPage,
        *,
        write: Callable[[Path, ExportKind, Path], Iterator[Written]] = export,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._page = page
        self._write = write
        self._writing = OneWork(self)
        self._writing.reported.connect(self._take)
        self._writing.ended.connect(self._finish)
        self._written: Written = ()
        page.export_requested.connect(self.start)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)

    def start(self, model: Path, kind: ExportKind, to: Path) -> None:
        """Export a model; while another export is under way nothing happens.

        Args:
            model: A model file or the folder of a training.
            kind: The format.
            to: The folder for it, or the file of a model card.
        """
        if self._writing.is_running:
            return
        self._written = ()
        self._page.messages.clear()
        self._page.set_exporting(
            {
                "pth": self.tr("Writing the reference's .pth files..."),
                "onnx": self.tr("Writing ONNX files..."),
                "card": self.tr("Writing the model card..."),
            }[kind]
        )
        self._writing.start(partial(self._write, model, kind, to))

    def close(self) -> None:
        """Wait for what is being written; nothing comes to the page after this."""
        self._writing.close()

    def _take(self, written: Written) -> None:
        self._written = written

    def _finish(self, failure: Failure | None) -> None:
        self._page.set_exporting("")
        if failure is not None:
            self._page.messages.add(failure.message, is_error=True, details=failure.details)
        elif self._written:
            self._page.show_exported(self._words(self._written), self._written[0])

    def _words(self, written: Written) -> str:
        names = [path.name for path in written]
        if len(names) == 1:
            return self.tr("{file} is written.").format(file=names[0])
        text = self.tr("{files} and {last} are written.")
        return text.format(files=", ".join(names[:-1]), last=names[-1])
