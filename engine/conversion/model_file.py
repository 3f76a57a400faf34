"""The one shareable file of a trained model: its generators and their story. Reading the story needs no torch."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from engine.config import Direction, DiscriminatorKind, TrainConfig
from engine.errors import ModelFileError
from engine.files import disk_sentence
from engine.model.architecture import Architecture
from engine.tensor_file import read_metadata, read_tensors, tensor_bytes, write_tensors
from engine.words import counted, listed

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from engine.model.generator import AnyGenerator

MODEL_FILE_NAME = "model.safetensors"
"""The newest generators of a training, in its folder."""

BEST_FILE_NAME = "best.safetensors"
"""Generators and discriminators of its best moment, if one has been good so far; see `quality.is_better`."""

MOMENTS_FOLDER = "moments"
"""Holds the models of other moments, "step_00000500.safetensors"."""

KIND = "cyclegan-desktop model"

_MOMENT = re.compile(r"step_(\d+)\.safetensors")

# Times the training size.
_MUCH_LARGER = 3

FORMAT_VERSION = 2
"""1: two ResNet generators. 2: any generators, one direction or both, perhaps discriminators."""

NetworkName: TypeAlias = Literal["G_AB", "G_BA", "D_A", "D_B"]

GENERATORS: dict[Direction, NetworkName] = {"a2b": "G_AB", "b2a": "G_BA"}
"""What the generator of a direction is called in the file."""

DISCRIMINATORS: tuple[NetworkName, NetworkName] = ("D_A", "D_B")


@dataclass(frozen=True, kw_only=True, slots=True)
class Discriminators:
    """What the discriminators of a model are made of; their norm is that of the generators.

    Attributes:
        kind: "patch" or "pixel".
        layers: Stride-2 layers of a patch discriminator.
        channels: Width of the first layer.
        spectral_norm: Whether each layer is scaled to a spectral norm of 1.
    """

    kind: DiscriminatorKind = "patch"
    layers: int = 3
    channels: int = 64
    spectral_norm: bool = False

    @classmethod
    def of(cls, config: TrainConfig) -> Discriminators:
        """Those of a training."""
        return cls(
            kind=config.discriminator,
            layers=config.discriminator_layers,
            channels=config.discriminator_channels or config.channels,
            spectral_norm=config.spectral_norm,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The same as fields of `TrainConfig`."""
        return {
            "discriminator": self.kind,
            "discriminator_layers": self.layers,
            "discriminator_channels": self.channels,
            "spectral_norm": self.spectral_norm,
        }

    def __post_init__(self) -> None:
        if not (self.kind in get_args(DiscriminatorKind) and 1 <= self.layers <= 6 and 1 <= self.channels <= 512):
            raise ValueError(
                f"no discriminator of the kind {self.kind} has {self.layers} layers and {self.channels} channels"
            )


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
        steps: Steps of training; 0 where that is not known.
        date: Day it was written, YYYY-MM-DD.
        licence: Terms its author gives it, or "".
        note: Anything its author wants to say, or "".
        format_version: Version of the file's layout.
        directions: The directions it can convert in, "a2b" first: both, or one.
        discriminators: What its discriminators are made of; None where it holds none. They help to train it further.
            Those of a run are in its checkpoints.
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
    directions: tuple[Direction, ...] = ("a2b", "b2a")
    discriminators: Discriminators | None = None

    @property
    def has_discriminators(self) -> bool:
        """Whether it holds at least one of its discriminators."""
        return self.discriminators is not None

    def is_small_for(self, size: tuple[int, int]) -> bool:
        """Whether a picture of this width and height in pixels is so much larger that "change" deserves a thought.

        Its longest side is at least 3 times the training size then: the generator sees details that it has never seen,
        and takes each for something smaller.
        """
        return max(size) >= _MUCH_LARGER * self.size

    def direction_name(self, direction: Direction) -> str:
        """The direction in words, such as "Apples to Oranges"."""
        names = (self.name_A, self.name_B) if direction == "a2b" else (self.name_B, self.name_A)
        return f"{names[0]} to {names[1]}"

    @property
    def settings(self) -> dict[str, Any]:
        """What a training that starts from this model shares with it, as fields of `TrainConfig`."""
        settings = {"size": self.size, **dataclasses.asdict(self.architecture)}
        if self.discriminators is not None:
            settings |= self.discriminators.settings
            if self.discriminators.channels == self.architecture.channels:
                del settings["discriminator_channels"]
        return settings

    def require_direction(self, direction: Direction) -> None:
        """See that the model can convert in this direction.

        Raises:
            ModelFileError: It cannot; the sentence names the direction that it has.
        """
        if direction not in self.directions:
            has = " and ".join(f"{self.direction_name(each)} ({each})" for each in self.directions)
            raise ModelFileError(
                f"{self.path} cannot convert {self.direction_name(direction)}: it holds only the direction {has}. "
                "Choose that one, or another model."
            )


