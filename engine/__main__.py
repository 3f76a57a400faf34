"""The headless command: everything the app can do, on a server. Also installed as `cyclegan`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, assert_never, get_args

from engine import __version__, convert, estimate_command, film_command, preset_config, resume, train, upkeep_command
from engine.config import (
    NAME_PLACEHOLDERS,
    PRESETS,
    Chroma,
    ConvertJob,
    Direction,
    Frames,
    IfExists,
    OutputFormat,
    Precision,
    TrainConfig,
)
from engine.data.workers import serve_if_asked
from engine.errors import ConfigError, DataError, EngineError, OutOfMemoryError
from engine.events import (
    WORTH_SAYING_WAITING,
    Alarm,
    CheckEvent,
    Converted,
    ConvertEvent,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    Examined,
    FileFailed,
    FilesFound,
    FileSkipped,
    Finding,
    HealthChecked,
    Notice,
    Preparing,
    QualityMeasured,
    RolledBack,
    SamplesDrawn,
    Saved,
    StepReport,
    TrainEvent,
    TrainFinished,
    TrainStarted,
    WaitingForSpace,
)
from engine.options import OPTIONS, Option
from engine.ranks import LostRankError, rank_and_count
from engine.remedies import Remedy
from engine.terminal import printable
from engine.words import counted, listed

if TYPE_CHECKING:
    from engine.conversion.model_file import ModelInfo
    from engine.conversion.report import ReportRow, RowState

# The defaults of a job, which is the one place that has them.
_JOB_DEFAULTS = {field.name: field.default for field in dataclasses.fields(ConvertJob)}

OK, SOME_FAILED, NOTHING_DONE, STOPPED = 0, 1, 2, 130

_MORE_HELP = """\
examples:
  cyclegan train apples oranges --run my-training --names Apples Oranges --preset quick
  cyclegan train apple2orange --run my-training       (a folder holding trainA and trainB)
  cyclegan train --resume my-training --max-steps 5000
  cyclegan train --resume my-training --more-epochs 50 --learning-rate 0.0001
  cyclegan estimate apples oranges --preset standard
  cyclegan check apples oranges --leave-out-list bad.txt
  cyclegan convert my-training holiday-pictures --to converted --direction a2b
  cyclegan convert my-training scans --to converted --direction b2a --format tiff --report what-happened
  cyclegan film my-training --star 5000 --to film.webp
  cyclegan info my-training
  cyclegan import latest_net_G_A.pth latest_net_G_B.pth --names Horses Zebras --to horses.safetensors
  cyclegan export my-training --onnx exported
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 all done; 1 some or all files failed, or a training failed, or something was found in pictures that were
        checked; 2 wrong usage, or nothing could be done, or no training can begin with them; 130 stopped by Ctrl-C,
        SIGTERM or the end of a pipe, saved and resumable.
    """
    serve_if_asked()
    options = _parser().parse_args(arguments)
    try:
        return int(options.run_command(options))
    except EngineError as error:
        # Of several processes all have been given the same arguments.
        if rank_and_count()[0] == 0:
            flags = _CONVERT_FLAGS if options.run_command is _run_convert else _TRAIN_FLAGS
            _complain(_with_flag(error, flags), as_json=getattr(options, "json", False))
        return NOTHING_DONE
    except KeyboardInterrupt:
        return STOPPED
    except BrokenPipeError:
        _lead_output_nowhere()
        return STOPPED


_TRAIN_FLAGS = {option.field: option.flag for option in OPTIONS}
_CONVERT_FLAGS = {
    field: f"--{field.replace('_', '-')}"
    for field in ("quality", "resize", "name", "max_megapixels", "time_limit", "device", "precision", "report")
} | {"memory_gb": "--memory"}


def _with_flag(error: EngineError, flags: dict[str, str]) -> str:
    """The sentence, and the flag of the option that it is about unless it names one."""
    flag = flags.get(getattr(error, "field", ""))
    return str(error) if flag is None or "--" in str(error) else f"{error} (The option is {flag}.)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cyclegan",
        description="Train a CycleGAN on two folders of pictures, and convert whole folders in either direction.",
        epilog=_MORE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cyclegan {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_check(commands)
    _add_train(commands)
    _add_estimate(commands)
    estimate_command.add_presets(commands)
    _add_convert(commands)
    _add_info(commands)
    _add_import(commands)
    _add_export(commands)
    upkeep_command.add_commands(commands)
    film_command.add_commands(commands)
    return parser


def _add_check(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="look for what is wrong with the pictures before training on them",
        usage="cyclegan check A B [option ...]\n       cyclegan check ROOT [option ...]",
        description="Looks at every picture and says what a training would suffer from: damaged files, duplicates "
        "within and across the two folders, pictures that are tiny, flat, grey or of odd shapes, too few or too "
        "different numbers of them, sides that hardly differ. Nothing is changed. The exit status is 0 where nothing "
        "was found, 1 where something was, 2 where no training can begin.",
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="A B | ROOT", help="two folders of pictures, or one "
                        "that holds trainA and trainB")  # fmt: skip
    parser.add_argument("--names", nargs=2, metavar=("NAME_A", "NAME_B"), help="what the two domains are called")
    parser.add_argument("--preset", metavar="NAME|FILE", help="the preset that the pictures are for")
    parser.add_argument("--size", type=int, metavar="PX", help="the picture size that they are for")
    parser.add_argument("--leave-out-list", type=Path, metavar="FILE", help="write the files that are better left out "
                        "into FILE, one a line, for cyclegan train --leave-out FILE")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one event a line on standard output")
    parser.set_defaults(run_command=_run_check)


def _add_train(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train a new model, or go on with a training",
        usage="cyclegan train A B --run RUN [option ...]\n       cyclegan train ROOT --run RUN [option ...]\n"
        "       cyclegan train --resume RUN [option ...]",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--run", "--into", type=Path, metavar="RUN", help="folder of the new training (--into for "
                       "torchrun, which takes --run for an option of its own)")  # fmt: skip
    where.add_argument("--resume", type=Path, metavar="RUN", help="go on with this training, also with other "
                       "settings, as far as its networks stay what they are")  # fmt: skip
    # For a process that trains on several GPUs by way of this command: every option in one file, and its own pace.
    where.add_argument("--config", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--more-epochs", type=int, metavar="N", help="with --resume: N epochs beyond those that it "
                        "has, of which the same share as before has a falling rate")  # fmt: skip
    parser.add_argument("--arguments", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--paced", action="store_true", help=argparse.SUPPRESS)
    _add_settings(parser)
    parser.set_defaults(run_command=_run_train)


def _add_estimate(commands: Any) -> None:
    parser = commands.add_parser(
        "estimate",
        help="measure how long a training would take, how much memory, and whether it fits",
        usage="cyclegan estimate A B [option ...]\n       cyclegan estimate ROOT [option ...]",
        description="Takes a few real steps and stores nothing, then does the same with the quick preset. Options are "
        "those of train. The exit code is 0 if the training fits into memory, 1 if not, 2 if it cannot be trained.",
    )
    _add_settings(parser)
    parser.set_defaults(run_command=_run_estimate)


def _add_settings(parser: Any) -> None:
    """The arguments that say what is trained on, and how."""
    parser.add_argument("folders", type=Path, nargs="*", metavar="A B | ROOT", help="two folders of pictures, or one "
                        "that holds trainA and trainB (and perhaps testA and testB)")  # fmt: skip
    parser.add_argument("--names", nargs=2, metavar=("NAME_A", "NAME_B"), help="what the two domains are called")
    parser.add_argument("--leave-out", type=Path, metavar="LIST", help="a text file that names pictures not to train "
                        "on, one a line, such as cyclegan check --leave-out-list writes")  # fmt: skip
    parser.add_argument("--preset", metavar="NAME|FILE", help=f"where the settings begin: {listed(list(PRESETS))}, a "
                        "preset of your own, or its file (standard); see cyclegan presets")  # fmt: skip
    parser.add_argument("--size", type=int, metavar="PX", help="side of the square crops trained on, in pixels")
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs at the full learning rate, in total")
    parser.add_argument("--decay-epochs", type=int, metavar="N", help="epochs after these at a falling rate, in total")
    parser.add_argument("--device", metavar="D", help="auto, cpu, cuda, cuda:1, mps, or all for all GPUs here (auto)")
    parser.add_argument("--json", action="store_true", help="print one event a line on standard output")
    for group, options in groupby(OPTIONS, key=lambda option: option.group):
        section = parser.add_argument_group(group.lower())
        for option in options:
            _add_option(section, option)


def _add_option(parser: Any, option: Option) -> None:
    # Percent signs mean something to argparse.
    words = f"{option.title}. {option.explanation} ({_defaults(option)})".replace("%", "%%")
    if option.kind == "bool":
        parser.add_argument(option.flag, dest=option.field, action=argparse.BooleanOptionalAction, help=words)
    elif option.kind == "choice":
        parser.add_argument(option.flag, dest=option.field, choices=[value for value, _ in option.choices], help=words)
    else:
        kinds: dict[str, tuple[Callable[[str], Any], str]] = {
            "int": (int, "PX" if option.unit == "px" else "N"),
            "float": (float, "M" if option.unit == "min" else "X"),
            "model": (Path, "MODEL"),
        }
        convert_text, shown = kinds[option.kind]
        parser.add_argument(option.flag, dest=option.field, type=convert_text, metavar=shown, help=words)


def _defaults(option: Option) -> str:
    """What the presets have, the common value first: "50; quick: 0"."""
    default = next(field.default for field in dataclasses.fields(TrainConfig) if field.name == option.field)
    values = {name: preset.values.get(option.field, default) for name, preset in PRESETS.items()}
    common = values["reference"]
    # Presets that have the same value are named together.
    others: dict[str, list[str]] = {}
    for preset, value in values.items():
        if value != common:
            others.setdefault(_value_words(value, option), []).append(preset)
    return "; ".join([_value_words(common, option), *(f"{', '.join(names)}: {v}" for v, names in others.items())])


def _value_words(value: object, option: Option) -> str:
    if value is None:
        return option.none
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _add_convert(commands: Any) -> None:
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
    work.add_argument("--memory", type=float, metavar="GB", help="memory that one picture may take; larger ones go "
                      "through the network in strips, with the same result (what is free)")  # fmt: skip
    work.add_argument("--max-megapixels", type=int, metavar="N", default=_JOB_DEFAULTS["max_megapixels"],
                      help="refuse larger pictures unread (%(default)s)")  # fmt: skip
    work.add_argument("--time-limit", type=float, metavar="S", default=_JOB_DEFAULTS["time_limit"], help="seconds in "
                      "which a picture must be decoded, and its result encoded (%(default)g)")  # fmt: skip
    parser.set_defaults(run_command=_run_convert)


def _add_info(commands: Any) -> None:
    parser = commands.add_parser("info", help="tell the story of a model")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file, or the folder of a training")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run_command=_run_info)


def _add_import(commands: Any) -> None:
    parser = commands.add_parser(
        "import",
        help="make a model of .pth files of the authors' PyTorch implementation",
        description="Make a model of files such as latest_net_G_A.pth (from A to B), latest_net_G_B.pth (from B to A), "
        "and perhaps latest_net_D_A.pth and latest_net_D_B.pth. One generator alone is a model of one direction. "
        "Without such names the first generator is taken for A to B, a second one for B to A.",
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a .pth file, in any order")
    parser.add_argument("--names", nargs=2, required=True, metavar=("NAME_A", "NAME_B"), help="what the two domains "
                        "are called")  # fmt: skip
    parser.add_argument("--to", type=Path, required=True, metavar="MODEL", help="the model file (.safetensors); never "
                        "overwritten")  # fmt: skip
    parser.add_argument("--size", type=int, metavar="PX", default=256, help="side of the square crops it was trained "
                        "on, in pixels, which the files do not say (256)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the story of the model as JSON")
    parser.set_defaults(run_command=_run_import)


def _add_export(commands: Any) -> None:
    parser = commands.add_parser("export", help="write a model for other programs")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file, or the folder of a training")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--pth", type=Path, metavar="DIR", help="latest_net_G_A.pth and so on in DIR, as the authors' "
                      "PyTorch implementation reads them")  # fmt: skip
    kind.add_argument("--onnx", type=Path, metavar="FILE|DIR", help="FILE.onnx of a model of one direction, else "
                      "FILE_a2b.onnx and FILE_b2a.onnx; in DIR they are called after the model")  # fmt: skip
    kind.add_argument("--card", type=Path, metavar="FILE", help="everything known about the model, as JSON")
    parser.add_argument("--json", action="store_true", help="print the files written as JSON")
    parser.set_defaults(run_command=_run_export)


def _resize(text: str) -> int | str:
    if text in ("training", "change"):
        return text
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is neither 'training' nor 'change' nor a number of pixels")


def _run_train(options: argparse.Namespace) -> int:
    if options.config is not None:
        events = train(TrainConfig.from_json(json.loads(options.config.read_bytes())))
    elif options.resume is not None:
        events = resume(options.resume, **_resume_arguments(options))
    elif options.more_epochs is not None:
        raise ConfigError("more_epochs", "More epochs are for a training that goes on: give --resume with its folder.")
    else:
        events = train(_new_config(options, options.run))
    return _TrainProgress(as_json=options.json, paced=options.paced).follow(events)


def _run_estimate(options: argparse.Namespace) -> int:
    run = estimate_command.free_run()
    config = _new_config(options, run)
    with _Stop() as stop:
        fits = estimate_command.tell_estimate(config, as_json=options.json, is_stopped=lambda: stop.asked)
    return STOPPED if fits is None else OK if fits else SOME_FAILED


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, by field."""
    fields = ("size", "epochs", "decay_epochs", "device", *(option.field for option in OPTIONS))
    return {field: getattr(options, field) for field in fields if getattr(options, field) is not None}


