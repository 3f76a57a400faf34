"""`cyclegan convert`."""

from __future__ import annotations

import argparse
import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never, get_args

from engine import convert
from engine.config import (
    NAME_PLACEHOLDERS,
    Chroma,
    ConvertJob,
    Direction,
    Engine,
    Frames,
    IfExists,
    OutputFormat,
    Precision,
)
from engine.errors import ConfigError, EngineError
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
from engine.ranks import rank_and_count
from engine.words import counted, listed

if TYPE_CHECKING:
    from engine.conversion.report import ReportRow, RowState
from engine.cli.output import (
    NOTHING_DONE,
    OK,
    SOME_FAILED,
    STOPPED,
    Progress,
    Stop,
    complain,
    print_json,
    print_line,
    with_flag,
)

# The defaults of a job, which is the one place that has them.
_JOB_DEFAULTS = {field.name: field.default for field in dataclasses.fields(ConvertJob)}

CONVERT_FLAGS = {
    field: f"--{field.replace('_', '-')}"
    for field in ("quality", "resize", "name", "max_megapixels", "time_limit", "device", "precision", "engine")
} | {"memory_gb": "--memory", "report": "--report"}


def add_commands(commands: Any) -> None:
    """Add it to the parser of the headless command."""
    parser = commands.add_parser(
        "convert",
        help="convert pictures and whole folders with a trained model",
        usage="cyclegan convert MODEL SOURCE [SOURCE ...] --to DIR --direction {a2b,b2a} [option ...]",
        description="Sources are only read. Subfolders are mirrored, and what a file holds beside its pixels (EXIF, "
        "colour profile, resolution, transparency, 16 bits, frames) is kept where the format can; what is lost is "
        "said. Stopped or killed, the same command goes on where it stopped.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file, or the folder of a training")
    parser.add_argument("sources", type=Path, nargs="+", metavar="SOURCE", help="a picture or a folder of pictures")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--direction", choices=get_args(Direction), required=True, help="a2b: from A to B")
    parser.add_argument("--moment", metavar="{best,last,STEP}", help="which moment of a training to convert with (the "
                        "best, or the last where none has been good yet)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one event a line on standard output")
    files = parser.add_argument_group("files")
    files.add_argument("--format", choices=get_args(OutputFormat), default="keep", help="format of results; keep takes "
                       "each source's own (keep)")  # fmt: skip
    files.add_argument("--quality", type=int, metavar="Q", default=90, help="of JPEG, WebP, AVIF, JPEG 2000 and HEIC, "
                       "1 to 100 (90)")  # fmt: skip
    files.add_argument("--lossless", action="store_true", help="keep every pixel in WebP, AVIF, JPEG 2000 and HEIC")
    files.add_argument("--chroma", choices=get_args(Chroma), default="4:4:4", help="share of the colour that JPEG, "
                       "AVIF and HEIC keep (4:4:4, all of it)")  # fmt: skip
    files.add_argument("--frames", choices=get_args(Frames), default="all", help="every page and every frame of an "
                       "animation, or the first one (all)")  # fmt: skip
    files.add_argument("--resize", type=_resize, metavar="{training,change,PX}", help="scale the longest side of "
                       "larger pictures down to the training size or to PX pixels; or change: keep size and detail, "
                       "and compute only the change at the training size (models with the long skip)")  # fmt: skip
    files.add_argument("--name", metavar="TEMPLATE", default="{name}", help="what results are called; it "
                       f"may hold {listed([f'{{{name}}}' for name in NAME_PLACEHOLDERS])} ({{name}})")  # fmt: skip
    files.add_argument("--if-exists", choices=get_args(IfExists), default="rename", help="where a file has the name of "
                       "a result: rename the result to \"name (1)\", skip the picture, or overwrite the file, which "
                       "never touches a source (rename)")  # fmt: skip
    work = parser.add_argument_group("work")
    work.add_argument("--again", action="store_true", help="convert also what was converted before with the same model "
                      "and settings")  # fmt: skip
    work.add_argument("--watch", action="store_true", help="go on with new pictures in the source folders as they "
                      "come, until stopped")  # fmt: skip
    work.add_argument("--report", type=Path, metavar="DIR", help="write a table and pages with before and after into "
                      "this new folder at the end")  # fmt: skip
    work.add_argument("--device", metavar="D", help="auto, cpu, cuda, cuda:1 or mps (auto)")
    work.add_argument("--precision", choices=get_args(Precision), help="arithmetic of the networks (auto)")
    work.add_argument("--engine", choices=get_args(Engine), default="auto", help="what computes the networks: auto "
                      "takes OpenVINO where it is installed and faster, else PyTorch (auto)")  # fmt: skip
    work.add_argument("--memory", type=float, metavar="GB", help="memory that one picture may take; larger ones go "
                      "through the network in strips, with the same result (what is free)")  # fmt: skip
    work.add_argument("--max-megapixels", type=int, metavar="N", default=_JOB_DEFAULTS["max_megapixels"],
                      help="refuse larger pictures unread (%(default)s)")  # fmt: skip
    work.add_argument("--time-limit", type=float, metavar="S", default=_JOB_DEFAULTS["time_limit"], help="seconds in "
                      "which a picture must be decoded, and its result encoded (%(default)g)")  # fmt: skip
    parser.set_defaults(run_command=run_convert)


