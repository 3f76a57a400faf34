"""The arguments that say what is trained on and how, and the training that they ask for."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from engine import preset_config
from engine.config import (
    PRESETS,
    TrainConfig,
)
from engine.errors import ConfigError, DataError
from engine.options import OPTIONS, Option
from engine.words import listed

TRAIN_FLAGS = {option.field: option.flag for option in OPTIONS}


def add_settings(parser: Any) -> None:
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


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, by field."""
    fields = ("size", "epochs", "decay_epochs", "device", *(option.field for option in OPTIONS))
    return {field: getattr(options, field) for field in fields if getattr(options, field) is not None}


def new_config(options: argparse.Namespace, run: Path) -> TrainConfig:
    """The training that was asked for."""
    from engine.presets import default_presets_folder, preset_named

    given = given_settings(options)
    if options.names:
        given["name_A"], given["name_B"] = options.names
    folders = training_folders(options.folders)
    if options.leave_out is not None:
        given["left_out"] = read_list(options.leave_out)
    if options.start_from is not None:
        given = {**_settings_of_model(options.start_from), **given}
    preset = preset_named(options.preset or "standard", default_presets_folder())
    return preset_config(preset, run=run, **folders, **given)


def read_list(path: Path) -> tuple[Path, ...]:
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


def training_folders(folders: list[Path]) -> dict[str, Path | None]:
    """The folders given, by the fields of a training.

    Raises:
        ConfigError: There are too many or too few.
        DataError: One alone holds no trainA and trainB.
    """
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