def _new_config(options: argparse.Namespace, run: Path) -> TrainConfig:
    """The training that was asked for."""
    from engine.presets import default_presets_folder, preset_named

    given = _given(options)
    if options.names:
        given["name_A"], given["name_B"] = options.names
    folders = _training_folders(options.folders)
    if options.leave_out is not None:
        given["left_out"] = _read_list(options.leave_out)
    if options.start_from is not None:
        given = {**_settings_of_model(options.start_from), **given}
    preset = preset_named(options.preset or "standard", default_presets_folder())
    return preset_config(preset, run=run, **folders, **given)


def _run_check(options: argparse.Namespace) -> int:
    from engine.data.doctor import examine
    from engine.presets import default_presets_folder, preset_named

    folders = _training_folders(options.folders)
    folder_A, folder_B = (Path(folders[field] or "").absolute() for field in ("folder_A", "folder_B"))
    names = options.names or [folder_A.name or "A", folder_B.name or "B"]
    config = None
    if options.preset or options.size:
        given = {} if options.size is None else {"size": options.size}
        # No training is made, so it may be anywhere.
        preset = preset_named(options.preset or "standard", default_presets_folder())
        config = preset_config(preset, **{**folders, "run": Path("run"), **given})
    events = examine(folder_A, folder_B, name_A=names[0], name_B=names[1], config=config)
    return _CheckProgress(options.leave_out_list, as_json=options.json).follow(events)