def _resize(text: str) -> int | str:
    if text in ("training", "change"):
        return text
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is neither 'training' nor 'change' nor a number of pixels")


def run_convert(options: argparse.Namespace) -> int:
    """Do what the command was asked for; its exit code."""
    job = ConvertJob(
        model=_model_of(options),
        sources=tuple(options.sources),
        to=options.to,
        direction=options.direction,
        format=options.format,
        quality=options.quality,
        lossless=options.lossless,
        chroma=options.chroma,
        frames=options.frames,
        resize=options.resize,
        name=options.name,
        if_exists=options.if_exists,
        again=options.again,
        watch=options.watch,
        max_megapixels=options.max_megapixels,
        time_limit=options.time_limit,
        memory_gb=options.memory,
        device=options.device or "auto",
        precision=options.precision or "auto",
        engine=options.engine,
    )
    rank, count = rank_and_count()
    report: Path | None = options.report
    if report is not None:
        from engine.conversion.report import check_report_folder

        if job.watch:
            raise ConfigError("report", "A report is made at the end, and watching has none. Leave out one of the two.")
        if count > 1:  # Each process knows its own share.
            report = report / f"process {rank + 1}"
        check_report_folder(report, job.sources)
    # The bars of several processes would overwrite one another.
    return _ConvertProgress(job, report, as_json=options.json, has_bar=count == 1).follow(convert(job))


def _model_of(options: argparse.Namespace) -> Path:
    """The model to convert with: as given, or that of a moment."""
    from engine.conversion.model_file import model_of_moment

    model: Path = options.model
    return model if options.moment is None else model_of_moment(model, options.moment)


