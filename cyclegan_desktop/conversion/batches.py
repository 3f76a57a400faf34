"""One batch: a list of pictures, what they are converted with, and how far they have come."""

from __future__ import annotations

import dataclasses
import operator
import os
import re
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final, assert_never

from PySide6.QtCore import QObject, QStandardPaths

from cyclegan_desktop.conversion.file_list import FileListModel, FileState, MadeWith, spans_of
from cyclegan_desktop.conversion.job_choices import JobChoices
from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.plain_text import shown_text
from engine.config import ConvertJob, Direction
from engine.conversion.model_file import ModelInfo
from engine.data.folders import is_within
from engine.events import (
    Converted,
    ConvertEvent,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    FileFailed,
    FilesFound,
    FileSkipped,
    Notice,
    Preparing,
    WaitingForSpace,
)

_RATE_WINDOW_SECONDS: Final = 15.0
_LEAST_PICTURES: Final = 3
_LEAST_SECONDS: Final = 3.0
_MOST_NOTICES: Final = 3
_SETTLED: Final = (FileState.DONE, FileState.SKIPPED)
_UNFINISHED_FILES: Final = (FileState.PENDING, FileState.IN_PROGRESS)

# What no pixel of a result depends on.
_BESIDE_RESULTS: Final = ("again", "watch", "device", "time_limit", "memory_gb", "max_megapixels", "if_exists")


class BatchState(Enum):
    """How far a batch has come."""

    DRAFT = auto()
    WAITING = auto()
    RUNNING = auto()
    PAUSED = auto()
    DONE = auto()
    STOPPED = auto()
    FAILED = auto()


UNFINISHED: Final = (BatchState.WAITING, BatchState.RUNNING, BatchState.PAUSED)
"""States in which a batch is under way: its list and settings are fixed, and it is kept for the next start."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a conversion is, in pictures.

    Attributes:
        converted: Done.
        skipped: Left alone, since they were done before or their name is taken.
        failed: Could not be converted.
        canceled: Not tried, since it was stopped.
        total: All of them.
        seconds_left: None while it is not known.
        rate: Pictures a second, None while it is not known.
        engines: What translates, such as "OpenVINO" and, for other pictures, "PyTorch"; empty while it is not known.
    """

    converted: int
    skipped: int
    failed: int
    canceled: int
    total: int
    seconds_left: float | None = None
    rate: float | None = None
    engines: tuple[str, ...] = ()

    @property
    def tried(self) -> int:
        """Those that are over and done with, one way or another."""
        return self.converted + self.skipped + self.failed


