"""Conversions that outlive the app: what earlier starts have left, and what is kept for the next one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from cyclegan_desktop.conversion.arrivals import Arrivals
from cyclegan_desktop.conversion.batch_queue import BatchQueue
from cyclegan_desktop.conversion.batches import UNFINISHED, Batch
from cyclegan_desktop.conversion.file_list import spans_of
from cyclegan_desktop.conversion.page import ConversionPage
from cyclegan_desktop.conversion.queue_store import QueueStore, SavedBatch
from cyclegan_desktop.conversion.scanner import Scanner
from cyclegan_desktop.conversion.sources import SourceEvent
from cyclegan_desktop.engine_thread import Failure
from engine.conversion.model_file import ModelInfo
from engine.errors import EngineError

_SAVE_SECONDS: Final = 5.0


class Unfinished(QObject):
    """Offers what earlier starts have left, lists its pictures again, and keeps what is not finished now.

    Signals:
        offered: How many unfinished conversions of earlier starts are offered; first right after this start.
        restored: The user goes on with them: they are in the queue, and this is the first of them.
        listed: All saved pictures of this batch are listed.
    """

    offered = Signal(int)
    restored = Signal(object)
    listed = Signal(object)

    def __init__(
        self,
        page: ConversionPage,
        queue: BatchQueue,
        arrivals: Arrivals,
        store: QueueStore,
        read_model: Callable[[Path], ModelInfo],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._page = page
        self._queue = queue
        self._arrivals = arrivals
        self._store = store
        self._read_model = read_model
        self._keys: dict[Batch, str] = {}
        self._left: list[SavedBatch] = []
        self._discarded: list[SavedBatch] = []  # Kept as long as that can be undone.
        self._restoring: dict[Batch, SavedBatch] = {}
        self._to_load: list[Batch] = []
        self._loading: Batch | None = None
        self._loader: Scanner | None = None
        self._listed_paths: list[Path] = []  # As they were saved; other rows may have come or gone meanwhile.
        self._saved_at = 0.0
        page.unfinished.dismissed.connect(self.forget_discarded)

    # What earlier starts have left

    @property
    def count(self) -> int:
        """How many conversions of earlier starts are offered."""
        return len(self._left)

    def offer(self) -> None:
        """Offer what earlier starts have left."""
        self._left = self._store.load()
        if self._store.kept_aside is not None:
            self._page.show_damaged_queue(self._store.kept_aside)
        self._make_offer()
        QTimer.singleShot(0, self, lambda: self.offered.emit(self.count))  # Once somebody can listen.

    def _make_offer(self) -> None:
        if self._left:
            conversions = [(saved.name, saved.done, saved.total) for saved in self._left]
            self._page.offer_unfinished(conversions, self.resume, self.discard)

    def resume(self) -> None:
        """Go on with what earlier starts of the app have left: pictures are listed first, as if dropped."""
        self._page.unfinished.take_back()
        for saved in self._left:
            model: ModelInfo | None = None
            with suppress(EngineError):  # Convert says what is missing.
                model = self._read_model(saved.model)
            batch = Batch(model, saved.direction, saved.output if saved.is_output_chosen else None, saved.choices, self)
            batch.wished_model, batch.is_model_gone = saved.model, model is None
            batch.begun_output = None if saved.is_output_chosen else saved.output
            batch.other_files = dict(saved.folders)
            batch.is_restored = batch.start_wanted = True
            self._restoring[batch] = saved
            self._to_load.append(batch)
        # Only now: with each batch that comes to the queue, files of those that are known no more are removed.
        self._left = []
        restored = tuple(self._to_load)
        for batch in restored:
            self._queue.add(batch)
        if restored:
            self._load_next()
            self.restored.emit(restored[0])
        self.offered.emit(0)

    def discard(self) -> None:
        """Forget what earlier starts have left; its results stay."""
        self._discarded, self._left = self._left, []
        self._page.offer_undo_discard(len(self._discarded), self._undo_discard)
        self.save()
        self.offered.emit(0)

    def _undo_discard(self) -> None:
        self._left, self._discarded = self._discarded, []
        self._make_offer()
        self.offered.emit(self.count)

    def forget_discarded(self) -> None:
        """What was discarded is so for good."""
        if self._discarded:
            self._discarded = []
            self._page.unfinished.take_back()
            self.save()

    # Listing its pictures again

    def is_listing(self, batch: Batch) -> bool:
        """Whether the saved pictures of a batch are being listed."""
        return batch is self._loading

    def is_coming(self, batch: Batch) -> bool:
        """Whether its saved pictures are not all listed yet."""
        return batch is self._loading or batch in self._to_load

    def holds(self, batch: Batch) -> bool:
        """Whether this batch was left by an earlier start, and has not begun again."""
        return batch in self._restoring

    def _load_next(self) -> None:
        """List the pictures of one batch at a time, so that they begin in their old order."""
        while self._to_load and self._loading is None:
            batch = self._to_load.pop(0)
            if batch in self._restoring:
                saved = self._restoring[batch]
                self._loading = batch
                self._loader = Scanner(partial(self._look_into_saved, saved), self)
                self._loader.found.connect(partial(self._arrivals.take, batch))
                self._loader.found.connect(lambda found: self._listed_paths.extend(found.pictures))
                self._loader.failed.connect(partial(self._on_load_failed, batch))
                self._loader.ended.connect(partial(self._on_loaded, batch))
                self._loader.add([saved.output])

    def _look_into_saved(self, saved: SavedBatch, _paths: Sequence[Path]) -> Iterator[SourceEvent]:
        return self._store.files_of(saved)

    def _stop_loading(self, batch: Batch) -> None:
        """List no more of the saved pictures of a batch, and go on with the next."""
        if batch in self._to_load:
            self._to_load.remove(batch)
        if batch is self._loading:
            loader, self._loading, self._loader = self._loader, None, None
            if loader is not None:
                loader.blockSignals(True)
                loader.close()
                loader.deleteLater()
            self._listed_paths.clear()
            self._load_next()

    def _on_load_failed(self, batch: Batch, failure: Failure) -> None:
        if batch in self._restoring:  # What is left of a damaged file is no whole batch.
            del self._restoring[batch]
            batch.start_wanted = False
        self._arrivals.tell(batch, failure)

    def _on_loaded(self, batch: Batch) -> None:
        """All saved pictures of a batch are listed: from now on it looks for pictures like every other."""
        loader, self._loading, self._loader = self._loader, None, None
        if loader is not None:
            loader.deleteLater()
        saved = self._restoring.get(batch)
        if saved is not None:
            spans = (self._listed_paths[first : last + 1] for first, last in saved.made_before)
            batch.made_before = frozenset(path for span in spans for path in span)
            if not batch.start_wanted:
                del self._restoring[batch]  # It was canceled meanwhile.
            elif len(batch.files) != saved.total:
                self.save_anew(batch)
        self._listed_paths.clear()
        self.listed.emit(batch)
        self._load_next()
        self.save()

    # What is kept for the next start

    def begin(self, batch: Batch) -> None:
        """Keep the pictures of a batch that is prepared, until it is finished."""
        assert batch.job is not None
        job, saved = batch.job, self._restoring.pop(batch, None)
        begun_with = (saved.model, saved.direction, saved.output) if saved is not None and saved.converted else None
        batch.is_restored = begun_with == (job.model, job.direction, job.to)
        # Anew also if it is restored: its list and settings may have been changed since.
        key = self._keys[batch] = self._store.new_key()
        self._store.save_files(key, *batch.job_files)
        self.forget_discarded()

    def note_pause(self, batch: Batch) -> None:
        """Keep what is left of a batch that is made anew: the ledger cannot tell what is done of it."""
        if batch.job is not None and batch.job.again and batch in self._keys:
            self._store.save_files(self._keys[batch], *batch.job_files)

    def give_up(self, batch: Batch) -> None:
        """A batch that was to go on does not, once its pictures are listed."""
        if not self.is_coming(batch):
            self._restoring.pop(batch, None)

    def empty(self, batch: Batch) -> None:
        """The list of a batch is emptied, also of what is still to come."""
        self._restoring.pop(batch, None)
        self._stop_loading(batch)

    def forget(self, batch: Batch) -> None:
        """Free what belongs to a batch that is off the list."""
        self._keys.pop(batch, None)
        self.empty(batch)

    def save_anew(self, batch: Batch) -> None:
        """Keep a restored batch that has not begun as its list is now."""
        saved = self._restoring.get(batch)
        if saved is None or self.is_coming(batch):
            return
        rows = batch.files.rows
        if not rows:
            del self._restoring[batch]
        else:
            key = self._store.new_key()
            self._store.save_files(key, [row.path for row in rows], [row.root for row in rows])
            spans = spans_of([number for number, row in enumerate(rows) if row.path in batch.made_before])
            total = len(rows)
            self._restoring[batch] = dataclasses.replace(
                saved, key=key, made_before=tuple(spans), done=min(saved.done, total), total=total
            )
        self.save()

    def save_now_and_then(self) -> None:
        """Keep how far everything is, if that was not done lately."""
        if time.monotonic() - self._saved_at > _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Keep what is not finished, and how far it is."""
        self._saved_at = time.monotonic()
        saved = [*self._left, *self._discarded]
        saved += [self._as_it_is_now(batch, before) for batch, before in self._restoring.items()]
        for batch in self._queue.batches:
            if batch.state not in UNFINISHED or batch.job is None or batch not in self._keys:
                continue
            progress = batch.progress
            saved.append(
                SavedBatch(
                    key=self._keys[batch],
                    name=batch.name,
                    model=batch.job.model,
                    direction=batch.job.direction,
                    output=batch.job.to,
                    is_output_chosen=batch.chosen_output is not None,
                    choices=dataclasses.replace(batch.choices, again=batch.job.again),
                    folders=tuple(batch.other_files.items()),
                    done=progress.tried,
                    converted=progress.converted,
                    made_before=batch.spans_made_before(),
                    total=progress.total,
                )
            )
        self._store.save_index(saved)

    def _as_it_is_now(self, batch: Batch, saved: SavedBatch) -> SavedBatch:
        """What to keep of a restored batch that has not begun: the user may have chosen something else for it."""
        to = batch.output_folder
        if self.is_coming(batch) or to is None:
            return saved
        return dataclasses.replace(
            saved,
            model=batch.wished_model or saved.model,
            direction=batch.direction,
            output=to,
            is_output_chosen=batch.chosen_output is not None,
            choices=batch.choices,
            folders=tuple(batch.other_files.items()),
        )

    def close_loader(self) -> None:
        """List nothing more; what was discarded is so for good."""
        if self._loader is not None:
            self._loader.close()
        self.forget_discarded()

    def close(self) -> None:
        """Keep the last state, and let others use the store."""
        self.save()
        self._store.close()
