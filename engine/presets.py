"""Presets of the user's own: a folder of small readable files, one a preset. Imports no torch."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config import PRESETS, Preset, TrainConfig, preset_config
from engine.conversion.naming import safe_name
from engine.errors import ConfigError, EngineError
from engine.files import disk_sentence, publish_new, temporary_beside, write_atomically, write_new
from engine.options import OPTIONS
from engine.words import listed

FORMAT_VERSION = 1
SUFFIX = ".json"

# A path and a machine's devices mean nothing elsewhere.
_LEFT_OUT = frozenset({"start_from"})
PRESET_FIELDS = frozenset(
    {"size", "epochs", "decay_epochs", *(option.field for option in OPTIONS if option.field not in _LEFT_OUT)}
)
"""The settings that a preset may hold."""

_MOST_BYTES = 100_000


class PresetError(EngineError):
    """A preset cannot be read, saved or deleted."""


class PresetExistsError(PresetError):
    """There is a preset of that name already."""


@dataclass(frozen=True, slots=True)
class OwnPreset:
    """A preset of the user's own.

    Attributes:
        file: Where it is stored.
        preset: What it is.
    """

    file: Path
    preset: Preset


@dataclass(frozen=True, slots=True)
class OwnPresets:
    """What a folder of presets holds.

    Attributes:
        presets: Those that can be used, by name.
        problems: A sentence for each file that cannot.
    """

    presets: tuple[OwnPreset, ...] = ()
    problems: tuple[str, ...] = ()

    def find(self, name: str) -> OwnPreset | None:
        """The preset of that name, in capitals or not."""
        return next((own for own in self.presets if own.preset.name.casefold() == name.casefold()), None)


def default_presets_folder() -> Path:
    """Where the app and the headless command keep them: beside the app's settings."""
    # Only who names a preset needs it: machines that only compute may not have it.
    import platformdirs

    return platformdirs.user_config_path("CycleGAN Desktop", appauthor=False) / "Presets"


