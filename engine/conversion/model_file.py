"""The one shareable file of a trained model: both generators and their story. Reading the story needs no torch."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import Direction, TrainConfig
from engine.errors import ModelFileError
from engine.model.architecture import Architecture
from engine.tensor_file import read_metadata, read_tensors, write_tensors

if TYPE_CHECKING:
    import torch

    from engine.model.generator import Generator

MODEL_FILE_NAME = "model.safetensors"
KIND = "cyclegan-desktop model"
FORMAT_VERSION = 1

_NETWORKS: dict[Direction, str] = {"a2b": "G_AB", "b2a": "G_BA"}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The story of a model file.

    Attributes:
        path: The file.
        name_A: Name of domain A.
        name_B: Name of domain B.
        size: Side of the crops it was trained on, in pixels.
        architecture: What its generators are made of.
        preset: The preset its training began from.
        steps: Steps of training.
        date: Day it was written, YYYY-MM-DD.
        licence: Terms its author gives it, or "".
        note: Anything its author wants to say, or "".
        format_version: Version of the file's layout.
    """

    path: Path
    name_A: str
    name_B: str
    size: int
    architecture: Architecture
    preset: str
    steps: int
    date: str
    licence: str = ""
    note: str = ""
    format_version: int = FORMAT_VERSION

    def direction_name(self, direction: Direction) -> str:
        """The direction in words, such as "Apples to Oranges"."""
        names = (self.name_A, self.name_B) if direction == "a2b" else (self.name_B, self.name_A)
        return f"{names[0]} to {names[1]}"


def model_path(path: Path) -> Path:
    """The model file that `path` means: itself, or the one in the folder of a training.

    Raises:
        ModelFileError: A folder without a model.
    """
    if not path.is_dir():
        return path
    model = path / MODEL_FILE_NAME
    if not model.exists():
        raise ModelFileError(f"{path} holds no {MODEL_FILE_NAME}; choose a model file or the folder of a training.")
    return model


def read_model_info(path: Path) -> ModelInfo:
    """The story of a model file, or of the model of a run.

    Raises:
        ModelFileError: It is not there, is not a model of ours, or comes from a newer version.
    """
    path = model_path(path)
    return _parse_info(path, read_metadata(path))


def write_model(
    path: Path,
    G_AB: Generator,
    G_BA: Generator,
    config: TrainConfig,
    *,
    steps: int,
    dtype: torch.dtype | None = None,
    licence: str = "",
    note: str = "",
) -> None:
    """Write both generators and their story as one file, in one piece or not at all.

    Args:
        path: The file; replaced if it exists.
        G_AB: Generator from A to B.
        G_BA: Generator from B to A.
        config: The training they come from.
        steps: Steps of training.
        dtype: Type the weights are stored in; None keeps theirs.
        licence: Terms its author gives it.
        note: Anything its author wants to say.

    Raises:
        OSError: No space, no permission, no such folder.
    """
    tensors = {
        f"{name}.{key}": value if dtype is None else value.to(dtype)
        for name, generator in (("G_AB", G_AB), ("G_BA", G_BA))
        for key, value in generator.state_dict().items()
    }
    metadata = {
        "kind": KIND,
        "format_version": str(FORMAT_VERSION),
        "name_A": config.name_A,
        "name_B": config.name_B,
        "size": str(config.size),
        "architecture": json.dumps(dataclasses.asdict(config.architecture)),
        "preset": config.preset,
        "steps": str(steps),
        "date": date.today().isoformat(),
        "licence": licence,
        "note": note,
    }
    write_tensors(path, tensors, metadata)


def load_generator(path: Path, direction: Direction, device: torch.device) -> tuple[Generator, ModelInfo]:
    """The generator of one direction, ready to convert: in fp32, in eval mode, without gradients.

    Raises:
        ModelFileError: It is not there, is not a model of ours, is damaged, or comes from a newer version.
    """
    import torch

    from engine.model.generator import Generator

    path = model_path(path)
    tensors, metadata = read_tensors(path)
    info = _parse_info(path, metadata)
    prefix = f"{_NETWORKS[direction]}."
    weights = {
        name.removeprefix(prefix): tensor.to(device, torch.float32)
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    with torch.device("meta"):
        generator = Generator(info.architecture)
    try:
        generator.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise ModelFileError(f"{path} does not hold the generator {info.direction_name(direction)} whole.") from error
    return generator.eval().requires_grad_(False), info


def _parse_info(path: Path, metadata: dict[str, str]) -> ModelInfo:
    if metadata.get("kind") != KIND:
        raise ModelFileError(f"{path} is a .safetensors file, but not a model of CycleGAN Desktop.")
    try:
        version = int(metadata["format_version"])
        if version > FORMAT_VERSION:
            raise ModelFileError(f"{path} comes from a newer version of CycleGAN Desktop; update the app to use it.")
        return ModelInfo(
            path=path,
            name_A=metadata["name_A"],
            name_B=metadata["name_B"],
            size=int(metadata["size"]),
            architecture=Architecture(**json.loads(metadata["architecture"])),
            preset=metadata["preset"],
            steps=int(metadata["steps"]),
            date=metadata["date"],
            licence=metadata.get("licence", ""),
            note=metadata.get("note", ""),
            format_version=version,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ModelFileError(f"The description inside {path} is incomplete or damaged: {error}.") from error
