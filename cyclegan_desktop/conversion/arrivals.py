"""What is dropped on its way into the list of its batch, whichever batch is shown by then."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import assert_never

from PySide6.QtCore import QObject, Signal

from cyclegan_desktop.conversion.batches import Batch
from cyclegan_desktop.conversion.page import ConversionPage
from cyclegan_desktop.conversion.scanner import LookForPictures, Scanner
from cyclegan_desktop.conversion.sources import FolderDone, Found, NoPictures, NotThere, SourceEvent
from cyclegan_desktop.engine_thread import Failure


class Arrivals(QObject):
    """Has folders looked through, a scanner for each batch, and keeps what there is to say about them.

    Signals:
        came: Pictures were added to this batch.
        told: There is something to say about what was dropped on this batch: the batch, and a `SourceEvent` or a
            `Failure` for `say`.
        ended: Everything dropped on this batch so far is looked through.
    """

    came = Signal(object)
    told = Signal(object, object)
    ended = Signal(object)

    def __init__(self, look: LookForPictures, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._scanners: dict[Batch, Scanner] = {}
        self._said: dict[Batch, list[SourceEvent | Failure]] = {}

    def is_looking(self, batch: Batch) -> bool:
        """Whether folders are being looked through for a batch."""
        return batch in self._scanners and self._scanners[batch].is_busy

    def add(self, batch: Batch, paths: Sequence[Path]) -> None:
        """Look through these for a batch."""
        if batch not in self._scanners:
            scanner = self._scanners[batch] = Scanner(self._look, self)
            scanner.found.connect(partial(self.take, batch))
            scanner.failed.connect(partial(self.tell, batch))
            scanner.ended.connect(partial(self.ended.emit, batch))
        self._scanners[batch].add(paths)

    def take(self, batch: Batch, event: SourceEvent) -> None:
        """Put what was found into the list of a batch."""
        match event:
            case Found():
                batch.files.add(event.pictures, event.root)
                batch.shows_summary = False
                self.came.emit(batch)
            case FolderDone():
                batch.other_files[event.root] = event.other_files
                if not event.pictures or event.unreadable:
                    self.tell(batch, event)
            case NotThere() | NoPictures():
                self.tell(batch, event)
            case _:
                assert_never(event)

    def tell(self, batch: Batch, event: SourceEvent | Failure) -> None:
        """Say something about what was dropped on a batch, whenever that is shown."""
        self._said.setdefault(batch, []).append(event)
        self.told.emit(batch, event)

    def said_about(self, batch: Batch) -> Sequence[SourceEvent | Failure]:
        """What there is to say about a batch, in order."""
        return self._said.get(batch, ())

    def hush(self, batch: Batch) -> None:
        """Nothing is left to be said about a batch."""
        self._said.pop(batch, None)

    def stop(self, batch: Batch) -> None:
        """Want nothing of what is still looked through for a batch."""
        if batch in self._scanners:
            self._scanners[batch].forget()

    def forget(self, batch: Batch) -> None:
        """Free what belongs to a batch that is off the list."""
        scanner = self._scanners.pop(batch, None)
        if scanner is not None:
            scanner.close()
            scanner.deleteLater()
        self.hush(batch)

    def close(self) -> None:
        """Stop everything; no signal comes after this."""
        for scanner in self._scanners.values():
            scanner.close()


def say(page: ConversionPage, event: SourceEvent | Failure) -> None:
    """Say on the page what `Arrivals` told."""
    match event:
        case Found():
            pass
        case FolderDone():
            if not event.pictures:
                page.show_no_pictures(event.root, event.other_files)
            if event.unreadable:
                page.show_unreadable(event.unreadable)
        case NotThere():
            page.show_not_there(event.path, event.reason)
        case NoPictures(files=files):
            page.show_not_pictures(files)
        case Failure():
            page.show_problem(event.message, event.field, event.details)
        case _:
            assert_never(event)
