"""The reference's own model files, `.pth`: the weights of one network each, recognised by their keys and shapes.

Nothing in them is trusted: they are read without running code, and no larger than `MOST_BYTES`.
"""

from __future__ import annotations

import dataclasses
import errno
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, get_args

import torch
from torch import Tensor, nn

from engine.config import Direction
from engine.conversion.model_file import GENERATORS, Discriminators, NetworkName, architecture_words
from engine.device import is_out_of_memory
from engine.errors import ModelFileError
from engine.files import disk_sentence
from engine.model.architecture import Architecture, Norm
from engine.model.discriminator import PatchDiscriminator, PixelDiscriminator
from engine.model.generator import make_generator
from engine.words import counted, listed

MOST_BYTES = 2 * 10**9
"""Largest file that is read, packed and unpacked."""

REFERENCE_NAMES: dict[NetworkName, str] = {"G_AB": "G_A", "G_BA": "G_B", "D_A": "D_B", "D_B": "D_A"}
"""What the reference calls our networks. Its D_A judges what its G_A makes, which are pictures of B."""

# latest_net_G_A.pth, 200_net_D_B.pth, Latest_Net_G_A (1).pth
_NAMED = re.compile(r"(?<![a-z0-9])(?:net_?)?([GD])_([AB])(?![a-z0-9])", re.IGNORECASE)

# DataParallel, DistributedDataParallel and torch.compile put these before every key.
_WRAPPERS = ("module.", "_orig_mod.")

# What files that hold more than one thing call the weights.
_NESTED = ("state_dict", "model_state_dict", "model", "params")

_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")


@dataclass(frozen=True, slots=True)
class ReferenceModel:
    """What files of the reference hold together.

    Attributes:
        files: Each file and the network in it, by our name.
        architecture: What the generators are made of.
        directions: The generators that are there, "a2b" first.
        discriminators: What the discriminators are made of; None where there are none.
        tensors: All weights, fp32, on the CPU, by names such as "G_AB.model.1.weight".
    """

    files: tuple[tuple[Path, NetworkName], ...]
    architecture: Architecture
    directions: tuple[Direction, ...]
    discriminators: Discriminators | None
    tensors: dict[str, Tensor]

    @property
    def has_discriminators(self) -> bool:
        """Whether there is at least one of the discriminators."""
        return self.discriminators is not None


@dataclass(frozen=True, slots=True)
class _Network:
    """One file, recognised. `parts` say nothing about the channels of pictures."""

    path: Path
    parts: Architecture | Discriminators
    norm: Norm
    in_channels: int
    out_channels: int
    weights: dict[str, Tensor]


def read_reference_files(files: Sequence[Path]) -> ReferenceModel:
    """Read files of one training of the reference: one generator or both, perhaps discriminators.

    Which network a file holds follows from its name: "G_A" in it means from A to B, "G_B" from B to A, and "D_A" and
    "D_B" the reference's discriminators. Generators without such a name are taken for A to B first, then B to A.

    Raises:
        ModelFileError: A file cannot be read, holds something else, or the files do not belong together.
    """
    if not files:
        raise ModelFileError("Give at least one file, such as latest_net_G_A.pth.")
    networks = _assign([_recognise(path, _read_weights(path)) for path in files])
    directions = tuple(direction for direction, name in GENERATORS.items() if name in networks)
    if not directions:
        raise ModelFileError(
            f"{listed(files)} holds no generator. Give the file of at least one, such as latest_net_G_A.pth, too."
        )
    architecture = _common_architecture(networks)
    return ReferenceModel(
        files=tuple((network.path, name) for name, network in networks.items()),
        architecture=architecture,
        directions=directions,
        discriminators=_common_discriminators(networks, architecture),
        tensors={
            f"{name}.{key}": value for name, network in networks.items() for key, value in network.weights.items()
        },
    )


# Reading