class Batch(QObject):
    """A list of pictures and what they are converted with. It decides nothing about when: `BatchQueue` does.

    Attributes:
        files: The pictures.
        state: How far it has come.
        model: What it is converted with, None while nothing is chosen, or nothing is known of what is.
        wished_model: File of the model chosen, which may not be there; None while nothing is chosen.
        is_model_gone: Whether the model chosen was not there, or not whole, when last looked for.
        wished_direction: The direction chosen, which the model may not have.
        chosen_output: The output folder chosen by hand, None for a proposed one.
        begun_output: The folder that was proposed when it was begun at an earlier start: the rest goes there, too.
        choices: Everything else that is chosen.
        other_files: Files that are no pictures, by the folder that was added; such as hold nothing else, too.
        start_wanted: Whether it is to be converted as soon as its folders are looked through.
        is_restored: Whether it goes on with what an earlier start of the app has left: results found are its own.
        made_before: Of a restored one: pictures whose results were there before it, and are not its own.
        job: What is or was converted last, None before.
        failure: Why the last conversion ended early.
        notices: What the engine has said about it, the newest few.
        space_text: Says that the disk is full, as long as that lasts.
        preparing: What goes on before the first picture.
        selected: Number of the row whose pictures are shown, -1 for none.
        newest: Number of the row converted last, -1 for none.
        follows: Whether results show themselves as they come.
        shows_summary: Whether what came of the last conversion is to be said: until something is changed.
    """

    def __init__(
        self,
        model: ModelInfo | None,
        direction: Direction,
        output: Path | None,
        choices: JobChoices,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.files = FileListModel(self)
        self.state = BatchState.DRAFT
        self.model = model
        self.wished_model = model.path if model is not None else None
        self.is_model_gone = False
        self.wished_direction: Direction = direction
        self.chosen_output = output
        self.begun_output: Path | None = None
        self.choices = choices
        self.other_files: dict[Path, int] = {}
        self.start_wanted = False
        self.is_restored = False
        self.made_before: frozenset[Path] = frozenset()

        self.job: ConvertJob | None = None
        self.failure: Failure | None = None
        self.notices: list[str] = []
        self.space_text = ""
        self.preparing: Preparing | None = None
        self._made_with: MadeWith | None = None
        self._numbers: list[int] = []  # Row of each source of the job, by its place in the plan.
        self._counts: Counter[FileState] = Counter()  # Of those rows only.
        self._is_planned = False
        self._results: Path | None = None
        self._worked = 0
        self._rate = _Rate()
        self._engines: Counter[str] = Counter()

        self.selected = -1
        self.newest = -1
        self.follows = False
        self.shows_summary = False

    # What it is

    @property
    def is_under_way(self) -> bool:
        """Whether it runs, waits or pauses, so that nothing about it may be changed."""
        return self.state in UNFINISHED

    @property
    def has_ended(self) -> bool:
        """Whether it has been converted, or at least some of it, and is not under way any more."""
        return not self.is_under_way and self.job is not None and self.progress.tried > 0

    @property
    def direction(self) -> Direction:
        """The direction chosen, or the only one that the model has; the next model may have both again."""
        if self.model is None or self.wished_direction in self.model.directions:
            return self.wished_direction
        return self.model.directions[0]

    @property
    def captions(self) -> tuple[str, str]:
        """What a picture shows before and after."""
        if self.model is None:
            return "", ""
        names = self.model.name_A, self.model.name_B
        return names if self.direction == "a2b" else (names[1], names[0])

    @property
    def source_name(self) -> str:
        """The pictures in short, such as "Photos" or "a.png and 3 more"; "" for none."""
        outermost = outermost_of(self._folders)
        if not outermost and not len(self.files):
            return ""
        path = outermost[0] if outermost else self.files.rows[0].path
        first = path.name or str(path)
        more = len(outermost) - 1 if outermost else len(self.files) - 1
        if more <= 0:
            return shown_text(first)
        return self.tr("{0} and {1} more").format(shown_text(first), f"{more:,}")

    @property
    def name(self) -> str:
        """What it is called, such as "Photos, Summer to Winter"."""
        source = self.source_name
        before, after = self.captions
        if not source or not after:
            return source or self.tr("New batch")
        words = self.tr("{source}, {before} to {after}")
        if self.choices.again:
            words = self.tr("{source}, {before} to {after}, redo")
        return words.format(source=source, before=shown_text(before), after=shown_text(after))

    @property
    def _folders(self) -> tuple[Path, ...]:
        """The folders of its pictures; if it is to watch, also those that hold none yet."""
        roots = self.files.roots
        if not self.choices.watch:
            return roots
        return (*roots, *(folder for folder in self.other_files if folder not in roots))

    @property
    def has_something(self) -> bool:
        """Whether there is anything to convert or to watch."""
        return len(self.files) > 0 or bool(self._folders)

    @property
    def other_file_count(self) -> int:
        """Files in its folders that are no pictures."""
        # What lies in two folders that were both added counts once.
        return sum(self.other_files[root] for root in outermost_of(self.other_files))

    @property
    def output_folder(self) -> Path | None:
        """Where results go; None while nothing is chosen and there is nothing to put them beside."""
        return self.chosen_output or self.begun_output or self._output_beside_sources()

    @property
    def results(self) -> Path | None:
        """The folder into which the last conversion wrote, None before one."""
        return self._results

    def root_around(self, folder: Path) -> Path | None:
        """The folder of sources within which `folder` lies, None if it is outside of all."""
        return next((root for root in self._folders if is_within(folder, root)), None)

    # What is to be done

    def clear(self) -> None:
        """Begin anew with an empty list."""
        self.files.clear()
        self.other_files.clear()
        self.state = BatchState.DRAFT
        self.job = self.failure = self._results = self.begun_output = None
        self.made_before = frozenset()
        self.notices.clear()
        self._numbers, self._counts = [], Counter()
        self.selected = self.newest = -1
        self.start_wanted = self.is_restored = self.shows_summary = False

    def made_with_now(self, model: ModelInfo, to: Path) -> MadeWith:
        """What results would depend on."""
        try:
            model_time = model.path.stat().st_mtime_ns
        except OSError:
            model_time = 0  # The converter has the sentence for a model that is gone.
        defaults = JobChoices()
        choices = dataclasses.replace(self.choices, **{name: getattr(defaults, name) for name in _BESIDE_RESULTS})
        return MadeWith(model.path, model_time, self.direction, to, choices, self.captions)

    def to_do(self, made_with: MadeWith) -> list[int]:
        """Numbers of the rows that have no result made with this; of all rows if they are to be made again."""
        if self.choices.again:
            return list(range(len(self.files)))
        # Rows converted together share one object, and comparing 100,000 of them by value takes long.
        fitting: dict[int, bool] = {}
        numbers: list[int] = []
        for number, row in enumerate(self.files.rows):
            key = id(row.made_with)
            if key not in fitting:
                fitting[key] = row.made_with == made_with
            if row.state not in _SETTLED or not fitting[key]:
                numbers.append(number)
        return numbers

    def in_state(self, state: FileState) -> list[int]:
        """Numbers of the rows in a state."""
        if not self.files.count(state):
            return []
        return [number for number, row in enumerate(self.files.rows) if row.state is state]

    def job_for(self, numbers: Sequence[int], made_with: MadeWith, *, again: bool = False) -> ConvertJob:
        """What the engine is to do for these rows.

        Raises:
            ConfigError: Something chosen makes no sense.
        """
        choices = self.choices
        rows = self.files.rows
        roots = self.files.roots
        if choices.watch:
            # The folders themselves, since in these the engine looks for more.
            single = [rows[number].path for number in numbers if rows[number].root is None]
            sources, roots = (*outermost_of(self._folders), *single), ()
        else:
            sources = tuple(rows[number].path for number in numbers)
        values = choices.to_json() | {"again": choices.again or again}
        return ConvertJob(
            model=made_with.model,
            sources=sources,
            to=made_with.to,
            direction=made_with.direction,
            roots=roots,
            **values,
        )

    def prepare(self, job: ConvertJob, numbers: list[int], made_with: MadeWith) -> None:
        """Be ready to convert these rows."""
        self.job, self._numbers, self._made_with = job, numbers, made_with
        self._results = job.to
        self._counts = Counter()
        self._reset()
        self.failure = None
        self.notices.clear()
        self.newest = -1

    def prepare_to_go_on(self) -> None:
        """Be ready for the same job once more; what is done stays done."""
        assert self.job is not None
        self._numbers = list(dict.fromkeys(self._numbers))  # One that changed while it was watched is there twice.
        if self.job.again:
            # The ledger cannot tell what this batch has made anew from what was there before it.
            rows = self.files.rows
            left = [number for number in self._numbers if rows[number].state is not FileState.DONE]
            if left and not self.job.watch:
                self.job = dataclasses.replace(self.job, sources=tuple(rows[number].path for number in left))
                self._numbers = left
        self._counts = Counter()
        self._reset()
        self.failure = None

    def _reset(self) -> None:
        going_on = self.state is BatchState.PAUSED
        rows = self.files.rows
        for number in self._numbers:
            state = rows[number].state
            if state is FileState.PENDING:
                continue
            if going_on and state in _SETTLED:
                self._counts[state] += 1
            else:
                self.files.set_state(number, FileState.PENDING)
        self._counts[FileState.PENDING] = len(self._numbers) - self._counts.total()
        self._is_planned = False
        self._worked = 0
        self._rate = _Rate()
        if not going_on:
            self._engines.clear()
        self.preparing = None
        self.space_text = ""

    # What happens

    def follow(self, event: ConvertEvent) -> None:
        """Take in what the engine reports."""
        if not isinstance(event, WaitingForSpace | Notice | FilesFound):
            self.space_text = ""
        match event:
            case Preparing() if not self._is_planned:
                self.preparing = event
            case Preparing():
                pass  # A large picture is still at work, as its row says; the count of pictures stays in sight.
            case Notice(text=text):
                self.notices = [*(other for other in self.notices if other != text), text][-_MOST_NOTICES:]
            case ConvertPlanned():
                self._take_plan(event)
            case FilesFound(sources=sources):
                self._take_found(sources)
            case ConvertingFile(index=index):
                self._set(index, FileState.IN_PROGRESS)
            case Converted():
                text = " ".join(event.notes)
                self._set(event.index, FileState.DONE, text, event.target, self._made_with, event.seconds, event.engine)
                self._worked += 1
                self._engines[event.engine] += 1
                self.newest = self._numbers[event.index]
            case FileSkipped():
                self._skip(event)
            case FileFailed():
                self._set(event.index, FileState.FAILED, event.reason)
                self._worked += 1
            case WaitingForSpace(text=text):
                self.space_text = text
            case ConvertFinished():
                pass  # The thread says that it is done, with nothing left to wait for.
            case _:
                assert_never(event)

    def settle(self, state: FileState) -> None:
        """Put every picture of the job that has not had its turn into a state."""
        for number in self._numbers:
            if self.files.rows[number].state in _UNFINISHED_FILES:
                self._set_row(number, state)
        self.files.update_view()
        self.preparing = None
        self.space_text = ""

    @property
    def is_planned(self) -> bool:
        """Whether the engine has begun with the pictures."""
        return self._is_planned

    @property
    def is_watching(self) -> bool:
        """Whether it waits for new pictures, with nothing else to do."""
        is_on = self.job is not None and self.job.watch and self.state is BatchState.RUNNING and self._is_planned
        return is_on and not any(self._counts[state] for state in _UNFINISHED_FILES)

    @property
    def progress(self) -> Progress:
        """How far the job is."""
        counts = self._counts
        left = counts[FileState.PENDING] + counts[FileState.IN_PROGRESS]
        rate = waited = None
        if self.state is BatchState.RUNNING and self._is_planned:
            rate, waited = self._rate.after(self._worked)
        seconds = left / rate - waited if rate and waited is not None else None
        return Progress(
            converted=counts[FileState.DONE],
            skipped=counts[FileState.SKIPPED],
            failed=counts[FileState.FAILED],
            canceled=counts[FileState.CANCELED],
            total=counts.total(),
            # Later than it promised, for a picture is much larger than those before: then nothing is known.
            seconds_left=seconds if seconds is not None and seconds > 0 else None,
            rate=rate,
            engines=tuple(engine for engine, _ in self._engines.most_common()),
        )

    @property
    def job_files(self) -> tuple[list[Path], list[Path | None]]:
        """The sources of the job, and the folder that each was added with.

        Without those done already where the ledger cannot tell these from older results.
        """
        all_rows = self.files.rows
        rows = [all_rows[number] for number in dict.fromkeys(self._numbers)]
        if self.job is not None and self.job.again:
            rows = [row for row in rows if row.state is not FileState.DONE]
        # Two lists instead of 100,000 pairs, which the garbage collector would all go through.
        return [row.path for row in rows], [row.root for row in rows]

    def spans_made_before(self) -> tuple[tuple[int, int], ...]:
        """Places among `job_files` of those skipped since there were results, as spans (first, last)."""
        if not self._counts[FileState.SKIPPED] or (self.job is not None and self.job.again):
            return ()
        rows = self.files.rows
        skipped = (
            place
            for place, number in enumerate(dict.fromkeys(self._numbers))
            if rows[number].state is FileState.SKIPPED
        )
        return tuple(spans_of(list(skipped)))

    def _take_plan(self, plan: ConvertPlanned) -> None:
        """From here on events count by the plan's order."""
        self._results = plan.to
        self._is_planned = True
        rows = self.files.rows
        # Nearly always the engine takes the very files it was given: then there is nothing to look up.
        same = len(plan.sources) == len(self._numbers) and all(
            map(operator.is_, plan.sources, (rows[number].path for number in self._numbers))
        )
        if not same:
            self._numbers = self._listed(plan.sources)
            self._counts = Counter(rows[number].state for number in self._numbers)

    def _take_found(self, sources: Sequence[Path]) -> None:
        rows = self.files.rows
        known = set(self._numbers)
        for number in self._listed(sources):
            self._numbers.append(number)
            if number not in known:
                known.add(number)
                self._counts[rows[number].state] += 1
            if rows[number].state is not FileState.PENDING:
                self._set_row(number, FileState.PENDING)  # Its file has changed since.

    def _listed(self, sources: Sequence[Path]) -> list[int]:
        """The rows of these sources, made where there are none: every file that is written is shown."""
        numbers: list[int] = []
        new: dict[Path | None, list[Path]] = {}
        for source in sources:
            if self.files.number_of(source) is None:
                new.setdefault(self._root_of(source), []).append(source)
        for root, paths in new.items():
            self.files.add(paths, root)
        for source in sources:
            number = self.files.number_of(source)
            assert number is not None
            numbers.append(number)
        return numbers

    def _root_of(self, source: Path) -> Path | None:
        roots = self.files.roots
        return next((parent for parent in source.parents if parent in roots), None)

    def _skip(self, event: FileSkipped) -> None:
        number = self._numbers[event.index]
        if self.files.rows[number].state is FileState.DONE:
            return  # By this batch itself, before it paused.
        notes = " ".join(event.notes)
        reason = f"{event.reason} {notes}".strip()
        if not event.is_result:
            self._set(event.index, FileState.SKIPPED, reason)
        elif self.is_restored and event.source not in self.made_before:
            self._set(event.index, FileState.DONE, notes, event.target, self._made_with)
        else:
            self._set(event.index, FileState.SKIPPED, reason, event.target, self._made_with)

    def _set(
        self,
        index: int,
        state: FileState,
        text: str = "",
        target: Path | None = None,
        made_with: MadeWith | None = None,
        seconds: float = 0.0,
        engine: str = "",
    ) -> None:
        self._set_row(self._numbers[index], state, text, target, made_with, seconds, engine)

    def _set_row(
        self,
        number: int,
        state: FileState,
        text: str = "",
        target: Path | None = None,
        made_with: MadeWith | None = None,
        seconds: float = 0.0,
        engine: str = "",
    ) -> None:
        self._counts[self.files.rows[number].state] -= 1
        self._counts[state] += 1
        self.files.set_state(number, state, text, target, made_with, seconds, engine)

    def _output_beside_sources(self) -> Path | None:
        """Such as "Photos - Oranges" beside Photos, or "Oranges" beside single pictures."""
        if not self.has_something:
            return None
        name = _as_file_name(self.captions[1])
        roots = self._folders
        outermost = outermost_of(roots)
        if outermost and outermost[0].name:
            beside = outermost[0].parent / f"{outermost[0].name} - {name}"
        else:
            beside = self.files.rows[0].path.parent / name
        if os.access(beside.parent, os.W_OK) and beside.parent not in roots:
            return beside
        pictures = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
        return Path(pictures or Path.home()) / beside.name


class _Rate:
    """Pictures a second lately: over some seconds, or over the last pictures if they take longer.

    What passes before the first picture is done is left out: with it, the graphics card warms up.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def after(self, done: int) -> tuple[float | None, float]:
        """The rate now that `done` pictures are done, None while too little is known; and seconds since the last."""
        now = time.monotonic()
        if not done:
            return None, 0.0
        if not self._marks or self._marks[-1][1] != done:
            self._marks.append((now, done))
        while len(self._marks) > 2 and self._marks[-1][0] - self._marks[1][0] > _RATE_WINDOW_SECONDS:
            self._marks.popleft()
        (first_time, first_done), (last_time, last_done) = self._marks[0], self._marks[-1]
        took = last_time - first_time
        is_known = done >= _LEAST_PICTURES and took >= _LEAST_SECONDS
        return (last_done - first_done) / took if is_known else None, now - last_time


def outermost_of(folders: Iterable[Path]) -> list[Path]:
    """Those that lie in none of the others."""
    all_folders = set(folders)
    return [folder for folder in folders if all_folders.isdisjoint(folder.parents)]


def _as_file_name(name: str) -> str:
    """A domain's name as the name of a folder on every system."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name).strip(" .") or "Converted"