def model_path(path: Path) -> Path:
    """The model file that `path` means: itself, or the one in the folder of a training.

    Raises:
        ModelFileError: A folder without a model, or a name that no disk allows.
    """
    try:
        if not path.is_dir():
            return path
        model = default_model(path)
        is_there = model.exists()
    except OSError as error:  # A name that is too long, or a folder above it that lets nobody through.
        raise ModelFileError(disk_sentence(error, path)) from error
    if not is_there:
        raise ModelFileError(f"{path} holds no {MODEL_FILE_NAME}; choose a model file or the folder of a training.")
    return model


def default_model(folder: Path) -> Path:
    """The model that the folder of a training stands for: its best moment if one has been good, else the newest.

    Raises:
        OSError: The system does not tell.
    """
    best = folder / BEST_FILE_NAME
    return best if best.exists() else folder / MODEL_FILE_NAME


def model_of_moment(folder: Path, moment: str) -> Path:
    """The model of a moment of a training.

    Args:
        folder: The run.
        moment: "best", "last", or the number of its step.

    Raises:
        ModelFileError: There is no such model; the sentence names those that there are.
    """
    files = {"best": folder / BEST_FILE_NAME, "last": folder / MODEL_FILE_NAME}
    if moment not in files and not moment.isdecimal():
        raise ModelFileError(f'There is no moment "{moment}": give best, last, or the number of a step.')
    try:
        kept = {_step(path): path for path in (folder / MOMENTS_FOLDER).glob("step_*.safetensors")}
        there = [*(name for name, path in files.items() if path.is_file()), *map(str, sorted(kept))]
        model = files[moment] if moment in files else kept.get(int(moment))
        if model is not None and model.is_file():
            return model
    except OSError as error:
        raise ModelFileError(disk_sentence(error, folder)) from error
    if moment == "best" and there:
        raise ModelFileError(
            f"{folder} has no best moment yet: none of those measured was nearer to the other side than untranslated "
            f"pictures are. It has {listed(there)}."
        )
    raise ModelFileError(
        f"{folder} keeps no model of the moment {moment}. "
        + (f"It has {listed(there)}." if there else "Choose the folder of a training that has been saved.")
    )


def moment_name(model: Path) -> str | None:
    """Which moment of a training a model is, in words, by where it lies; None for a model file of its own."""
    names = {BEST_FILE_NAME: "its best moment", MODEL_FILE_NAME: "its last moment"}
    if model.name in names:
        return names[model.name]
    return "a kept moment" if model.parent.name == MOMENTS_FOLDER else None


def run_name(model: Path) -> str | None:
    """The name of the training whose model this is, by where it lies; None for a model file of its own."""
    if model.name in (MODEL_FILE_NAME, BEST_FILE_NAME):
        return model.parent.name
    return model.parent.parent.name if model.parent.name == MOMENTS_FOLDER else None


def moment_step(model: Path) -> int | None:
    """The step of a moment of a training whose model this is, by where it lies; None for any other model."""
    found = _MOMENT.fullmatch(model.name) if model.parent.name == MOMENTS_FOLDER else None
    return None if found is None else int(found[1])