def _read_list(path: Path) -> tuple[Path, ...]:
    """The files that a list names, one a line.

    Raises:
        DataError: It cannot be read.
    """
    from engine.files import disk_sentence

    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(disk_sentence(error, path)) from error
    return tuple(Path(os.fsdecode(line)) for line in lines if line.strip())


def _settings_of_model(model: Path) -> dict[str, Any]:
    """What a training that starts from a model has to share with it, unless told otherwise."""
    from engine.conversion.model_file import read_model_info

    return read_model_info(model).settings


def _training_folders(folders: list[Path]) -> dict[str, Path | None]:
    from engine.data.folders import find_domains

    if len(folders) == 2:
        return {"folder_A": folders[0], "folder_B": folders[1]}
    if len(folders) != 1:
        raise ConfigError("folder_A", "Give two folders of pictures, or one that holds trainA and trainB.")
    domains = find_domains(folders[0])
    if domains is None:
        raise DataError(
            f"{folders[0]} does not hold the folders trainA and trainB; give two folders of pictures instead.",
            field="folder_A",
        )
    return {
        "folder_A": domains.train_A,
        "folder_B": domains.train_B,
        "test_A": domains.test_A,
        "test_B": domains.test_B,
    }


def _resume_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `resume` beside the run.

    Raises:
        ConfigError: Something was given that a training under way cannot change.
    """
    from engine.training.changing import refuse_unchangeable

    if options.arguments is not None:
        return dict(json.loads(options.arguments.read_bytes()))
    given = _given(options)
    fixed = {name: None for name in ("names", "preset", "leave_out") if getattr(options, name) is not None}
    max_minutes = given.pop("max_minutes", None)
    if options.folders:
        raise ConfigError(
            "resume", f"A resumed training keeps its folders, so A B cannot be changed; leave out {options.folders[0]}."
        )
    refuse_unchangeable({**fixed, **given})
    return {"max_minutes": max_minutes, "more_epochs": options.more_epochs, "changes": given}


def _run_convert(options: argparse.Namespace) -> int:
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


def _run_info(options: argparse.Namespace) -> int:
    from engine.conversion.model_file import read_model_info

    return _tell(read_model_info(options.model), as_json=options.json)


def _run_import(options: argparse.Namespace) -> int:
    from engine.conversion.exchange import import_model

    info = import_model(options.files, names=tuple(options.names), to=options.to, size=options.size)
    return _tell(info, as_json=options.json)


def _run_export(options: argparse.Namespace) -> int:
    from engine.conversion.exchange import export_card, export_onnx, export_pth

    if options.pth is not None:
        written = export_pth(options.model, options.pth)
    elif options.onnx is not None:
        written = export_onnx(options.model, options.onnx)
    else:
        written = (export_card(options.model, options.card),)
    if options.json:
        print(json.dumps({"event": "Exported", "files": [str(path) for path in written]}))
        return OK
    for path in written:
        print(printable(str(path)))
    return OK


def _tell(info: ModelInfo, *, as_json: bool) -> int:
    """Print the story of a model."""
    from engine.conversion.model_file import architecture_words, moment_name

    if as_json:
        _print_json(info)
        return OK
    story = f"{info.size} px, preset {info.preset}, {info.steps:,} steps, {info.date}"
    if not info.steps:  # An import, whose size is what its user has said.
        story = f"{info.size} px, steps not known; imported on {info.date}"
    moment = moment_name(info.path)
    lines = {
        "model": str(info.path),
        **({} if moment is None else {"moment": f"{moment} (step {info.steps:,})"}),
        "directions": ", ".join(f"{direction} {info.direction_name(direction)}" for direction in info.directions),
        "trained at": story,
        "generators": architecture_words(info.architecture),
        "format": f"version {info.format_version}",
        "licence": info.licence or "not stated",
        "note": info.note or "none",
    }
    if info.discriminators is not None:
        parts = info.discriminators
        layers = f", {counted(parts.layers, 'layer')}" if parts.kind == "patch" else ""
        lines["discriminators"] = f"{parts.kind}{layers}, {counted(parts.channels, 'channel')}"
    for name, text in lines.items():
        print(f"{name + ':':<16}{printable(text)}")
    return OK


class _Stop:
    """Ctrl-C and SIGTERM ask once for a stop between two steps; a second one ends the process as it always does.

    Not so in one of several processes: at Ctrl-C each gets a signal from the terminal and two more from torchrun, which
    sends SIGKILL to those that take too long. Of processes that train together the first one obeys, and the others
    end when it tells them to.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Only the main thread may set handlers.
            with contextlib.suppress(ValueError):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if rank_and_count()[1] > 1:
            return
        for each, handler in self._before.items():
            signal.signal(each, handler)


