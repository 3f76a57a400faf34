"""Run: the folder of one training on disk, readable by people and other tools. Imports no torch.

- config.json: the settings, what was chosen by measurement, and the list of pictures
- losses.csv: one row a report
- samples/step_00000500_a2b.png: original, translated and back again, a row a picture; see `sheets`
- moments/step_00000500.safetensors: all four networks as they were then, of a few moments; see `moments`
- stars.json: the moments that the user has starred
- checkpoints/step_00000500.safetensors: everything needed to go on, one file a generation
- model.safetensors: both generators, rewritten at every save
- quality.csv: one row a measurement
- best.safetensors: all networks of the best moment
- log.txt: what happened when
- marks.csv: what happened at which step
- under_way.json: there while a process trains, and after one that could not end in order
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias, get_args

from filelock import FileLock, Timeout

from engine.config import Direction, TrainConfig
from engine.conversion.model_file import BEST_FILE_NAME, MODEL_FILE_NAME, default_model
from engine.errors import ConfigError, ModelFileError, RunError
from engine.events import LOSS_NAMES, StepReport
from engine.files import disk_sentence, set_aside, write_atomically
from engine.tensor_file import read_metadata
from engine.training.quality import read_best
from engine.training.schedule import steps_per_epoch, total_steps
from engine.training.sheets import stored_name
from engine.words import counted

FORMAT_VERSION = 1
MarkKind: TypeAlias = Literal["begun", "saved", "resumed", "rolled_back", "changed"]
_CHECKPOINT = re.compile(r"step_(\d+)\.safetensors")
_UNDER_WAY = "under_way.json"
# So long a trainer waits for the folder of its run: whoever looks whether it is being trained holds it for a moment.
_LOCK_SECONDS = 0.5
_MARKS_HEADER = ("step", "kind", "text")
_CSV_HEADER = ("step", "epoch", "seconds", "lr", *LOSS_NAMES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What was chosen by measurement when a training began; kept on resume so that it stays bit-exact.

    Attributes:
        device: "cpu", "cuda:0" or "mps".
        hardware: The device's name and torch's version.
        precision: "fp32", "bf16" or "fp16".
        threads: Threads of the CPU.
        ranks: Processes that train together.
        offset: Steps taken, less those that this many ranks would have taken to come as far; 0 unless their number
            has changed on the way.
        batched: Whether two batches for one network go through it together, see `CycleGAN`; never so in older runs.
    """

    device: str
    hardware: str
    precision: str
    threads: int
    ranks: int = 1
    offset: int = 0
    batched: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """The pictures of a training, as they were when it began.

    Attributes:
        train_A: Pictures of A trained on, in the order that the seed refers to.
        train_B: The same for B.
        sample_A: Fixed pictures of A shown as samples.
        sample_B: The same for B.
        held_out: Whether the samples are kept from training.
        shown_A: Pictures of A that the user has chosen to be shown instead of `sample_A`; they may be anywhere.
        shown_B: The same for B.
        held_A: Pictures of A kept from training, by which quality is measured; of older runs none, and their samples
            stand in.
        held_B: The same for B.
    """

    train_A: tuple[Path, ...]
    train_B: tuple[Path, ...]
    sample_A: tuple[Path, ...]
    sample_B: tuple[Path, ...]
    held_out: bool
    held_A: tuple[Path, ...] = ()
    held_B: tuple[Path, ...] = ()
    shown_A: tuple[Path, ...] = ()
    shown_B: tuple[Path, ...] = ()

    @property
    def shows_held_out(self) -> bool:
        """Whether all pictures that are shown are kept from training."""
        sides = ((self.shown_A, self.train_A), (self.shown_B, self.train_B))
        return all(set(trained).isdisjoint(shown) if shown else self.held_out for shown, trained in sides)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a step of a training.

    Attributes:
        step: Steps taken then; after "rolled_back" and "resumed" those from which it went on.
        kind: "begun", "saved", "resumed", "rolled_back" or "changed" (other settings from here on).
        text: A sentence, or "".
    """

    step: int
    kind: MarkKind
    text: str


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A training on disk at a glance.

    Attributes:
        folder: The run.
        config: Its settings.
        step: Steps taken, as far as they are recorded: in losses.csv, or by its newest checkpoint.
        total_steps: Steps after which it ends (the schedule's, or `max_steps`).
        schedule_steps: Steps of the whole schedule.
        seconds: Time spent on training.
        model: The model file that the run stands for, if one was saved: its best moment, or the newest.
        best_score: The score of the best moment; None where none has been good yet, see `quality.is_better`.
        best_step: Its step.
        sheet: The newest sheet of samples, if there is one.
        modified: When it was last written, in seconds since 1970.
        was_interrupted: Whether its last trainer could not end in order: a crash, a power cut. One that is at work
            does not count.
        problem: A sentence about a damaged losses.csv, or "".
    """

    folder: Path
    config: TrainConfig
    step: int
    total_steps: int
    schedule_steps: int
    seconds: float
    model: Path | None
    sheet: Path | None
    modified: float
    was_interrupted: bool = False
    best_score: float | None = None
    best_step: int | None = None
    problem: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether its schedule is done. A training that a cap has ended is not, and can be resumed."""
        return self.step >= self.schedule_steps


class Run:
    """The folder of one training, locked against a second trainer until it is closed or the process dies."""

    def __init__(self, folder: Path, config: TrainConfig, choices: Choices, pictures: Pictures, lock: FileLock) -> None:
        """Use `Run.create` or `Run.open`."""
        self.folder = folder
        self.config = config
        self.choices = choices
        self.pictures = pictures
        self._lock = lock
        self._losses: TextIO | None = None
        self._is_under_way = False

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        """The model file of the newest moment."""
        return self.folder / MODEL_FILE_NAME

    @property
    def best(self) -> Path:
        """The model file of the best moment."""
        return self.folder / BEST_FILE_NAME

    def sheet(self, step: int, direction: Direction) -> Path:
        """Where the samples of a step are stored."""
        return self.folder / "samples" / f"step_{step:08d}_{direction}.png"

    @classmethod
    def create(cls, config: TrainConfig, choices: Choices, pictures: Pictures) -> Run:
        """Make the folder of a new training; see `check_training_folders` for what it may be.

        Raises:
            RunError: It cannot be written, or another process has just made a training of it.
        """
        folder = config.run
        try:
            folder.mkdir(parents=True, exist_ok=True)
            run = cls(folder, config, choices, pictures, locked(folder))
            if (folder / "config.json").exists():
                run.close()
                raise RunError(f"{folder} has just become another training. Choose another folder.")
            for part in ("samples", "checkpoints"):
                (folder / part).mkdir(exist_ok=True)
            run._write_config()
            run._open_losses(",".join(_CSV_HEADER) + "\n")
        except OSError as error:
            raise RunError(disk_sentence(error, folder)) from error
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open an existing training to go on with it.

        Raises:
            RunError: It is no run, is damaged, or another process trains it.
        """
        lock = locked(_existing(folder))
        try:
            document = _read_document(folder)
            config = dataclasses.replace(_config_of(folder, document), run=folder)
            choices = Choices(**document["choices"])
            pictures = _pictures_from_json(config, document["pictures"])
        except (KeyError, TypeError, AttributeError) as error:
            lock.release()
            raise RunError(_damaged(folder)) from error
        except RunError:
            lock.release()
            raise
        return cls(folder, config, choices, pictures, lock)

    def change(self, config: TrainConfig, choices: Choices) -> None:
        """Store other settings for the rest of the training.

        Raises:
            OSError: The folder cannot be written.
        """
        if (config, choices) != (self.config, self.choices):
            self.config, self.choices = config, choices
            self._write_config()

    def change_pictures(self, pictures: Pictures) -> None:
        """Store other pictures, such as those that are shown.

        Raises:
            OSError: The folder cannot be written.
        """
        if pictures != self.pictures:
            self.pictures = pictures
            self._write_config()

    def continue_losses(self, step: int) -> str:
        """Open losses.csv to go on after `step`; rows past it are cut.

        Returns:
            That the file was damaged, and where it is kept, as a sentence; "" where it was not.

        Raises:
            OSError: The folder cannot be written.
        """
        path = self.folder / "losses.csv"
        text = path.read_text(encoding="ascii", errors="replace") if path.exists() else ""
        rows = [row for row in text.splitlines() if (number := _step_of(row)) is not None and number <= step]
        sentence = ""
        if text and _is_damaged(text):
            self._close_losses()
            kept = set_aside(path)
            sentence = (
                f"losses.csv was damaged: {counted(len(rows), 'row')} of it could be read and were taken over. "
                f"The damaged file is kept as {kept.name} in the training's folder."
            )
        self._open_losses("\n".join([",".join(_CSV_HEADER), *rows]) + "\n")
        return sentence

    def append_losses(self, report: StepReport) -> None:
        """Add a row to losses.csv.

        Raises:
            OSError: The disk is full or the folder has gone.
        """
        assert self._losses is not None
        values = (f"{getattr(report.losses, name):.6g}" for name in LOSS_NAMES)
        start = f"{report.step},{report.epoch},{report.seconds:.2f},{report.learning_rate:.6g},"
        self._losses.write(start + ",".join(values) + "\n")
        self._losses.flush()

    def log(self, text: str) -> None:
        """Add a line to log.txt; a log that cannot be written stops nobody."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n"
        with contextlib.suppress(OSError), (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(line.encode("utf-8", "replace").decode("utf-8"))

    def set_out(self) -> None:
        """Note on disk that this process trains, until `close`: what a crash or a power cut leaves behind.

        Raises:
            OSError: The folder cannot be written.
        """
        words = {"begun": time.strftime("%Y-%m-%d %H:%M:%S"), "process": os.getpid()}
        write_atomically(self.folder / _UNDER_WAY, (json.dumps(words) + "\n").encode("ascii"))
        self._is_under_way = True

    def mark(self, kind: MarkKind, text: str = "", *, step: int) -> None:
        """Add a row to marks.csv; one that cannot be written stops nobody."""
        path = self.folder / "marks.csv"
        with contextlib.suppress(OSError), path.open("a", encoding="utf-8", errors="replace", newline="") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(_MARKS_HEADER)
            writer.writerow((step, kind, text))

    def cut_marks(self, step: int) -> None:
        """Forget what happened past `step`, where the training goes on from there; this stops nobody either.

        Settings that were changed since then hold on, from there.
        """
        marks = read_marks(self.folder)
        if all(mark.step <= step for mark in marks):
            return
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(_MARKS_HEADER)
        for mark in marks:
            if mark.step <= step or mark.kind == "changed":
                writer.writerow((min(mark.step, step), mark.kind, mark.text))
        with contextlib.suppress(OSError):
            write_atomically(self.folder / "marks.csv", file.getvalue().encode("utf-8", "replace"))

    def close(self) -> None:
        """Close the files, take back what `set_out` noted, and give up the lock."""
        self._close_losses()
        if self._is_under_way:
            with contextlib.suppress(OSError):
                (self.folder / _UNDER_WAY).unlink()
            self._is_under_way = False
        self._lock.release()

    def _close_losses(self) -> None:
        if self._losses is not None:
            with contextlib.suppress(OSError):
                self._losses.close()
            self._losses = None

    def _open_losses(self, text: str) -> None:
        self._close_losses()
        path = self.folder / "losses.csv"
        write_atomically(path, text.encode("ascii", "replace"))
        self._losses = path.open("a", encoding="ascii", newline="")

    def _write_config(self) -> None:
        document = {
            "format_version": FORMAT_VERSION,
            "config": self.config.to_json(),
            "choices": dataclasses.asdict(self.choices),
            "pictures": _pictures_to_json(self.config, self.pictures),
        }
        write_atomically(self.folder / "config.json", (json.dumps(document, indent=2) + "\n").encode("ascii"))


def read_run_summary(folder: Path) -> RunSummary:
    """A training on disk at a glance.

    Raises:
        RunError: It is no run, or its config.json is damaged.
    """
    document = _read_document(_existing(folder))
    config = _config_of(folder, document)
    step, seconds, problem = _how_far(folder)
    try:
        count_A, count_B = (len(document["pictures"][name]) for name in ("train_A", "train_B"))
        choices = Choices(**document["choices"])
    except (KeyError, TypeError) as error:
        raise RunError(_damaged(folder)) from error
    epoch = steps_per_epoch(config, count_A, count_B, choices.ranks)
    sheets = sorted((folder / "samples").glob("step_*.png"))
    model = default_model(folder)
    best = read_best(folder)
    return RunSummary(
        folder=folder,
        config=config,
        step=step,
        schedule_steps=config.total_epochs * epoch + choices.offset,
        total_steps=total_steps(config, epoch, choices.offset),
        seconds=seconds,
        model=model if model.exists() else None,
        sheet=sheets[-1] if sheets else None,
        modified=max(_modified(folder / name) for name in ("config.json", "losses.csv", MODEL_FILE_NAME)),
        was_interrupted=_was_interrupted(folder),
        best_score=None if best is None else best.score,
        best_step=None if best is None else best.step,
        problem=problem,
    )


def runs_in(folder: Path) -> list[Path]:
    """The folders of trainings in a folder, in the order of their names; none where it cannot be looked into."""
    try:
        return sorted(path for path in folder.iterdir() if (path / "config.json").is_file())
    except OSError:  # No training yet, or its disk is not connected.
        return []


def read_pictures(folder: Path) -> Pictures:
    """The pictures of a training on disk.

    Raises:
        RunError: It is no run, or its config.json is damaged.
    """
    return read_settings(folder)[1]


def read_settings(folder: Path) -> tuple[TrainConfig, Pictures]:
    """The settings and the pictures of a training on disk.

    Raises:
        RunError: It is no run, or its config.json is damaged.
    """
    document = _read_document(_existing(folder))
    config = _config_of(folder, document)
    try:
        return config, _pictures_from_json(config, document["pictures"])
    except (KeyError, TypeError) as error:
        raise RunError(_damaged(folder)) from error


def read_marks(folder: Path) -> list[Mark]:
    """Every row of marks.csv, in the order in which things happened; damaged rows are left out."""
    try:
        with (folder / "marks.csv").open(encoding="utf-8", errors="replace", newline="") as file:
            return list(_parse_marks(csv.DictReader(file)))
    except (OSError, csv.Error):
        return []


def _parse_marks(rows: csv.DictReader[str]) -> Iterator[Mark]:
    for row in rows:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            step, kind, text = int(row["step"]), row["kind"], row["text"]
            if kind in get_args(MarkKind) and text is not None:
                yield Mark(step, kind, text)  # type: ignore[arg-type]


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints of a training on disk, the newest first.

    Raises:
        OSError: There is no folder for them.
    """
    return [path for _, path in _numbered_checkpoints(folder)]


