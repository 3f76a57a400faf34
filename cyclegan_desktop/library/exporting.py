"""Writes models in the formats of others, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeAlias, assert_never

from PySide6.QtCore import QCoreApplication, QObject

from cyclegan_desktop.engine_thread import EngineThread, Failure
from cyclegan_desktop.library.page import ExportKind, LibraryPage

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
        self._thread: EngineThread | None = None
        self._written: Written = ()
        self._failure: Failure | None = None
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
        if self._thread is not None:
            return
        self._written, self._failure = (), None
        self._page.messages.clear()
        self._page.set_exporting(
            {
                "pth": self.tr("Writing the reference's .pth files..."),
                "onnx": self.tr("Writing ONNX files..."),
                "card": self.tr("Writing the model card..."),
            }[kind]
        )
        self._thread = EngineThread(partial(self._write, model, kind, to), self)
        self._thread.event.connect(self._take)
        self._thread.failed.connect(self._fail)
        self._thread.finished.connect(self._finish)
        self._thread.start()

    def close(self) -> None:
        """Wait for what is being written; nothing comes to the page after this."""
        if self._thread is not None:
            self._thread.close()

    def _take(self, written: Written) -> None:
        self._written = written

    def _fail(self, failure: Failure) -> None:
        self._failure = failure

    def _finish(self) -> None:
        assert self._thread is not None
        self._thread.deleteLater()
        self._thread = None
        self._page.set_exporting("")
        if self._failure is not None:
            self._page.messages.add(self._failure.message, is_error=True, details=self._failure.details)
        elif self._written:
            self._page.show_exported(self._words(self._written), self._written[0])

    def _words(self, written: Written) -> str:
        names = [path.name for path in written]
        if len(names) == 1:
            return self.tr("{file} is written.").format(file=names[0])
        text = self.tr("{files} and {last} are written.")
        return text.format(files=", ".join(names[:-1]), last=names[-1])
