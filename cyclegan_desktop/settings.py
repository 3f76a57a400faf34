"""What the app remembers between two starts: one readable JSON file, which can never keep the app from starting."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import platformdirs

from cyclegan_desktop.conversion.job_choices import JobChoices
from cyclegan_desktop.review.compare_mode import CompareMode
from engine.files import write_atomically

if TYPE_CHECKING:
    from engine.config import Direction

logger = logging.getLogger(__name__)

APP_NAME = "CycleGAN Desktop"
VERSION = 1
RECENT_FOLDERS = 10


def default_settings_file() -> Path:
    """Where this system keeps the settings of an app."""
    return platformdirs.user_config_path(APP_NAME, appauthor=False) / "settings.json"


def default_runs_folder() -> Path:
    """Where new trainings go unless the user chooses another place."""
    return platformdirs.user_documents_path() / APP_NAME / "Trainings"


@dataclass
class Settings:
    """The settings. Change the fields, then `save`.

    Attributes:
        path: The file they live in.
        recent_folders: Folders chosen lately, newest first, at most 10.
        library: Run folders and model files known to the app, newest first.
        hidden: Runs in `runs_folder` that the user took off the list; the files are still there.
        runs_folder: Where new runs go.
        output_folder: The output folder last used for converting.
        last_model: The model last used for converting.
        last_direction: The direction last used for converting.
        convert_choices: Format, names and so on, as last used for converting.
        compare_mode: How before and after are compared: "slider", "side" or "toggle".
        window_geometry: `QWidget.saveGeometry` as base64, "" before the first start.
        plot_smoothing: Smoothing of the loss plot, 0 to 0.999.
        plot_log_scale: Whether the losses are plotted on a logarithmic scale.
        keep_awake: Whether the machine is kept from falling asleep while it trains or converts.
        sound_when_done: Whether a sound tells that work is done, beside the notification.
    """

    path: Path
    recent_folders: list[Path] = field(default_factory=list)
    library: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    runs_folder: Path = field(default_factory=default_runs_folder)
    output_folder: Path | None = None
    last_model: Path | None = None
    last_direction: Direction = "a2b"
    convert_choices: JobChoices = field(default_factory=JobChoices)
    compare_mode: CompareMode = "slider"
    window_geometry: str = ""
    plot_smoothing: float = 0.9
    plot_log_scale: bool = False
    keep_awake: bool = True
    sound_when_done: bool = False

    @classmethod
    def load(cls, path: Path | None = None) -> Settings:
        """The settings in `path`, by default in the system's place for them.

        A value that makes no sense is replaced by its default and named in the log. A file that is damaged or of a
        newer version is copied aside before anything is saved over it. Nothing is raised.
        """
        settings = cls(path or default_settings_file())
        for name, value in _read(settings.path).items():
            try:
                setattr(settings, name, _READERS[name](value))
            except KeyError:
                logger.warning("%s: the setting %s is unknown and is left out.", settings.path, name)
            except (TypeError, ValueError) as error:
                logger.warning("%s: %s keeps its default: %s", settings.path, name, error)
        return settings

    @property
    def presets_folder(self) -> Path:
        """Where presets of the user's own are kept: beside the settings."""
        return self.path.parent / "Presets"

    @property
    def queue_folder(self) -> Path:
        """Where conversions that are not finished are kept: with the app's data, or beside settings kept elsewhere."""
        if self.path == default_settings_file():
            return platformdirs.user_data_path(APP_NAME, appauthor=False) / "Conversions"
        return self.path.parent / "Conversions"

    def save(self) -> None:
        """Write the file, whole or not at all. An error is logged, never raised."""
        values = {item.name: _to_json(getattr(self, item.name)) for item in fields(self) if item.name != "path"}
        text = json.dumps({"version": VERSION, **values}, indent=2) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, text.encode("ascii"))
        except OSError as error:
            logger.warning("The settings could not be saved in %s: %s", self.path, error)

    def remember_folder(self, folder: Path) -> None:
        """Put a folder in front of the recent ones, and save."""
        others = [other for other in self.recent_folders if other != folder]
        self.recent_folders = [folder, *others][:RECENT_FOLDERS]
        self.save()

    def remember_in_library(self, path: Path) -> None:
        """Put a run folder or a model file in front of those known, and save."""
        self.library = [path, *(other for other in self.library if other != path)]
        self.hidden = [other for other in self.hidden if other != path]
        self.save()

    def forget_in_library(self, path: Path) -> None:
        """Take a run folder or a model file off the list, and save. Nothing is deleted."""
        self.library = [other for other in self.library if other != path]
        self.hidden = [path, *(other for other in self.hidden if other != path)]
        self.save()

    def forget_deleted(self, path: Path) -> None:
        """Take what the user has deleted off the list, and save. Brought back from the trash it is listed again."""
        self.library = [other for other in self.library if other != path]
        self.save()


def _read(path: Path) -> dict[str, Any]:
    """The settings in the file by name, as JSON values; {} if there are none to use."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("the file is no JSON object")
        version = values.pop("version", None)
        if version != VERSION:
            raise ValueError(f"the file has version {version}, and this app knows version {VERSION}")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("The settings in %s cannot be used, so the defaults are: %s", path, error)
        _copy_aside(path)
        return {}
    return values


def _copy_aside(path: Path) -> None:
    """Keep a file that we do not understand: the user, or a newer version of the app, may."""
    aside = path.with_name(f"{path.stem}.unreadable{path.suffix}")
    try:
        shutil.copyfile(path, aside)
    except OSError as error:
        logger.warning("%s could not be kept as %s: %s", path, aside.name, error)


def _to_json(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, JobChoices):
        return value.to_json()
    return [_to_json(item) for item in value] if isinstance(value, list) else value


def _path(value: object) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{value!r} is no path.")
    return Path(value)


def _optional_path(value: object) -> Path | None:
    return None if value is None else _path(value)


def _paths(value: object) -> list[Path]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list of paths.")
    paths: dict[Path, None] = {}
    for item in value:
        try:
            paths[_path(item)] = None
        except ValueError as error:  # The others are worth keeping.
            logger.warning("One of the paths in the settings is left out: %s", error)
    return list(paths)


def _direction(value: object) -> str:
    if value not in ("a2b", "b2a"):
        raise ValueError(f"{value!r} is neither a2b nor b2a.")
    return str(value)


def _compare_mode(value: object) -> str:
    if value not in get_args(CompareMode):
        raise ValueError(f"{value!r} is neither slider nor side nor toggle.")
    return str(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text.")
    return value


def _smoothing(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number.")
    if not 0 <= value <= 0.999:
        raise ValueError(f"{value!r} is not between 0 and 0.999.")
    return float(value)


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false.")
    return value


_READERS: dict[str, Callable[[object], object]] = {
    "recent_folders": lambda value: _paths(value)[:RECENT_FOLDERS],
    "library": _paths,
    "hidden": _paths,
    "runs_folder": _path,
    "output_folder": _optional_path,
    "last_model": _optional_path,
    "last_direction": _direction,
    "convert_choices": JobChoices.from_json,
    "compare_mode": _compare_mode,
    "window_geometry": _text,
    "plot_smoothing": _smoothing,
    "plot_log_scale": _yes_or_no,
    "keep_awake": _yes_or_no,
    "sound_when_done": _yes_or_no,
}
