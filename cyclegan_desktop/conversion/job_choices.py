"""Everything about a batch that the options card decides, apart from model, direction and folders. Needs no Qt."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.config import Chroma, Engine, Frames, IfExists, OutputFormat, Resize


@dataclass(frozen=True, kw_only=True, slots=True)
class JobChoices:
    """What the options card has chosen, under the names and with the defaults of `ConvertJob`.

    It is not checked when made, since a template of names may be half typed: `ConvertJob` does that.

    Attributes:
        format: Format of the results.
        quality: Their quality, 1 to 100, where the format has one.
        lossless: Whether formats that have both keep every pixel.
        chroma: Share of the colour that they keep.
        frames: All frames of a file or the first.
        resize: Size of the results.
        name: Template of their names.
        if_exists: What to do where there is a file of a result's name.
        again: Whether to convert also what was converted before.
        watch: Whether to go on with new pictures as they come.
        max_megapixels: Pictures with more million pixels are refused.
        time_limit: Seconds for reading a picture, and for writing its result.
        memory_gb: Memory for one picture's translation in GB, None for what is free.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        engine: What computes the networks, as in `ConvertJob`.
    """

    format: OutputFormat = "keep"
    quality: int = 90
    lossless: bool = False
    chroma: Chroma = "4:4:4"
    frames: Frames = "all"
    resize: Resize = None
    name: str = "{name}"
    if_exists: IfExists = "rename"
    again: bool = False
    watch: bool = False
    max_megapixels: int = 200
    time_limit: float = 120.0
    memory_gb: float | None = None
    device: str = "auto"
    engine: Engine = "auto"

    def to_json(self) -> dict[str, Any]:
        """Its fields as plain JSON values, which are also arguments of `ConvertJob`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: object) -> JobChoices:
        """The choices that `to_json` wrote. What is missing, unknown or makes no sense has its default."""
        if not isinstance(values, Mapping):
            return cls()
        return cls(**{name: values[name] for name in _FIELDS if name in values and _is_good(name, values[name])})

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of the fields that differ from their defaults, in their order."""
        return tuple(name for name, default in _FIELDS.items() if getattr(self, name) != default)


_FIELDS: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(JobChoices)}


def problem_with(name: str, value: Any) -> str:
    """What `ConvertJob` has to say against a value of one of these fields, as a sentence; "" for nothing."""
    from engine.config import ConvertJob
    from engine.errors import ConfigError

    try:
        ConvertJob(model=Path("model"), sources=(Path("picture"),), to=Path("to"), direction="a2b", **{name: value})
    except ConfigError as error:
        return str(error)
    return ""


def _is_good(name: str, value: Any) -> bool:
    if value == _FIELDS[name] and type(value) is type(_FIELDS[name]):
        return True  # The most frequent answer needs nobody to be asked, and nothing to be loaded.
    if isinstance(_FIELDS[name], bool):
        return isinstance(value, bool)
    try:
        return not problem_with(name, value)
    except (ValueError, TypeError, AttributeError):  # Of another kind altogether, such as a number for a name.
        return False