def _numbered_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    paths = (folder / "checkpoints").iterdir()
    found = [(int(match[1]), path) for path in paths if (match := _CHECKPOINT.fullmatch(path.name))]
    return sorted(found, reverse=True)


def _how_far(folder: Path) -> tuple[int, float, str]:
    """Steps, seconds, and a sentence about a losses.csv that cannot tell all of them."""
    path = folder / "losses.csv"
    step, seconds = _last_saved(folder, *_last_row(path))
    problem = ""
    with contextlib.suppress(OSError):
        if not path.exists():
            problem = f"{path} is missing, so the losses of this training so far cannot be shown." if step else ""
        elif _is_damaged(_both_ends(path)):
            problem = f"{path} is damaged, so not all losses of this training can be shown."
    if problem:
        problem += " Its networks are in other files: it can be gone on with."
    return step, seconds, problem


def _last_saved(folder: Path, step: int, seconds: float) -> tuple[int, float]:
    """The step and the seconds of its newest checkpoint that can be read, if that is past these."""
    with contextlib.suppress(OSError):
        for number, path in _numbered_checkpoints(folder):
            if number <= step:
                break
            with contextlib.suppress(ModelFileError, KeyError, ValueError):
                return number, float(read_metadata(path)["seconds"])
    return step, seconds