class _Progress:
    """Shows events on stderr as a bar, or on stdout as JSON, until the work ends or a stop is asked for."""

    def __init__(self, *, as_json: bool, has_bar: bool = True) -> None:
        from tqdm import tqdm

        self._as_json = as_json
        self._has_bar = not as_json and has_bar
        self._tqdm = tqdm
        self._bar: tqdm[NoReturn] | None = None

    def say(self, text: str) -> None:
        """A line on stderr, above the bar."""
        self._tqdm.write(printable(text), file=sys.stderr)

    def open_bar(self, total: int, done: int, unit: str) -> None:
        self._bar = self._tqdm(
            total=total, initial=done, unit=unit, disable=not self._has_bar, file=sys.stderr, dynamic_ncols=True
        )

    def advance_to(self, done: int, text: str = "") -> None:
        if self._bar is not None:
            if text:
                self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(done - self._bar.n)

    def raise_total(self, total: int) -> None:
        if self._bar is not None:
            self._bar.total = total
            self._bar.refresh()

    def close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _CheckProgress(_Progress):
    """Progress on stderr; what was found on stdout, every file by its name."""

    def __init__(self, leave_out_list: Path | None, *, as_json: bool) -> None:
        super().__init__(as_json=as_json)
        self._list = leave_out_list
        self._findings: list[Finding] = []
        self._phase = ""

    def follow(self, events: Iterator[CheckEvent]) -> int:
        with _Stop() as stop:
            try:
                for event in events:
                    if self._as_json:
                        _print_json(event)
                    self._show(event)
                    if stop.asked:
                        self.close_bar()
                        events.close()  # type: ignore[attr-defined]
                        self.say("Stopped.")
                        return STOPPED
            finally:
                self.close_bar()
        self._write_list()
        if any(finding.severity == "stop" for finding in self._findings):
            return NOTHING_DONE
        return SOME_FAILED if self._findings else OK

    def _show(self, event: CheckEvent) -> None:
        match event:
            case Preparing():
                if event.text != self._phase:
                    self.close_bar()
                    self._phase = event.text
                    if event.total:
                        self.open_bar(event.total, 0, "")
                self.advance_to(event.done, event.text)
            case Finding():
                self.close_bar()
                self._findings.append(event)
                if not self._as_json:
                    _print_finding(event)
            case Examined():
                self.close_bar()
                if not self._as_json:
                    print(_examined_words(event))
            case _:
                assert_never(event)

    def _write_list(self) -> None:
        left_out = list(dict.fromkeys(path for finding in self._findings for path in finding.leave_out))
        if self._list is None:
            if left_out and not self._as_json:
                self.say(f"{counted(len(left_out), 'picture')} had better be left out: add --leave-out-list FILE.")
            return
        from engine.files import disk_sentence, write_atomically

        # A name with a line break cannot stand on a line.
        lines = [os.fsencode(path) for path in left_out if len(os.fsencode(path).splitlines()) == 1]
        try:
            write_atomically(self._list, b"".join(line + b"\n" for line in lines))
        except OSError as error:
            raise DataError(disk_sentence(error, self._list)) from error
        self.say(f"{self._list} names {counted(len(lines), 'picture')} to leave out.")


