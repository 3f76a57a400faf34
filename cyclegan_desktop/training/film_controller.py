"""Shows the film of one run: reads its moments in a thread, and asks the engine for what the user wants with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal

from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.one_work import OneWork
from cyclegan_desktop.settings import Settings
from cyclegan_desktop.training.film_export import FilmExporter
from cyclegan_desktop.training.film_strip import FilmStrip
from cyclegan_desktop.training.film_work import (
    FilmEngine,
    FilmOpened,
    PictureChoice,
    SampleCache,
    open_film,
    picture_choices,
    read_thumbnails,
)
from cyclegan_desktop.training.pictures_dialog import PicturesDialog
from engine.events import Moment, Sample, SamplesDrawn

_NO_SAMPLES: Final[tuple[Sample, ...]] = ()


@dataclass(frozen=True, slots=True)
class _Task:
    """Something asked of the disk: the work, and who takes what it reports."""

    work: Callable[[], Iterator[Any]]
    take: Callable[[Any], None]


class FilmController(QObject):
    """Goes through the moments of a run, at rest or while it is trained.

    The newest moment is live: while it is shown, the next one takes its place. Whoever has gone back stays there. The
    strip always shows the latest moment asked for; those passed too quickly to be read are left out.

    Signals:
        moments_changed: All moments of the run, of which one was added, thinned away, or starred.
        convert_requested: The user wants to convert with this model file, that of a moment.
        branch_requested: A new training is to begin with the networks of a moment: its run and step.
        samples_changed_requested: Other fixed pictures are wanted in a run that is trained now, which must be stopped
            for it: the run, the pictures of A and those of B, two tuples of paths.
    """

    moments_changed = Signal(object)
    convert_requested = Signal(Path)
    branch_requested = Signal(Path, int)
    samples_changed_requested = Signal(Path, object, object)

    def __init__(
        self, strip: FilmStrip, settings: Settings, *, engine: FilmEngine | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._strip = strip
        self._engine = engine or FilmEngine()
        self._run: Path | None = None
        self._moments: tuple[Moment, ...] = ()
        self._step: int | None = None
        self._shown: int | None = None
        self._pinned: int | None = None
        self._pinned_samples: tuple[Sample, ...] | None = None
        self._is_training = False
        self._held_out = True
        self._heard = False
        self._stars: dict[int, bool] = {}
        self._unreadable: set[int] = set()
        self._newest_sources: frozenset[tuple[str, str]] = frozenset()
        self._cache = SampleCache()

        self._reading = OneWork(self)
        self._reading.reported.connect(self._take_samples)
        self._reading.ended.connect(self._reading_ended)
        self._read_step: int | None = None
        self._tasks: deque[_Task] = deque()
        self._task: _Task | None = None
        self._asking = OneWork(self)
        self._asking.reported.connect(self._take_answer)
        self._asking.ended.connect(self._asked)
        self._exporter = FilmExporter(strip, self._engine.export_film, self)
        self._dialog: PicturesDialog | None = None
        self._thumbnails = OneWork(self)
        self._thumbnails.reported.connect(self._take_thumbnail)
        self._thumbnails.ended.connect(self._read_more_thumbnails)
        self._player = QTimer(self)
        self._player.timeout.connect(self._play_on)

        strip.set_compare_mode(settings.compare_mode)
        strip.place_chosen.connect(self._scrub)
        strip.newest_asked.connect(self.go_to_newest)
        strip.play_asked.connect(self._play_or_stop)
        strip.star_asked.connect(self._star)
        strip.compare_asked.connect(self._pin_or_end)
        strip.convert_asked.connect(self._convert)
        strip.branch_asked.connect(self._branch)
        strip.export_asked.connect(self._export)
        strip.pictures_asked.connect(self._choose_pictures)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)

    @property
    def run(self) -> Path | None:
        """The run whose film is shown."""
        return self._run

    @property
    def moments(self) -> tuple[Moment, ...]:
        """All moments of the run."""
        return self._moments

    @property
    def is_live(self) -> bool:
        """Whether the newest moment is shown, so that the next one will take its place."""
        return self._step is None or not self._moments or self._step == self._moments[-1].step

    @property
    def cached_bytes(self) -> int:
        """Memory taken by pictures of moments."""
        return self._cache.used

    # What is shown

    def set_run(self, run: Path | None) -> None:
        """Show the film of a run, its newest moment first; None for that of a training that has yet to begin."""
        if run is not None and run == self._run:
            return
        self._run = run
        self._moments, self._step, self._shown = (), None, None
        self._pinned, self._pinned_samples = None, None
        self._stars, self._unreadable, self._newest_sources = {}, set(), frozenset()
        self._heard, self._read_step = False, None
        self._cache.clear()
        self._player.stop()
        self._exporter.close()
        if self._dialog is not None:
            self._dialog.close()
        self._strip.clear()
        if run is not None:
            self._ask(partial(open_film, run, self._engine), partial(self._open, run))

    def set_training(self, on: bool) -> None:
        """Whether the run is trained now, so that new moments come and its fixed pictures cannot just be changed."""
        self._is_training = on
        self._strip.set_training(on)

    def take(self, event: SamplesDrawn) -> None:
        """Show the newest samples, or only offer them to someone who looks at earlier ones."""
        self._heard = True
        was_live = self.is_live
        self._held_out = event.held_out
        moments = event.moments or self._with(event)
        # What was asked for holds until it has been heard; then whoever changes it elsewhere is heard too.
        heard = {moment.step for moment in moments if self._stars.get(moment.step) == moment.is_starred}
        self._stars = {step: on for step, on in self._stars.items() if step not in heard}
        self._unreadable.discard(event.step)
        self._cache.put(event.step, event.samples)
        self._newest_sources = _sources(event.samples)
        self._use_moments(moments, event.step if was_live else self._step)

    def go_to_newest(self) -> None:
        """Show the newest moment, and those that follow as they come."""
        self._stop_playing()
        self._use_moments(self._moments, None)

    def close(self) -> None:
        """End every work and wait for it."""
        self._tasks.clear()
        self._player.stop()
        self._exporter.close()
        self._step = self._pinned = None
        if self._dialog is not None:
            self._dialog.close()
        for work in (self._reading, self._asking, self._thumbnails):
            work.close()

    def _with(self, event: SamplesDrawn) -> tuple[Moment, ...]:
        """The moments with one more, for a training that does not tell which are kept."""
        others = [moment for moment in self._moments if moment.step < event.step]
        return *others, Moment(event.step, event.files)

    def _open(self, run: Path, opened: FilmOpened) -> None:
        if run != self._run:
            return
        if opened.names is not None:
            self._strip.set_names(*opened.names)
        if self._heard:  # The training has told more since.
            return
        self._held_out = opened.held_out
        self._use_moments(opened.moments, None)
        if not opened.moments and not self._is_training:
            self._strip.clear(self._strip.tr("This training has no samples yet; they appear here as it goes on."))

    def _use_moments(self, moments: Sequence[Moment], step: int | None) -> None:
        """Know these moments from now on, and stand at this step or the one nearest to it; None for the newest."""
        known = self._moments
        self._moments = tuple(
            replace(moment, is_starred=self._stars.get(moment.step, moment.is_starred)) for moment in moments
        )
        if self._moments != known:
            self.moments_changed.emit(self._moments)
        if not self._moments:
            self._step = None
            self._strip.set_moments((), 0)
            return
        steps = [moment.step for moment in self._moments]
        place = len(steps) - 1 if step is None else min(range(len(steps)), key=lambda i: (abs(steps[i] - step), -i))
        self._step = steps[place]
        self._strip.set_moments(self._moments, place)
        self._show()

    def _scrub(self, place: int) -> None:
        self._stop_playing()
        self._go_to(place)

    def _go_to(self, place: int) -> None:
        if 0 <= place < len(self._moments):
            self._use_moments(self._moments, self._moments[place].step)

    def _show(self) -> None:
        """Show the moment that is wanted, now or as soon as it is read."""
        assert self._step is not None
        samples = self._cache.get(self._step)
        if samples is not None:
            self._show_samples(self._step, samples)
        elif self._step in self._unreadable:
            self._shown = self._step
            self._strip.show_problem(
                self._strip.tr("The pictures of step {step:,} cannot be read; another moment may have its own.").format(
                    step=self._step
                )
            )
        self._read_next()

    def _show_samples(self, step: int, samples: tuple[Sample, ...]) -> None:
        self._shown = step
        if step == self._pinned and self._pinned_samples is None:
            self._pinned_samples = samples
            self._strip.show_pinned((step, samples))
        notes = []
        if self._moments and step == self._moments[-1].step:
            self._newest_sources = _sources(samples)
            if not self._held_out:
                notes.append(self._strip.tr("These pictures are also trained on: others may come out less well."))
        elif self._newest_sources and _sources(samples) != self._newest_sources:
            notes.append(
                self._strip.tr("At this step other pictures were shown than now: they have been changed since.")
            )
        self._strip.show_samples(step, samples, notes=notes)

    # Reading

    def _read_next(self) -> None:
        """Read the moment that is wanted now, or the pinned one, unless it is there."""
        run = self._run
        if run is None or self._reading.is_running:
            return  # What is being read goes on from there.
        wanted = [self._step]
        if self._pinned_samples is None:
            wanted.append(self._pinned)
        for step in wanted:
            moment = next((m for m in self._moments if m.step == step), None)
            if moment is None or moment.step in self._unreadable or self._cache.get(moment.step) is not None:
                continue
            self._read_step = moment.step
            self._reading.start(partial(_read, run, moment, self._engine.read_samples))
            return

    def _take_samples(self, read: tuple[Path, int, tuple[Sample, ...]]) -> None:
        run, step, samples = read
        if run != self._run:
            return
        if not samples:
            self._unreadable.add(step)
            return
        self._cache.put(step, samples)
        if step == self._pinned and self._pinned_samples is None:
            self._pinned_samples = samples
            self._strip.show_pinned((step, samples))
        if step != self._step and self._is_between(step):
            # On the way to the one that is wanted: it moves at least, as far as it can be read.
            self._show_samples(step, samples)

    def _is_between(self, step: int) -> bool:
        """Whether a step lies on the way from what is shown to what is wanted."""
        if self._shown is None or self._step is None:
            return False
        return min(self._shown, self._step) < step < max(self._shown, self._step)

    def _reading_ended(self, failure: Failure | None) -> None:
        if failure is not None and self._read_step is not None:
            self._unreadable.add(self._read_step)
        self._read_step = None
        if self._step is not None and self._shown != self._step:
            self._show()
        else:
            self._read_next()

    # Playing

    def _play_or_stop(self) -> None:
        if self._player.isActive():
            self._stop_playing()
            return
        if len(self._moments) < 2:
            return
        self._strip.set_playing(True)
        if self.is_live:
            self._go_to(0)
        self._player.start(round(1000 / self._strip.speed))

    def _stop_playing(self) -> None:
        self._player.stop()
        self._strip.set_playing(False)

    def _play_on(self) -> None:
        self._player.setInterval(round(1000 / self._strip.speed))
        if self._shown != self._step:
            return  # The disk is slower than the film: no moment is left out.
        place = self._place()
        if place + 1 < len(self._moments):
            self._go_to(place + 1)
        if self.is_live:
            self._stop_playing()

    def _place(self) -> int:
        steps = [moment.step for moment in self._moments]
        return steps.index(self._step) if self._step in steps else len(steps) - 1

    # What can be done with a moment

    def _moment(self) -> Moment | None:
        return self._moments[self._place()] if self._moments else None

    def _star(self) -> None:
        moment = self._moment()
        if moment is not None:
            self._set_star(moment.step, not moment.is_starred)

    def _set_star(self, step: int, on: bool, then: Callable[[], None] | None = None) -> None:
        """Star a moment or not; `then` follows if that worked."""
        run = self._run
        if run is None:
            return

        def take(moments: tuple[Moment, ...]) -> None:
            if run != self._run:
                return
            # Samples may be on their way that were drawn before.
            self._stars[step] = on
            self._use_moments(moments, None if self.is_live else self._step)
            if then is not None:
                then()

        self._ask(partial(_one, self._engine.set_star, run, step, on), take)

    def _convert(self) -> None:
        moment = self._moment()
        if moment is None or moment.model is None:
            return
        if moment.is_starred:
            self.convert_requested.emit(moment.model)
        else:
            # Else it may be thinned away while there are still pictures to convert.
            self._set_star(moment.step, True, partial(self._convert_starred, moment.step))

    def _convert_starred(self, step: int) -> None:
        moment = next((each for each in self._moments if each.step == step), None)
        if moment is not None and moment.model is not None:
            self.convert_requested.emit(moment.model)
        else:
            self._strip.messages.add(
                self._strip.tr(
                    "The model of step {step:,} has just been thinned away; its pictures are kept. "
                    "Choose another moment that has its model."
                ).format(step=step),
                is_error=True,
            )

    def _branch(self) -> None:
        moment = self._moment()
        if self._run is not None and moment is not None and moment.model is not None:
            self.branch_requested.emit(self._run, moment.step)

    def _pin_or_end(self) -> None:
        if self._pinned is not None or self._step is None:
            self._pinned, self._pinned_samples = None, None
            self._strip.show_pinned(None)
            return
        self._stop_playing()
        self._pinned = self._step
        self._pinned_samples = self._cache.get(self._step)
        if self._pinned_samples is not None:
            self._strip.show_pinned((self._pinned, self._pinned_samples))
        self._read_next()

    def _export(self) -> None:
        if self._run is not None and self._shown is not None:
            self._stop_playing()
            samples = self._cache.get(self._shown) or _NO_SAMPLES
            self._exporter.open(self._run, samples, self._strip.chosen, len(self._moments))

    # The fixed pictures

    def _choose_pictures(self) -> None:
        if self._run is not None and self._dialog is None:
            self._stop_playing()
            self._ask(partial(picture_choices, self._run, self._engine), partial(self._offer_pictures, self._run))

    def _offer_pictures(self, run: Path, choices: tuple[PictureChoice, PictureChoice]) -> None:
        if run != self._run or self._dialog is not None:
            return
        self._dialog = PicturesDialog(
            self._strip.names, choices, is_training=self._is_training, parent=self._strip.window()
        )
        self._dialog.finished.connect(self._forget_dialog)
        self._dialog.chosen.connect(partial(self._change_pictures, run))
        self._dialog.thumbnails_asked.connect(self._read_more_thumbnails)
        self._dialog.open()
        self._read_more_thumbnails()

    def _read_more_thumbnails(self, _failure: Failure | None = None) -> None:
        if self._dialog is None or self._thumbnails.is_running:
            return
        missing = self._dialog.without_thumbnail()
        if missing:
            self._thumbnails.start(partial(read_thumbnails, missing))

    def _take_thumbnail(self, read: tuple[Path, Any]) -> None:
        if self._dialog is not None:
            self._dialog.show_thumbnail(*read)

    def _forget_dialog(self) -> None:
        self._dialog = None
        self._thumbnails.close()

    def _change_pictures(self, run: Path, pictures_A: tuple[Path, ...], pictures_B: tuple[Path, ...]) -> None:
        if self._is_training:
            self.samples_changed_requested.emit(run, pictures_A, pictures_B)
            return
        self._ask(
            partial(_one, self._engine.choose_samples, run, pictures_A, pictures_B),
            lambda _pictures: self._strip.messages.add(
                self._strip.tr("These pictures are shown from the next samples on. Earlier moments keep their own.")
            ),
        )

    # Asking the disk, one thing after the other

    def _ask(self, work: Callable[[], Iterator[Any]], take: Callable[[Any], None]) -> None:
        self._tasks.append(_Task(work, take))
        self._ask_next()

    def _ask_next(self) -> None:
        if self._tasks and not self._asking.is_running:
            self._task = self._tasks.popleft()
            self._asking.start(self._task.work)

    def _take_answer(self, answer: Any) -> None:
        if self._task is not None:
            self._task.take(answer)

    def _asked(self, failure: Failure | None) -> None:
        self._task = None
        if failure is not None:
            self._strip.messages.add(failure.message, is_error=True, details=failure.details)
        self._ask_next()


def _read(
    run: Path, moment: Moment, read_samples: Callable[[Moment], tuple[Sample, ...]]
) -> Iterator[tuple[Path, int, tuple[Sample, ...]]]:
    yield run, moment.step, read_samples(moment)


def _one(function: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
    """A single call as work for a thread."""
    yield function(*arguments)


def _sources(samples: Sequence[Sample]) -> frozenset[tuple[str, str]]:
    return frozenset((sample.direction, str(sample.source)) for sample in samples)