def read_presets(folder: Path) -> OwnPresets:
    """All presets of a folder; a file that is damaged costs itself only, and one that is no preset is passed over."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and not path.name.startswith("."))
    except FileNotFoundError:
        return OwnPresets()
    except OSError as error:
        return OwnPresets(problems=(disk_sentence(error, folder),))
    presets: dict[str, OwnPreset] = {}
    problems = []
    for file in files:
        try:
            own = OwnPreset(file, read_preset(file))
        except PresetError as error:
            problems.append(str(error))
            continue
        other = presets.setdefault(own.preset.name.casefold(), own)
        if other is not own:
            problems.append(
                f"{file} holds a preset called {own.preset.name}, as {other.file.name} does, and is left out. Give it "
                "another name, or delete it."
            )
    return OwnPresets(tuple(presets[name] for name in sorted(presets)), tuple(problems))


def read_preset(file: Path) -> Preset:
    """The preset in a file.

    Raises:
        PresetError: It cannot be read, is damaged, or is of a newer version.
    """
    try:
        with file.open("rb") as opened:
            document = json.loads(opened.read(_MOST_BYTES))
        version, name, base, settings = (document[key] for key in ("version", "name", "begins_from", "settings"))
        if not isinstance(version, int) or not isinstance(settings, dict):
            raise TypeError
    except OSError as error:
        raise PresetError(disk_sentence(error, file)) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PresetError(f"{file} holds no preset, or it is damaged. Save the preset anew, or delete the file.") from (
            error
        )
    if version > FORMAT_VERSION:
        raise PresetError(f"{file} was saved by a newer version of CycleGAN Desktop; update the app to use it.")
    if base not in PRESETS:
        raise PresetError(f"{file} begins from the preset {base}, which this version does not have.")
    unknown = sorted(set(settings) - PRESET_FIELDS)
    if unknown:
        raise PresetError(f"{file} holds what is no setting of a preset: {listed(unknown)}. Take it out of the file.")
    preset = _preset(name, base, settings)
    try:
        check_name(preset.name)
        preset_config(preset, folder_A=Path(), folder_B=Path(), run=Path())
    except ConfigError as error:
        raise PresetError(f"{file} cannot be used: {error}") from error
    return preset


def save_preset(folder: Path, name: str, config: TrainConfig, *, base: str, replace: bool = False) -> OwnPreset:
    """Keep the settings of a training under a name.

    Args:
        folder: Made if it is not there.
        name: 1 to 60 characters on one line; whether they make a file's name does not matter.
        config: The settings; its folders, names, device and start are not kept.
        base: The preset of ours that it begins from; only what differs from that is stored.
        replace: Whether a preset of that name is replaced.

    Raises:
        ConfigError: The name makes no sense, or is that of a preset of ours; beside the field "preset".
        PresetExistsError: There is one of that name, and `replace` is not set.
        PresetError: The folder cannot be written.
    """
    check_name(name)
    standard = preset_config(base, folder_A=Path(), folder_B=Path(), run=Path())
    settings = {
        field: getattr(config, field)
        for field in sorted(PRESET_FIELDS)
        if getattr(config, field) != getattr(standard, field)
    }
    document = {"version": FORMAT_VERSION, "name": name, "begins_from": base, "settings": settings}
    data = (json.dumps(document, indent=2) + "\n").encode("ascii")
    before = read_presets(folder).find(name)
    if before is not None and not replace:
        raise PresetExistsError(f"There is a preset called {before.preset.name} already.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if before is not None:
            write_atomically(before.file, data)
            file = before.file
        else:
            # A name that begins with a dot would be a hidden file's, which nobody finds.
            target = folder / safe_name(f"{name.lstrip('.') or '_'}{SUFFIX}")
            temporary = temporary_beside(target)
            write_new(temporary, data, sync=True)
            file = publish_new(temporary, target)
    except OSError as error:
        raise PresetError(disk_sentence(error, folder)) from error
    return OwnPreset(file, _preset(name, base, settings))


def delete_preset(own: OwnPreset) -> None:
    """Delete a preset; one that is gone already is no fault.

    Raises:
        PresetError: Its file cannot be deleted.
    """
    try:
        own.file.unlink(missing_ok=True)
    except OSError as error:
        raise PresetError(disk_sentence(error, own.file)) from error


def check_name(name: str) -> None:
    """See that a preset may have this name.

    Raises:
        ConfigError: It is empty, too long, or that of a preset of ours.
    """
    ours = {word.casefold() for preset in PRESETS.values() for word in (preset.name, preset.title)}
    if isinstance(name, str) and name.casefold() in ours:
        raise ConfigError("preset", f"{name} is a preset that comes with the app; choose another name.")
    # The one place that knows what a name may be.
    dataclasses.replace(preset_config("quick", folder_A=Path(), folder_B=Path(), run=Path()), preset=name)


def preset_named(name: str, folder: Path) -> str | Preset:
    """What `preset_config` takes: a preset of ours, one of the user's own, or one in a file.

    Args:
        name: Its name, or the path of its file, which ends in ".json".
        folder: Where the user's own are.

    Raises:
        PresetError: There is none, or it is damaged.
    """
    if name in PRESETS:
        return name
    own = read_presets(folder)
    found = own.find(name)
    if found is not None:
        return found.preset
    if name.endswith(SUFFIX):
        return read_preset(Path(name))
    names = [*PRESETS, *(other.preset.name for other in own.presets)]
    damaged = f" {' '.join(own.problems)}" if own.problems else ""
    raise PresetError(f"There is no preset called {name}; choose {listed(names)}, or a file (.json).{damaged}")


def _preset(name: str, base: str, settings: dict[str, Any]) -> Preset:
    return Preset(
        name=name,
        title=name,
        summary=f"Your own, begun from {PRESETS[base].title}.",
        group="own",
        values={**PRESETS[base].values, **settings},
        begins_from=base,
    )