_SEVERITY_WORDS = {"stop": "NOT TRAINABLE", "warning": "WARNING", "note": "note"}


def _print_finding(finding: Finding) -> None:
    """The sentence, and every file: of groups the one to keep first, then its copies."""
    print(f"{_SEVERITY_WORDS[finding.severity]}: {printable(finding.sentence)}")
    reasons = dict(zip(finding.files, finding.reasons, strict=False))
    copies = {path for group in finding.groups for path in group[1:]}
    for path in finding.files:
        reason = f"  ({printable(reasons[path])})" if path in reasons else ""
        print(f"    {'  = ' if path in copies else ''}{printable(str(path))}{reason}")


def _examined_words(event: Examined) -> str:
    count = counted(event.count_A + event.count_B, "picture")
    found = counted(event.findings, "finding") if event.findings else "nothing to complain about"
    return f"Examined {count} in {event.seconds:.1f} s: {found}."


class _TrainProgress(_Progress):
    def __init__(self, *, as_json: bool, paced: bool) -> None:
        super().__init__(as_json=as_json)
        self._paced = paced
        self._phase = ""
        self._alarms: tuple[Alarm, ...] = ()

    def follow(self, events: Iterator[TrainEvent]) -> int:
        run: Path | None = None
        with _Stop() as stop:
            try:
                for event in events:
                    if isinstance(event, TrainStarted):
                        run = event.run
                    if self._paced:
                        if not _goes_on_after(event) or stop.asked:
                            events.close()  # type: ignore[attr-defined]
                            return OK
                        continue
                    if self._as_json:
                        _print_json(event)
                    self._show(event)
                    if stop.asked:
                        self.close_bar()
                        events.close()  # type: ignore[attr-defined]
                        self.say("Stopped." if run is None else f'Saved. Go on with: cyclegan train --resume "{run}"')
                        return STOPPED
            except EngineError as error:
                self.close_bar()
                _complain(
                    str(error),
                    as_json=self._as_json,
                    is_cause=not isinstance(error, LostRankError),
                    remedies=error.remedies if isinstance(error, OutOfMemoryError) else (),
                )
                return NOTHING_DONE if run is None else SOME_FAILED
            finally:
                self.close_bar()
        return OK

    def _show(self, event: TrainEvent) -> None:
        match event:
            case Preparing():
                if self._has_bar and self._bar is None and event.text != self._phase:
                    self._phase = event.text
                    self.say(f"{event.text} ...")
            case Notice():
                self.say(event.text)
            case TrainStarted():
                self.say(
                    f"Training {event.name_A} and {event.name_B} ({event.count_A:,} and {event.count_B:,} pictures) on "
                    f"{event.device}, {event.precision}, in {event.run}"
                )
                self.open_bar(event.total_steps, event.step, "step")
            case StepReport():
                losses = event.losses
                is_waiting = event.waiting >= WORTH_SAYING_WAITING
                self.advance_to(
                    event.step,
                    f"epoch {event.epoch}/{event.total_epochs} G {losses.G_AB:.2f} {losses.G_BA:.2f} "
                    f"D {losses.D_A:.2f} {losses.D_B:.2f} cycle {losses.cycle_A:.2f} {losses.cycle_B:.2f}"
                    + (f" waiting for pictures {event.waiting:.0%}" if is_waiting else ""),
                )
            case RolledBack():
                self.say(event.text)
            case HealthChecked():
                for alarm in event.alarms:
                    if alarm not in self._alarms:
                        self.say(" ".join(filter(None, (alarm.sentence, alarm.evidence, _remedy_words(alarm)))))
                self._alarms = event.alarms
            case SamplesDrawn() | QualityMeasured() | Saved():
                pass
            case TrainFinished():
                self.close_bar()
                self.say(f"Done at step {event.step:,}. The model is {event.model}")
            case _:
                assert_never(event)