def model_name(path: Path) -> str:
    """What results may be named after: the training of a model, with the step of a moment, or a file's own name.

    Such as "apples" or "apples step 1250".
    """
    path = path.absolute()
    name = run_name(path) or (path.name if path.is_dir() else path.stem)
    step = moment_step(path)
    return name if step is None else f"{name} step {step}"


def read_model_info(path: Path) -> ModelInfo:
    """The story of a model file, or of the model of a run, whose discriminators are those of its checkpoints.

    Raises:
        ModelFileError: It is not there, is not a model of ours, or comes from a newer version.
    """
    file = model_path(path)
    info = _parse_info(file, read_metadata(file))
    if not path.is_dir() or info.has_discriminators:
        return info
    discriminators = _discriminators_of(path) if _checkpoints(path) else None
    return dataclasses.replace(info, discriminators=discriminators)


def write_model(
    path: Path,
    generators: Mapping[Direction, AnyGenerator],
    config: TrainConfig,
    *,
    steps: int,
    discriminators: Mapping[NetworkName, nn.Module] | None = None,
    dtype: torch.dtype | None = None,
    licence: str = "",
    note: str = "",
) -> None:
    """Write the generators of a training and their story as one file, in one piece or not at all.

    Args:
        path: The file; replaced if it exists.
        generators: By direction: both, or one.
        config: The training they come from.
        steps: Steps of training.
        discriminators: By name, to train them further; None writes none.
        dtype: Type the weights are stored in; None keeps theirs.
        licence: Terms its author gives it.
        note: Anything its author wants to say.

    Raises:
        OSError: No space, no permission, no such folder.
    """
    networks: dict[str, nn.Module] = {GENERATORS[direction]: generator for direction, generator in generators.items()}
    networks |= {str(name): network for name, network in (discriminators or {}).items()}
    tensors = {
        f"{name}.{key}": value.to(dtype) if dtype is not None and value.is_floating_point() else value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    info = ModelInfo(
        path=path,
        name_A=config.name_A,
        name_B=config.name_B,
        size=config.size,
        architecture=config.architecture,
        preset=config.preset,
        steps=steps,
        date=date.today().isoformat(),
        licence=licence,
        note=note,
        directions=tuple(direction for direction in GENERATORS if direction in generators),
        discriminators=Discriminators.of(config) if discriminators else None,
    )
    write_tensors(path, tensors, _metadata(info))


def model_bytes(info: ModelInfo, tensors: Mapping[str, Tensor]) -> bytes:
    """The whole content of a model file.

    Args:
        info: Its story, in the newest format; its path is not part of it.
        tensors: By name, such as "G_AB.model.1.weight" and "D_A.model.0.weight".
    """
    return tensor_bytes(tensors, _metadata(info))


def load_generator(path: Path, direction: Direction, device: torch.device) -> tuple[AnyGenerator, ModelInfo]:
    """The generator of one direction, ready to convert: in fp32, in eval mode, without gradients.

    Raises:
        ModelFileError: It is not there, is not a model of ours, is damaged, comes from a newer version, or has no such
            direction.
    """
    import torch

    from engine.model.generator import make_generator
    from engine.model.layers import features_format

    tensors, info = _load(model_path(path))
    info.require_direction(direction)
    prefix = f"{GENERATORS[direction]}."
    weights = {
        name.removeprefix(prefix): tensor.to(device) for name, tensor in tensors.items() if name.startswith(prefix)
    }
    try:
        with torch.device("meta"):
            generator = make_generator(info.architecture, direction)
        generator.load_state_dict(weights, assign=True)
    except (RuntimeError, ValueError) as error:
        raise ModelFileError(
            f"{info.path} does not hold the generator {info.direction_name(direction)} whole."
        ) from error
    # As in training, so that samples and results are the same to the last bit.
    return generator.eval().requires_grad_(False).to(memory_format=features_format(device)), info


def load_networks(path: Path) -> tuple[dict[str, Tensor], ModelInfo]:
    """Every network of a model, to be trained further: in fp32, on the CPU, by names such as "G_AB.model.1.weight".

    Of the folder of a training, the discriminators are those of its best moment, or else come from its newest
    checkpoint that can be read, if there is one.

    Raises:
        ModelFileError: It is not there, is not a model of ours, is damaged, or comes from a newer version.
    """
    tensors, info = _load(model_path(path))
    if not path.is_dir() or info.has_discriminators:
        return tensors, info
    found, discriminators = _of_checkpoint(path)
    return tensors | found, dataclasses.replace(info, discriminators=discriminators)


def architecture_words(architecture: Architecture) -> str:
    """What generators are made of, such as "ResNet, 9 blocks, 64 channels, dropout"."""
    blocks, halvings = architecture.blocks, architecture.halvings
    words = [
        f"ResNet, {counted(blocks, 'block')}" if architecture.generator == "resnet" else f"U-Net, {halvings} halvings",
        counted(architecture.channels, "channel"),
    ]
    if architecture.norm != "instance":
        words.append("batch norm" if architecture.norm == "batch" else "no norm")
    more = {
        "dropout": architecture.dropout,
        "grey A": architecture.grey_A,
        "grey B": architecture.grey_B,
        "predicting a change of the picture (long skip)": architecture.long_skip,
        "resize-convolution": architecture.resize_conv,
    }
    return ", ".join([*words, *(text for text, there in more.items() if there)])


def _load(path: Path) -> tuple[dict[str, Tensor], ModelInfo]:
    tensors, metadata = read_tensors(path)
    info = _parse_info(path, metadata)
    # What is counted, such as the batches of a batch norm, stays a whole number.
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}, info