def _is_damaged(text: str) -> bool:
    """Whether a losses.csv, or both of its ends, has other lines than its header and whole rows.

    The last line may be cut off, as a crash leaves it.
    """
    header, *rows = text.splitlines(keepends=True) or [""]
    if rows and not rows[-1].endswith("\n"):
        rows.pop()
    return header.rstrip() != ",".join(_CSV_HEADER) or any(_step_of(row.rstrip()) is None for row in rows)


def _both_ends(path: Path) -> str:
    """The first line of a file and its last whole ones, some ten."""
    with path.open("rb") as file:
        first = file.readline(1000)
        file.seek(max(len(first), os.fstat(file.fileno()).st_size - 1000))
        is_all = file.tell() == len(first)
        rest = file.read()
    return (first + (rest if is_all else rest.partition(b"\n")[2])).decode("ascii", "replace")


def _step_of(row: str) -> int | None:
    """The step of a whole row; None for one that a crash cut off."""
    cells = row.split(",")
    return int(cells[0]) if len(cells) == len(_CSV_HEADER) and cells[0].isdecimal() and cells[-1] else None


def _last_row(path: Path) -> tuple[int, float]:
    """Step and seconds of the last whole row, read from the end of the file; zeros where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 1000))
            rows = file.read().decode("ascii", "replace").splitlines()
    except OSError:
        return 0, 0.0
    for row in reversed(rows):
        step = _step_of(row)
        if step is not None:
            with contextlib.suppress(ValueError):
                return step, float(row.split(",")[2])
    return 0, 0.0


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _existing(folder: Path) -> Path:
    try:
        is_run = (folder / "config.json").is_file()
    except OSError as error:  # A name that is too long, or a folder above it that lets nobody through.
        raise RunError(disk_sentence(error, folder)) from error
    if not is_run:
        raise RunError(f"{folder} holds no training (there is no config.json in it); choose the folder of a training.")
    return folder


def _was_interrupted(folder: Path) -> bool:
    """Whether a trainer has left its note behind. Only then is its lock tried, which a live one holds."""
    if not (folder / _UNDER_WAY).exists():
        return False
    lock = FileLock(folder / ".lock")
    try:
        with lock.acquire(timeout=0):
            # It may just have ended.
            return (folder / _UNDER_WAY).exists()
    except (Timeout, OSError):
        return False


def locked(folder: Path) -> FileLock:
    """Keep others from training this run, until the lock is released or the process dies.

    Raises:
        RunError: It is being trained, or the disk does not allow it.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout as error:
        raise RunError(f"{folder} is being trained by another window or command; stop that one first.") from error
    except OSError as error:
        raise RunError(disk_sentence(error, folder)) from error
    return lock