def _remedy_words(alarm: Alarm) -> str:
    """Such as "What may help: halve the learning rate (--resume with --learning-rate 0.0001); ..."."""
    words = []
    for remedy in alarm.remedies:
        flags = estimate_command.flags_of(remedy)
        how = f"a new training with {flags}" if remedy.begins_anew else f"--resume with {flags}"
        words.append(remedy.text[:1].lower() + remedy.text[1:] + (f" ({how})" if flags else ""))
    return f"What may help: {'; '.join(words)}." if words else ""


class _ConvertProgress(_Progress):
    def __init__(self, job: ConvertJob, report: Path | None, *, as_json: bool, has_bar: bool) -> None:
        super().__init__(as_json=as_json, has_bar=has_bar)
        self._job = job
        self._report = report
        self._rows: dict[int, ReportRow] = {}
        self._total = self._converted = self._skipped = self._failed = 0
        self._is_waiting = False

    def follow(self, events: Iterator[ConvertEvent]) -> int:
        is_planned = False
        with _Stop() as stop:
            try:
                for event in events:
                    is_planned = is_planned or isinstance(event, ConvertPlanned)
                    if self._as_json:
                        _print_json(event)
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
                    _complain(_with_flag(error, _CONVERT_FLAGS), as_json=self._as_json)
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
                self.say(
                    f"Converting {counted(self._total, 'picture')} on {event.device}, {event.precision}"
                    + _moment_words(self._job.model)
                )
                self.open_bar(self._total, 0, "picture")
            case FilesFound():
                self._total += len(event.sources)
                self.raise_total(self._total)
            case Converted():
                self._converted += 1
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
                self.say(_summary(event))
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
                    event.source, "Done", event.target, " ".join(event.notes), event.seconds
                )
            case FileSkipped():
                self._rows[event.index] = ReportRow(event.source, "Skipped", event.target, event.reason)
            case FileFailed():
                self._rows[event.index] = ReportRow(event.source, "Failed", None, event.reason)

    def _wrote_report(self, to: Path, stop: _Stop) -> bool:
        """Write the report; False if a stop was asked for first."""
        from engine.conversion.report import PAGE_NAME, write_report

        counts: dict[RowState, int] = {"Done": self._converted, "Failed": self._failed, "Skipped": self._skipped}
        states = [f"{count:,} {state.lower()}" for state, count in counts.items() if count]
        title = f"Conversion into {self._job.to.absolute().name}: {listed(states or ['nothing done'])}"
        for event in write_report(list(self._rows.values()), to, title):
            if self._as_json:
                _print_json(event)
            if stop.asked:
                self.say(f"Stopped. The pictures are converted, the report in {to} is not complete.")
                return False
        if self._as_json:
            _print_line({"event": "ReportWritten", "page": str(to / PAGE_NAME)})
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