def _read_weights(path: Path) -> dict[str, Tensor]:
    """The weights in a file, fp32, by the reference's keys."""
    content = _load(path)
    if isinstance(content, Mapping):
        content = next((content[key] for key in _NESTED if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not content:
        raise ModelFileError(f"{path} holds no weights of a network. Choose a file such as latest_net_G_A.pth.")
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()):
        raise ModelFileError(
            f"{path} holds more than the weights of one network. Choose a file such as latest_net_G_A.pth."
        )
    weights = dict(content)
    while prefix := next((p for p in _WRAPPERS if all(key.startswith(p) for key in weights)), ""):
        weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    size = sum(4 * value.numel() for value in weights.values())
    if size > MOST_BYTES:
        # Any number of tensors can share the same few bytes, of which each would get a copy.
        raise _too_large(path, size)
    # Old files hold statistics of instance norms, which have no weights; the reference drops them as well.
    return {
        key: _plain(path, key, value)
        for key, value in weights.items()
        if not key.endswith(_STATISTICS) or f"{key.rpartition('.')[0]}.weight" in weights
    }


def _load(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = max(size, sum(entry.file_size for entry in archive.infolist()))
        if size > MOST_BYTES:
            raise _too_large(path, size)
        if path.suffix.lower() == ".safetensors":
            raise ModelFileError(
                f"{path} needs no import: models of CycleGAN Desktop (.safetensors) are used as they are."
            )
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except ModelFileError:
        raise
    except FileNotFoundError as error:
        raise ModelFileError(f"There is no file {path}.") from error
    except IsADirectoryError as error:
        raise ModelFileError(f"{path} is a folder. Choose the .pth files in it.") from error
    except PermissionError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
    except Exception as error:  # A foreign file makes the readers raise anything at all.
        if is_out_of_memory(error):
            raise ModelFileError(f"The memory ran out while reading {path}. Close other programs.") from error
        # In a damaged file torch asks for places that there are not, which is an invalid argument.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise ModelFileError(disk_sentence(error, path)) from error
        if isinstance(error, UnpicklingError) and "weights_only" in str(error).lower() and "GLOBAL" in str(error):
            raise ModelFileError(
                f"{path} holds Python code beside weights, which is never run here. Save the weights alone, with "
                "torch.save(network.state_dict(), ...), and import that file."
            ) from error
        raise ModelFileError(
            f"{path} is damaged, cut short or no PyTorch file. Copy or download it again, or choose a file such as "
            "latest_net_G_A.pth."
        ) from error


def _too_large(path: Path, size: int) -> ModelFileError:
    return ModelFileError(
        f"{path} is too large: {size / 1e9:.1f} GB, when at most {MOST_BYTES / 1e9:.0f} GB are read. "
        "The weights of one network are far smaller; choose a file such as latest_net_G_A.pth."
    )


def _plain(path: Path, key: str, value: Tensor) -> Tensor:
    """A tensor that holds what it claims to hold, as fp32; counters stay whole numbers."""
    if key.endswith("num_batches_tracked"):
        known = value.dtype == torch.int64 and value.numel() == 1 and value.device.type == "cpu"
        return torch.tensor(int(value) if known else 0)
    whole = value.layout == torch.strided and value.device.type == "cpu" and value.is_floating_point()
    # A few bytes can be shown as a tensor of any size.
    if not whole or value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise ModelFileError(f"{path} holds a tensor that is no plain list of numbers ({key}). Save the weights anew.")
    wide = value.detach().to(torch.float32).clone(memory_format=torch.contiguous_format)
    if not bool(wide.isfinite().all()):
        raise ModelFileError(
            f"{path} holds numbers that are not finite ({key}), so its training had failed. Choose an earlier epoch."
        )
    return wide


# Recognising


def _recognise(path: Path, weights: dict[str, Tensor]) -> _Network:
    """What network has these weights.

    Raises:
        ModelFileError: None of the reference's.
    """
    shapes = {key: tuple(value.shape) for key, value in weights.items()}
    try:
        if len(shapes.get("model.model.0.weight", ())) == 4:
            network = _unet(path, shapes, weights)
        elif len(shapes.get("model.1.weight", ())) == 4:
            network = _resnet(path, shapes, weights)
        elif len(shapes.get("model.0.weight", ())) == 4:
            network = _patch(path, shapes, weights)
        elif len(shapes.get("net.0.weight", ())) == 4:
            network = _pixel(path, shapes, weights)
        else:
            raise ModelFileError(
                f"{path} holds a network that is none of the reference's (its first weights are called "
                f"{next(iter(shapes), 'nothing')}). Only its ResNet and U-Net generators and its discriminators can be "
                "imported."
            )
    except (ValueError, KeyError, IndexError) as error:
        raise _unlike(path, str(error)) from error
    return _fitted(network)


def _resnet(path: Path, shapes: dict[str, tuple[int, ...]], weights: dict[str, Tensor]) -> _Network:
    blocks = len({match[1] for key in shapes if (match := re.match(r"model\.(\d+)\.conv_block\.", key))})
    norm = _norm(shapes, after="model.2", conv="model.1")
    channels, in_channels = shapes["model.1.weight"][:2]
    parts = Architecture(
        generator="resnet",
        blocks=blocks,
        channels=channels,
        norm=norm,
        # Without it, place 6 is that of a norm.
        dropout=len(shapes.get("model.10.conv_block.6.weight", ())) == 4,
    )
    out_channels = shapes[f"model.{17 + blocks}.weight"][0]
    return _Network(path, parts, norm, in_channels, out_channels, weights)


def _unet(path: Path, shapes: dict[str, tuple[int, ...]], weights: dict[str, Tensor]) -> _Network:
    # Each level lies in the one around it: model.model.1.model.3.model.3.model.1.weight
    levels = [key.count("model.") for key, shape in shapes.items() if len(shape) == 4 and key.endswith("weight")]
    norm = _norm(shapes, after="model.model.1.model.2", conv="model.model.0")
    channels, in_channels = shapes["model.model.0.weight"][:2]
    # Dropout has no key in a U-Net; it changes nothing after training.
    parts = Architecture(generator="unet", halvings=max(levels) - 1, channels=channels, norm=norm)
    return _Network(path, parts, norm, in_channels, shapes["model.model.3.weight"][1], weights)


def _patch(path: Path, shapes: dict[str, tuple[int, ...]], weights: dict[str, Tensor]) -> _Network:
    last = max(int(key.split(".")[1]) for key in shapes)
    channels, in_channels = shapes["model.0.weight"][:2]
    parts = Discriminators(kind="patch", layers=(last - 2) // 3, channels=channels)
    return _Network(path, parts, _norm(shapes, after="model.3", conv="model.2"), in_channels, 1, weights)


def _pixel(path: Path, shapes: dict[str, tuple[int, ...]], weights: dict[str, Tensor]) -> _Network:
    channels, in_channels = shapes["net.0.weight"][:2]
    parts = Discriminators(kind="pixel", channels=channels)
    return _Network(path, parts, _norm(shapes, after="net.3", conv="net.2"), in_channels, 1, weights)


def _norm(shapes: dict[str, tuple[int, ...]], *, after: str, conv: str) -> Norm:
    """The norm of a network: batch norm has weights, instance norm follows convolutions that have a bias."""
    if f"{after}.weight" in shapes:
        return "batch"
    return "instance" if f"{conv}.bias" in shapes else "none"


def _fitted(network: _Network) -> _Network:
    """The network with exactly the weights that ours of this kind has.

    Raises:
        ModelFileError: Some are missing, some are left over, or a shape differs.
    """
    path, channels = network.path, (network.in_channels, network.out_channels)
    if isinstance(network.parts, Discriminators) and network.in_channels in (2, 4, 6):
        raise ModelFileError(
            f"{path} is a discriminator that judges pairs of pictures, as in pix2pix; a CycleGAN has no use for it. "
            "Leave it out."
        )
    if any(count not in (1, 3) for count in channels):
        raise ModelFileError(
            f"{path} is made for pictures of {channels[0]} channels in and {channels[1]} out; only 1 (grey) and 3 "
            "(colour) can be used."
        )
    weights = dict(network.weights)
    for key in network.weights:
        layer, _, name = key.rpartition(".")
        # Old files do not count the batches of a batch norm.
        if name == "running_mean":
            weights.setdefault(f"{layer}.num_batches_tracked", torch.tensor(0))
    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in _build(network).state_dict().items()}
    for key in [*expected, *weights]:
        if key not in weights:
            raise _unlike(path, f"{key} is missing")
        there = tuple(weights[key].shape)
        if key not in expected:
            raise _unlike(path, f"it has {key}, which no such network has")
        if expected[key] != there:
            raise _unlike(path, f"{key} has the shape {there}, not {expected[key]}")
    return dataclasses.replace(network, weights={key: weights[key] for key in expected})


def _build(network: _Network) -> nn.Module:
    """Our network of the same kind."""
    match network.parts:
        case Architecture():
            of_A, of_B = network.in_channels, network.out_channels
            return make_generator(dataclasses.replace(network.parts, grey_A=of_A == 1, grey_B=of_B == 1), "a2b")
        case Discriminators(kind="patch", layers=layers, channels=channels):
            return PatchDiscriminator(channels, in_channels=network.in_channels, layers=layers, norm=network.norm)
        case Discriminators(channels=channels):
            return PixelDiscriminator(channels, in_channels=network.in_channels, norm=network.norm)


def _unlike(path: Path, detail: str) -> ModelFileError:
    return ModelFileError(
        f"{path} resembles a network of the reference, but is not one ({detail}). Only networks made by its own "
        "options can be imported."
    )


# Bringing together


def _assign(found: Sequence[_Network]) -> dict[NetworkName, _Network]:
    """Which of the four networks each file is."""
    by_reference = {theirs: ours for ours, theirs in REFERENCE_NAMES.items()}
    networks: dict[NetworkName, _Network] = {}
    unnamed: list[_Network] = []
    for network in found:
        is_generator = isinstance(network.parts, Architecture)
        named = _NAMED.search(network.path.stem)
        if named is None:
            unnamed.append(network)
            continue
        if (named[1].upper() == "G") != is_generator:
            holds = "a generator" if is_generator else "a discriminator"
            raise ModelFileError(f"{network.path} is named {named[0]}, but holds {holds}. Rename it by what it holds.")
        _add(networks, by_reference[f"{named[1]}_{named[2]}".upper()], network)
    for network in unnamed:
        if not isinstance(network.parts, Architecture):
            raise ModelFileError(
                f"{network.path} is a discriminator, but its name does not say of which side. Rename it to end in "
                "_net_D_A.pth or _net_D_B.pth, or leave it out."
            )
        _add(networks, "G_AB" if "G_AB" not in networks else "G_BA", network)
    return {name: networks[name] for name in get_args(NetworkName) if name in networks}


def _add(networks: dict[NetworkName, _Network], name: NetworkName, network: _Network) -> None:
    if name in networks:
        what = "generator" if isinstance(network.parts, Architecture) else "discriminator"
        raise ModelFileError(
            f"{networks[name].path} and {network.path} both hold the {what} {REFERENCE_NAMES[name]}. "
            "A model has one of each; leave one of them out."
        )
    networks[name] = network


def _common_architecture(networks: Mapping[NetworkName, _Network]) -> Architecture:
    """The architecture of both generators."""
    each: list[tuple[Path, Architecture]] = []
    for direction, name in GENERATORS.items():
        network = networks.get(name)
        if network is not None:
            assert isinstance(network.parts, Architecture)
            of_A, of_B = network.in_channels, network.out_channels
            if direction == "b2a":
                of_A, of_B = of_B, of_A
            each.append((network.path, dataclasses.replace(network.parts, grey_A=of_A == 1, grey_B=of_B == 1)))
    if each[0][1] != each[-1][1]:
        words = " and ".join(f"{path} ({architecture_words(architecture)})" for path, architecture in each)
        raise ModelFileError(
            f"The two generators differ: {words}. A model has two of one kind; import each by itself instead."
        )
    return each[0][1]


def _common_discriminators(
    networks: Mapping[NetworkName, _Network], architecture: Architecture
) -> Discriminators | None:
    """What both discriminators are made of, if there are any."""
    there: list[tuple[Path, Discriminators]] = []
    channels: dict[NetworkName, int] = {"D_A": architecture.channels_of("A"), "D_B": architecture.channels_of("B")}
    for name, of_domain in channels.items():
        network = networks.get(name)
        if network is None:
            continue
        assert isinstance(network.parts, Discriminators)
        if network.in_channels != of_domain or network.norm != architecture.norm:
            raise ModelFileError(
                f"{network.path} is a discriminator of other pictures than the generators': it has {network.norm} norm "
                f"and looks at {counted(network.in_channels, 'channel')}, they have {architecture.norm} norm and make "
                f"{counted(of_domain, 'channel')}. Leave it out."
            )
        there.append((network.path, network.parts))
    if len({parts for _, parts in there}) > 1:
        raise ModelFileError(f"The discriminators {listed([path for path, _ in there])} differ. Leave both out.")
    return there[0][1] if there else None