def _of_checkpoint(folder: Path) -> tuple[dict[str, Tensor], Discriminators | None]:
    """The discriminators of the newest checkpoint of a training that can be read."""
    made_of = _discriminators_of(folder)
    if made_of is None:
        return {}, None
    for checkpoint in _checkpoints(folder):
        try:
            tensors, _ = read_tensors(checkpoint)
        except ModelFileError:
            continue
        found = {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] in DISCRIMINATORS}
        return found, made_of
    return {}, None


def _discriminators_of(folder: Path) -> Discriminators | None:
    """What the discriminators of a training are made of; None where its config.json cannot be read."""
    from engine.errors import RunError
    from engine.training.run import read_run_summary

    try:
        return Discriminators.of(read_run_summary(folder).config)
    except RunError:
        return None


def _step(path: Path) -> int:
    """The step in the name of a moment's model, "step_00000500.safetensors"; -1 where there is none."""
    number = path.stem.removeprefix("step_")
    return int(number) if number.isdecimal() else -1


def _checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a training, the newest first."""
    checkpoints = (folder / "checkpoints").glob("step_*.safetensors")
    return sorted(checkpoints, key=lambda each: (len(each.name), each.name), reverse=True)


def _metadata(info: ModelInfo) -> dict[str, str]:
    metadata = {
        "kind": KIND,
        "format_version": str(FORMAT_VERSION),
        "name_A": info.name_A,
        "name_B": info.name_B,
        "size": str(info.size),
        "architecture": json.dumps(dataclasses.asdict(info.architecture)),
        "directions": json.dumps(info.directions),
        "preset": info.preset,
        "steps": str(info.steps),
        "date": info.date,
        "licence": info.licence,
        "note": info.note,
    }
    if info.discriminators is not None:
        metadata["discriminators"] = json.dumps(dataclasses.asdict(info.discriminators))
    return metadata


def _parse_info(path: Path, metadata: dict[str, str]) -> ModelInfo:
    if metadata.get("kind") != KIND:
        raise ModelFileError(f"{path} is a .safetensors file, but not a model of CycleGAN Desktop.")
    try:
        version = int(metadata["format_version"])
        if version > FORMAT_VERSION:
            raise ModelFileError(f"{path} comes from a newer version of CycleGAN Desktop; update the app to use it.")
        told = json.loads(metadata.get("directions", '["a2b", "b2a"]'))
        directions = tuple(direction for direction in GENERATORS if direction in told)
        if not directions:
            raise ValueError("it has no direction")
        discriminators = metadata.get("discriminators")
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
            directions=directions,
            discriminators=None if discriminators is None else Discriminators(**json.loads(discriminators)),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ModelFileError(f"The description inside {path} is incomplete or damaged: {error}.") from error