def _summary(event: ConvertFinished) -> str:
    """Such as "950 converted, 3 skipped, 50 failed. The results are in out"."""
    skipped = f", {event.skipped:,} skipped" if event.skipped else ""
    others = f", {counted(event.other_files, 'other file')} left alone" if event.other_files else ""
    words = f"{event.converted:,} converted{skipped}, {event.failed:,} failed{others}. The results are in {event.to}"
    return words if event.converted or event.failed or not event.skipped else f"{words}; --again converts them anew."


def _complain(text: str, *, as_json: bool, is_cause: bool = True, remedies: tuple[Remedy, ...] = ()) -> None:
    if as_json:
        _print_line({"event": "Failed", "message": text, "is_cause": is_cause, "remedies": _plain(remedies)})
    # In one piece, too.
    sys.stderr.write(f"cyclegan: {printable(text)}\n")
    sys.stderr.flush()


def _goes_on_after(event: TrainEvent) -> bool:
    """Print the event and wait for a line on standard input: "stop", its end, and a reader who has gone mean a stop."""
    try:
        _print_json(event)
    except BrokenPipeError:
        _lead_output_nowhere()
        return False
    return sys.stdin.readline().strip() not in ("", "stop")


def _lead_output_nowhere() -> None:
    """Its reader has gone, so nothing more can be said, at the end of the process neither."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_json(event: Any) -> None:
    """One event as one line; pictures are left out, their files are named."""
    _print_line({"event": type(event).__name__, **_plain(event)})


def _print_line(values: dict[str, Any]) -> None:
    # In one piece: several processes may share an output, and torchrun runs them unbuffered.
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: _plain(item) for name, item in pairs if not hasattr(item, "dtype")}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


if __name__ == "__main__":
    sys.exit(main())