class _ConvertProgress(Progress):
    def __init__(self, job: ConvertJob, report: Path | None, *, as_json: bool, has_bar: bool) -> None:
        super().__init__(as_json=as_json, has_bar=has_bar)
        self._job = job
        self._report = report
        self._rows: dict[int, ReportRow] = {}
        self._total = self._converted = self._skipped = self._failed = 0
        self._engines: Counter[str] = Counter()
        self._is_waiting = False

    def follow(self, events: Iterator[ConvertEvent]) -> int:
        is_planned = False
        with Stop() as stop:
            try:
                for event in events:
                    is_planned = is_planned or isinstance(event, ConvertPlanned)
                    if self._as_json:
                        print_json(event)
                    self._show(event)
                    if self._report is not None:
                        self._note(event)
                    if stop.asked:
                        self.close_bar()
                        events.close()  # type: ignore[attr-defined]
                        self.say(self._stop_words())
                        return STOPPED
                if self._report is not None and not self._wrote_report(self._report, stop):
                    return STOPPED
            except EngineError as error:
                self.close_bar()
                # Until then all of several processes do the same, and one of them says it for all.
                if is_planned or rank_and_count()[0] == 0:
                    complain(with_flag(error, CONVERT_FLAGS), as_json=self._as_json)
                return SOME_FAILED if self._tried else NOTHING_DONE
            finally:
                self.close_bar()
        return SOME_FAILED if self._failed else OK

    @property
    def _tried(self) -> int:
        return self._converted + self._skipped + self._failed

    def _stop_words(self) -> str:
        done = f"Stopped after {counted(self._converted, 'picture')}."
        if self._job.again:
            return f"{done} The same command without --again goes on where it stopped."
        return f"{done} The same command goes on where it stopped."

    def _show(self, event: ConvertEvent) -> None:
        match event:
            case Preparing() | ConvertingFile():
                pass
            case Notice():
                self.say(event.text)
            case ConvertPlanned():
                self._total = len(event.sources)
                how = f"by {event.engine} on {event.device}, {event.precision}"
                self.say(f"Converting {counted(self._total, 'picture')} {how}{_moment_words(self._job.model)}")
                self.open_bar(self._total, 0, "picture")
            case FilesFound():
                self._total += len(event.sources)
                self.raise_total(self._total)
            case Converted():
                self._converted += 1
                self._engines[event.engine] += 1
                self._is_waiting = False
                for note in event.notes:
                    self.say(f"{event.source}: {note}")
                self.advance_to(self._tried)
            case FileSkipped():
                self._skipped += 1
                self.advance_to(self._tried)
            case FileFailed():
                self._failed += 1
                self.say(f"FAILED {event.source}: {event.reason}")
                self.advance_to(self._tried)
            case WaitingForSpace():
                if not self._is_waiting:
                    self.say(event.text)
                self._is_waiting = True
            case ConvertFinished():
                self.close_bar()
                self.say(_summary(event, self._engines))
            case _:
                assert_never(event)

    def _note(self, event: ConvertEvent) -> None:
        """Remember what became of each picture, for the report."""
        from engine.conversion.report import ReportRow

        match event:
            case ConvertPlanned() | FilesFound():
                for source in event.sources:
                    self._rows[len(self._rows)] = ReportRow(source, "Pending")
            case Converted():
                self._rows[event.index] = ReportRow(
                    event.source, "Done", event.target, " ".join(event.notes), event.seconds, event.engine
                )
            case FileSkipped():
                self._rows[event.index] = ReportRow(event.source, "Skipped", event.target, event.reason)
            case FileFailed():
                self._rows[event.index] = ReportRow(event.source, "Failed", None, event.reason)

    def _wrote_report(self, to: Path, stop: Stop) -> bool:
        """Write the report; False if a stop was asked for first."""
        from engine.conversion.report import PAGE_NAME, write_report

        counts: dict[RowState, int] = {"Done": self._converted, "Failed": self._failed, "Skipped": self._skipped}
        states = [f"{count:,} {state.lower()}" for state, count in counts.items() if count]
        title = f"Conversion into {self._job.to.absolute().name}: {listed(states or ['nothing done'])}"
        for event in write_report(list(self._rows.values()), to, title):
            if self._as_json:
                print_json(event)
            if stop.asked:
                self.say(f"Stopped. The pictures are converted, the report in {to} is not complete.")
                return False
        if self._as_json:
            print_line({"event": "ReportWritten", "page": str(to / PAGE_NAME)})
        self.say(f"The report is {to / PAGE_NAME}")
        return True


def _moment_words(model: Path) -> str:
    """Which moment of a training is used, such as ", with its best moment (step 1,234)"; "" for other models."""
    from engine.conversion.model_file import moment_name, read_model_info

    try:
        info = read_model_info(model)
    except EngineError:  # An aside stops no conversion; whoever converts says what is wrong with a model.
        return ""
    name = moment_name(info.path)
    return "" if name is None else f", with {name} (step {info.steps:,})"


def _summary(event: ConvertFinished, engines: Counter[str]) -> str:
    """Such as "950 converted, 3 skipped, 50 failed. Converted by OpenVINO. The results are in out"."""
    skipped = f", {event.skipped:,} skipped" if event.skipped else ""
    others = f", {counted(event.other_files, 'other file')} left alone" if event.other_files else ""
    each = [name if len(engines) == 1 else f"{name} ({count:,})" for name, count in engines.most_common()]
    by = f" Converted by {listed(each)}." if each else ""
    done = f"{event.converted:,} converted{skipped}, {event.failed:,} failed{others}."
    words = f"{done}{by} The results are in {event.to}"
    return words if event.converted or event.failed or not event.skipped else f"{words}; --again converts them anew."
