"""What happens on the Convert page: it leads from what the user does there to the queue, and back."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal

import engine
from cyclegan_desktop.conversion.arrivals import Arrivals, say
from cyclegan_desktop.conversion.batch_queue import BatchQueue, Convert
from cyclegan_desktop.conversion.batches import Batch, BatchState
from cyclegan_desktop.conversion.file_list import FileState, MadeWith
from cyclegan_desktop.conversion.job_choices import JobChoices
from cyclegan_desktop.conversion.known_models import KnownModels
from cyclegan_desktop.conversion.page import ConversionPage
from cyclegan_desktop.conversion.queue_store import QueueStore
from cyclegan_desktop.conversion.reporting import Reporting, WriteReport
from cyclegan_desktop.conversion.scanner import LookForPictures
from cyclegan_desktop.conversion.shown_batch import ShownBatch
from cyclegan_desktop.conversion.shown_row import ShownRow
from cyclegan_desktop.conversion.sources import SourceEvent, look_for_pictures
from cyclegan_desktop.conversion.unfinished import Unfinished
from cyclegan_desktop.drops import reference_files
from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.notification import Notifier
from cyclegan_desktop.settings import Settings
from engine.config import Direction
from engine.conversion.model_file import MODEL_FILE_NAME, ModelInfo, read_model_info
from engine.conversion.report import write_report
from engine.errors import ConfigError, EngineError
from engine.events import ConvertEvent

_TICK_MS: Final = 100


class ConversionController(QObject):
    """Shows one batch on the page and has it converted, while others run or wait.

    Every picture of a list is one source of the job, whether it came by itself or in a folder: so what the list shows
    is what is converted, also after some rows were removed, and after a failure only the failed ones are tried again.
    Only a batch that watches its folders gives them to the engine as they are.

    Signals:
        busy_changed: Whether a conversion is under way.
        ended: How a conversion ended: "done", "paused", "stopped" or "failed".
        event: Every event of the engine, passed on.
        library_changed: A model was added to the settings' library.
        import_requested: Weights of the reference were among what was added; they are imported before use.
        offered: How many unfinished conversions of earlier starts are offered; first right after this start.
    """

    busy_changed = Signal(bool)
    ended = Signal(str)
    event = Signal(object)  # type: ignore[assignment]  # Hides QObject.event, which nobody calls from Python.
    library_changed = Signal()
    import_requested = Signal(list)
    offered = Signal(int)

    def __init__(
        self,
        page: ConversionPage,
        settings: Settings,
        *,
        convert: Convert = engine.convert,
        read_model: Callable[[Path], ModelInfo] = read_model_info,
        look: LookForPictures = look_for_pictures,
        write_report: WriteReport = write_report,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._page = page
        self._settings = settings
        self._models = KnownModels(settings, read_model)
        self._queue = BatchQueue(convert, self)
        self._arrivals = Arrivals(look, self)
        store = QueueStore(settings.queue_folder)
        self._unfinished = Unfinished(page, self._queue, self._arrivals, store, read_model, self)
        self._notifier = Notifier(page.window, self, has_sound=lambda: settings.sound_when_done)
        self._told: list[Batch] = []
        self._report = Reporting(page, write_report, self)
        self._shown = ShownBatch(
            page, self._queue, self._report, is_looking=self._is_looking, is_empty=self._is_empty, parent=self
        )

        self._ticks = QTimer(self)
        self._ticks.setInterval(_TICK_MS)
        self._ticks.timeout.connect(self._tick)

        choices = dataclasses.replace(settings.convert_choices, again=False, watch=False)
        page.options.set_choices(choices)
        self._batch = Batch(None, settings.last_direction, settings.output_folder, choices, self)
        self._batch.wished_model = settings.last_model
        self._queue.add(self._batch)
        self._row = ShownRow(page, self._batch, self)

        page.paths_added.connect(self.add_sources)
        page.remove_requested.connect(self.remove)
        page.clear_requested.connect(self.clear)
        page.redo_requested.connect(self.redo_marked)
        page.options.model_picked.connect(self.set_model)
        page.options.model_opened.connect(self._open_model)
        page.options.direction_picked.connect(self.set_direction)
        page.options.output_picked.connect(self._output_picked)
        page.options.choices_changed.connect(self._choices_picked)
        page.convert_requested.connect(self.start)
        page.pause_requested.connect(self.pause)
        page.resume_requested.connect(self.resume)
        page.cancel_requested.connect(self.stop)
        page.retry_requested.connect(self.retry_failed)
        page.open_output_requested.connect(self._open_output)
        page.report_asked.connect(lambda: self._report.ask(self._batch))
        page.report_requested.connect(self.write_report)
        page.new_requested.connect(self.new_batch)
        page.queue.batch_chosen.connect(lambda place: self.show_batch(self._queue.batches[place]))
        page.queue.move_asked.connect(lambda place, by: self._queue.move(self._queue.batches[place], by))
        page.queue.remove_asked.connect(lambda place: self.remove_batch(self._queue.batches[place]))
        self._queue.listed.connect(self._batches_changed)
        self._queue.changed.connect(self._batch_changed)
        self._queue.reported.connect(self._on_event)
        self._queue.ended.connect(self._on_ended)
        self._queue.busy_changed.connect(self._on_busy)
        self._queue.emptied.connect(self._tell)
        self._report.ended.connect(self._refresh_page)
        self._arrivals.came.connect(self._pictures_came)
        self._arrivals.told.connect(self._say)
        self._arrivals.ended.connect(self._all_looked_through)
        self._unfinished.offered.connect(self.offered)
        self._unfinished.restored.connect(self.show_batch)
        self._unfinished.listed.connect(self._all_looked_through)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)

        self.refresh_models()
        self._choices_changed()
        self._unfinished.offer()

    @property
    def is_busy(self) -> bool:
        """Whether a conversion is under way."""
        return self._queue.running is not None

    @property
    def is_watching(self) -> bool:
        """Whether the conversion under way has converted everything, and waits for new pictures."""
        return self._queue.running is not None and self._queue.running.is_watching

    @property
    def unfinished_count(self) -> int:
        """How many unfinished conversions of earlier starts are offered."""
        return self._unfinished.count

    @property
    def is_looking(self) -> bool:
        """Whether folders are being looked through for the batch that is shown."""
        return self._is_looking(self._batch)

    @property
    def batches(self) -> tuple[Batch, ...]:
        """Every batch, in order."""
        return self._queue.batches

    @property
    def batch(self) -> Batch:
        """The one that is shown."""
        return self._batch

    # Which batch

    def new_batch(self) -> None:
        """Show an empty list, and leave the one shown to itself. An empty one that is there already is taken."""
        empty = next((batch for batch in self._queue.batches if self._is_empty(batch)), None)
        if empty is None:
            shown = self._batch
            choices = dataclasses.replace(shown.choices, again=False, watch=False)
            # In the folder that was chosen for other pictures, results of both would mix.
            empty = self._like(shown, None, choices)
            self._queue.add(empty)
        self.show_batch(empty)

    def show_batch(self, batch: Batch) -> None:
        """Show a batch: its rows, settings, progress and pictures."""
        if batch is self._batch:
            return
        before, self._batch = self._batch, batch
        page = self._page
        page.clear_messages()
        page.options.set_choices(batch.choices)
        self._row.show_batch(batch)
        self._offer_models()
        if batch.failure is not None:
            page.show_problem(batch.failure.message, batch.failure.field, batch.failure.details)
        for notice in batch.notices:
            page.show_notice(notice)
        for event in self._arrivals.said_about(batch):
            say(page, event)
        if self._is_empty(before):
            self._queue.remove(before)  # Nothing is lost, and the list of batches stays short.
            self._forget(before)
        self._batches_changed()
        self._refresh_page()
        self._row.refresh(anew=True)

    def remove_batch(self, batch: Batch) -> None:
        """Take a batch off the list, unless it runs. What is not converted of it stays so; no file is touched."""
        batches = self._queue.batches
        if batch is self._queue.running or batch not in batches:
            return
        if batch is self._batch:
            others = [other for other in batches if other is not batch]
            if others:
                self.show_batch(others[min(batches.index(batch), len(others) - 1)])
            else:
                self.clear()
                return
        if batch in self._queue.batches:
            self._queue.remove(batch)
        self._forget(batch)
        self._unfinished.save()

    # What to convert

    def add_sources(self, paths: list[Path]) -> None:
        """Add files and folders, which are looked through in the background. A model alone is converted with.

        While the batch shown is under way they begin a new one; also if it has results, whose folder is named after
        other pictures.
        """
        weights, paths = reference_files(paths)
        if weights:
            self.import_requested.emit(weights)
            if not paths:
                return
        if self._batch.is_under_way:
            self.new_batch()
        if len(paths) == 1 and _is_model(paths[0]):
            self._open_model(paths[0])
            return
        if self._batch.has_ended and len(self._batch.files):
            self.new_batch()
        batch = self._batch
        if not self._is_looking(batch):
            self._page.clear_messages()
            self._arrivals.hush(batch)
        self._arrivals.add(batch, paths)
        if self._is_looking(batch):
            batch.shows_summary = False
            self._refresh_page()

    def remove(self, numbers: list[int]) -> None:
        """Take rows out of the list, unless a conversion counts on them."""
        if self._batch.is_under_way:
            return
        self._batch.files.remove(numbers)
        self._batch.shows_summary = False
        self._unfinished.save_anew(self._batch)
        self._refresh_page()

    def clear(self) -> None:
        """Empty the list, also of what is still being looked for."""
        batch = self._batch
        if batch.is_under_way:
            return
        batch.start_wanted = False
        self._arrivals.stop(batch)
        self._unfinished.empty(batch)
        self._arrivals.hush(batch)
        batch.clear()
        self._page.clear_messages()
        self._refresh_page()
        self._batches_changed()

    def redo_marked(self) -> None:
        """Put the marked pictures into a new batch, to be converted in another way."""
        before = self._batch
        rows = [before.files.rows[number] for number in before.files.marked_numbers()]
        if not rows:
            return
        choices = dataclasses.replace(before.choices, again=True, watch=False)
        batch = self._like(before, before.chosen_output, choices)
        for row in rows:
            batch.files.add([row.path], row.root)
        self._queue.add(batch)
        self.show_batch(batch)
        self._page.list.select(0)

    # With what, and where to

    def refresh_models(self) -> None:
        """Offer the models of the library anew."""
        self._models.refresh(self._queue.batches)
        self._offer_models()

    def set_model(self, model: Path) -> None:
        """Convert with this model from now on: a file or the folder of a training. A sentence says if it is neither."""
        if self._batch.is_under_way:
            self.new_batch()
        self._page.clear_messages()
        try:
            info = self._models.read(model)
        except EngineError as error:
            # Not beside the box: that still holds a model that works.
            self._page.show_problem(str(error))
        else:
            self._batch.model, self._batch.wished_model = info, info.path
            self._batch.begun_output = None
            self._models.use(info)
        self.refresh_models()

    def set_direction(self, direction: Direction) -> None:
        """Convert in this direction from now on, if the model has it."""
        batch = self._batch
        if batch.is_under_way or (batch.model is not None and direction not in batch.model.directions):
            return
        self._page.clear_messages()
        batch.wished_direction = direction
        batch.begun_output = None
        self._settings.last_direction = direction
        self._settings.save()
        self._choices_changed()

    def set_output_folder(self, folder: Path) -> None:
        """Write results into this folder from now on."""
        self._choose_output(folder)

    @property
    def output_folder(self) -> Path | None:
        """Where results go; None while nothing is chosen and there is nothing to put them beside."""
        return self._batch.output_folder

    # The conversion

    def start(self) -> None:
        """Convert everything that is not done yet with these settings, once the folders are looked through."""
        batch = self._batch
        if batch.is_under_way:
            return
        if self._is_looking(batch):
            batch.start_wanted = True
            self._refresh_page()
            return
        self._start(batch)

    def retry_failed(self) -> None:
        """Convert only what failed, once more."""
        batch = self._batch
        if batch.is_under_way or self._is_looking(batch):
            return
        made_with = self._checked_settings(batch)
        numbers = batch.in_state(FileState.FAILED)
        if made_with is not None and numbers:
            self._enqueue(batch, numbers, made_with)

    def convert_again(self) -> None:
        """Make also results anew that are there already."""
        batch = self._batch
        if batch.is_under_way or self._is_looking(batch):
            return
        made_with = self._checked_settings(batch)
        if made_with is not None:
            numbers = batch.in_state(FileState.SKIPPED) or list(range(len(batch.files)))
            self._enqueue(batch, numbers, made_with, again=True)

    def pause(self) -> None:
        """Stop the batch that is shown for now, and free the model's memory."""
        self._queue.pause(self._batch)

    def resume(self) -> None:
        """Go on with the batch that is shown."""
        self._queue.resume(self._batch)

    def stop(self) -> None:
        """End the batch that is shown; `ended` follows if it ran."""
        batch = self._batch
        if batch.start_wanted:
            batch.start_wanted = False
            self._unfinished.give_up(batch)
            self._refresh_page()
        self._queue.cancel(batch)

    def resume_unfinished(self) -> None:
        """Go on with what earlier starts of the app have left, if that is still offered."""
        self._unfinished.resume()

    def stop_for_closing(self) -> None:
        """Stop what runs; everything unfinished is offered at the next start."""
        self._queue.hold()

    def show_comparison(self, index: int) -> None:
        """Show before and after of a row, by its place in the list."""
        self._page.list.select(index)

    def close(self) -> None:
        """Stop everything; nothing comes to the page after this."""
        self._arrivals.close()
        self._unfinished.close_loader()
        self._ticks.stop()
        self._queue.close()
        self._report.close()
        self._shown.close()
        # What is still being read comes to a page that is gone, and to threads that wait for each other.
        self._page.comparison.show_nothing()
        self._page.comparison.wait()
        self._unfinished.close()

    def _start(self, batch: Batch) -> None:
        made_with = self._checked_settings(batch)
        if made_with is None:
            return
        numbers = batch.to_do(made_with)
        if numbers or batch.choices.watch:
            self._enqueue(batch, numbers, made_with)
        elif batch is self._batch:
            self._page.offer_again(len(batch.files), self.convert_again)

    def _checked_settings(self, batch: Batch) -> MadeWith | None:
        """What results would depend on; None after a sentence on the page about what is missing."""
        if batch.is_model_gone:
            self.refresh_models()  # Its disk may be back.
        page, to = self._page, batch.output_folder
        if batch is not self._batch:  # Nobody would know what the sentences are about.
            if (
                batch.is_model_gone
                or batch.model is None
                or to is None
                or not to.is_absolute()
                or batch.root_around(to) is not None
            ):
                return None
            return batch.made_with_now(batch.model, to)
        page.clear_messages()
        if batch.is_model_gone:
            self._shown.show_model_gone(batch)
        elif batch.model is None:
            page.options.show_no_model()
        elif to is None:
            page.show_no_pictures_yet()
        elif self._shown.output_is_fine(batch, to):
            return batch.made_with_now(batch.model, to)
        else:
            # The sentence stands beside the field already, far from the button that was pressed.
            page.show_problem(page.options.output_problem)
        return None

    def _enqueue(self, batch: Batch, numbers: list[int], made_with: MadeWith, *, again: bool = False) -> None:
        try:
            job = batch.job_for(numbers, made_with, again=again)
        except ConfigError as error:
            self._page.show_problem(str(error), error.field)
            return
        self._settings.save()  # Choices are not saved one by one: a spin box has many.
        batch.prepare(job, numbers, made_with)
        batch.follows = True
        self._unfinished.begin(batch)
        self._queue.enqueue(batch)

    def _on_event(self, batch: Batch, event: ConvertEvent) -> None:
        if batch is self._batch:
            self._shown.tell(batch, event)
        self.event.emit(event)

    def _on_busy(self, busy: bool) -> None:
        if busy:
            self._ticks.start()
        else:
            self._ticks.stop()
        self.busy_changed.emit(busy)

    def _on_ended(self, batch: Batch, how: str) -> None:
        if how == "paused":
            self._unfinished.note_pause(batch)
        if how in ("done", "failed"):
            self._told.append(batch)
        if batch is self._batch:
            if batch.failure is not None:
                failure = batch.failure
                self._page.show_problem(failure.message, failure.field, failure.details)
            skipped = [number for number in batch.in_state(FileState.SKIPPED) if batch.files.rows[number].target]
            if how == "done" and skipped:
                self._page.offer_again(len(skipped), self.convert_again)
            self._row.follow(at_once=True)
            self._row.refresh()
        self.ended.emit(how)

    def _tell(self) -> None:
        """Everything is converted that was to be."""
        told, self._told = self._told, []
        if not told:
            return
        progress = [batch.progress for batch in told]
        text = self.tr("{0} converted").format(f"{sum(each.converted for each in progress):,}")
        if failed := sum(each.failed for each in progress):
            text += ", " + self.tr("{0} failed").format(f"{failed:,}")
        name = told[0].name if len(told) == 1 else self.tr("{0} batches").format(len(told))
        is_fine = all(batch.state is BatchState.DONE for batch in told)
        title = self.tr("Conversion finished") if is_fine else self.tr("Conversion ended early")
        self._notifier.tell(title, f"{name}: {text}")

    def _tick(self) -> None:
        """About ten times a second while a conversion runs."""
        if self._batch is self._queue.running:
            self._shown.follow(self._batch)
            self._row.follow()
            self._row.refresh()
        self._shown.refresh_list_now_and_then(self._batch)
        self._unfinished.save_now_and_then()

    def _like(self, batch: Batch, output: Path | None, choices: JobChoices) -> Batch:
        """A new batch with the model and direction of another."""
        new = Batch(batch.model, batch.wished_direction, output, choices, self)
        new.wished_model, new.is_model_gone = batch.wished_model, batch.is_model_gone
        return new

    def _forget(self, batch: Batch) -> None:
        """Free what belongs to a batch that is off the list."""
        self._arrivals.forget(batch)
        self._unfinished.forget(batch)
        batch.deleteLater()

    def write_report(self, to: Path) -> None:
        """Write what became of the batch that is shown into a new folder."""
        self._report.write(self._batch, to)

    def _open_output(self) -> None:
        if self._batch.results is not None:
            self._page.open_folder(self._batch.results)

    # Looking for pictures

    def _is_looking(self, batch: Batch) -> bool:
        return self._unfinished.is_listing(batch) or self._arrivals.is_looking(batch)

    def _pictures_came(self, batch: Batch) -> None:
        if batch is self._batch:
            self._page.set_count(len(batch.files), batch.other_file_count, is_inviting=False)
            self._page.set_scanning(len(batch.files))

    def _say(self, batch: Batch, event: SourceEvent | Failure) -> None:
        if batch is self._batch:
            say(self._page, event)

    def _all_looked_through(self, batch: Batch) -> None:
        if batch not in self._queue.batches or self._unfinished.is_coming(batch) or self._is_looking(batch):
            return
        self._unfinished.save_anew(batch)
        if batch is self._batch:
            self._refresh_page()
        self._refresh_panel()
        if batch.start_wanted:
            batch.start_wanted = False
            if batch is self._batch:
                self._refresh_page()
            self._start(batch)

    # The page

    def _open_model(self, model: Path) -> None:
        weights, _ = reference_files([model])
        if weights:
            self.import_requested.emit(weights)
            return
        self.set_model(model)
        used = self._batch.model.path if self._batch.model is not None else None
        if self._models.joins_library(model, used):
            self.library_changed.emit()

    def _output_picked(self, text: str) -> None:
        folder = Path(text) if text else None
        with suppress(RuntimeError):  # "~somebody" who has no home here.
            folder = folder.expanduser() if folder else None
        self._choose_output(folder)

    def _choose_output(self, folder: Path | None) -> None:
        if self._batch.is_under_way:
            return
        self._page.clear_messages()
        self._batch.chosen_output, self._batch.begun_output = folder, None
        self._settings.output_folder = folder
        self._settings.save()
        self._choices_changed()

    def _choices_picked(self) -> None:
        if self._batch.is_under_way:
            return
        self._batch.choices = self._page.options.choices
        self._settings.convert_choices = self._batch.choices
        self._page.offer.take_back()
        self._choices_changed()

    def _choices_changed(self) -> None:
        """Show model, direction and output folder as they are, and what there is to do with them."""
        self._page.options.set_direction(self._batch.model, self._batch.direction)
        self._batch.shows_summary = False
        self._refresh_page()
        self._refresh_panel()
        self._row.refresh(anew=True)

    def _offer_models(self) -> None:
        """Show the models, and which one the batch has."""
        batch = self._batch
        current = batch.wished_model if not batch.is_model_gone or batch.is_under_way else None
        self._page.options.set_models(self._models.offered_to(batch), current, self._models.starter)
        self._page.options.set_direction(batch.model, batch.direction)
        self._refresh_page()
        self._refresh_panel()
        self._row.refresh(anew=True)

    def _batch_changed(self, batch: Batch) -> None:
        if batch is self._batch:
            self._refresh_page()
        self._refresh_panel()
        self._unfinished.save()

    def _batches_changed(self) -> None:
        self._refresh_panel()
        self._unfinished.save()

    def _refresh_panel(self) -> None:
        self._shown.refresh_list(self._batch)

    def _refresh_page(self) -> None:
        self._shown.refresh(self._batch)

    def _is_empty(self, batch: Batch) -> bool:
        is_coming = self._is_looking(batch) or self._unfinished.holds(batch)
        return batch.state is BatchState.DRAFT and not batch.has_something and not is_coming


def _is_model(path: Path) -> bool:
    return path.suffix.lower() == ".safetensors" or os.path.isfile(path / MODEL_FILE_NAME)  # noqa: PTH113  # Never raises.