def _damaged(folder: Path) -> str:
    return f"{folder / 'config.json'} is damaged, so this training cannot be read; restore the file from a backup."


def _read_document(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise RunError(disk_sentence(error, path)) from error
    except ValueError as error:
        raise RunError(_damaged(folder)) from error
    if not isinstance(document, dict) or not isinstance(document.get("format_version"), int):
        raise RunError(_damaged(folder))
    if document["format_version"] > FORMAT_VERSION:
        raise RunError(f"{folder} was written by a newer version of CycleGAN Desktop; update the app to go on with it.")
    return document


def _config_of(folder: Path, document: dict[str, Any]) -> TrainConfig:
    values = document.get("config")
    if not isinstance(values, dict):
        raise RunError(_damaged(folder))
    try:
        return TrainConfig.from_json(values)
    except ConfigError as error:
        raise RunError(f"{folder / 'config.json'} is damaged: {error}") from error


def sample_folder(config: TrainConfig, direction: Direction) -> Path:
    """The folder to which the pictures that are translated in this direction are relative in files of a run."""
    return (config.test_A or config.folder_A) if direction == "a2b" else (config.test_B or config.folder_B)


def _pictures_to_json(config: TrainConfig, pictures: Pictures) -> dict[str, Any]:
    """Paths relative to their folders, so that a moved folder is mended in one place; those elsewhere are absolute."""
    from_A, from_B = sample_folder(config, "a2b"), sample_folder(config, "b2a")
    values: dict[str, Any] = {
        "train_A": [stored_name(path, config.folder_A) for path in pictures.train_A],
        "train_B": [stored_name(path, config.folder_B) for path in pictures.train_B],
        "sample_A": [stored_name(path, from_A) for path in pictures.sample_A],
        "sample_B": [stored_name(path, from_B) for path in pictures.sample_B],
        "held_out": pictures.held_out,
        "held_A": [stored_name(path, from_A) for path in pictures.held_A],
        "held_B": [stored_name(path, from_B) for path in pictures.held_B],
    }
    if pictures.shown_A or pictures.shown_B:
        values["shown_A"] = [stored_name(path, from_A) for path in pictures.shown_A]
        values["shown_B"] = [stored_name(path, from_B) for path in pictures.shown_B]
    return values


def _pictures_from_json(config: TrainConfig, values: dict[str, Any]) -> Pictures:
    from_A, from_B = sample_folder(config, "a2b"), sample_folder(config, "b2a")
    return Pictures(
        train_A=tuple(config.folder_A / name for name in values["train_A"]),
        train_B=tuple(config.folder_B / name for name in values["train_B"]),
        sample_A=tuple(from_A / name for name in values["sample_A"]),
        sample_B=tuple(from_B / name for name in values["sample_B"]),
        held_out=bool(values["held_out"]),
        shown_A=tuple(from_A / name for name in values.get("shown_A", ())),
        shown_B=tuple(from_B / name for name in values.get("shown_B", ())),
        held_A=tuple(from_A / name for name in values.get("held_A", ())),
        held_B=tuple(from_B / name for name in values.get("held_B", ())),
    )
