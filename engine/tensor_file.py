"""Tensors with a story, in one self-verifying `.safetensors` file: what model files and checkpoints are made of.

The metadata holds a SHA-256 of all the rest, because safetensors loads a flipped bit in silence. Nothing is ever
unpickled. Reading the metadata alone needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ModelFileError
from engine.files import disk_sentence, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

_DIGEST_KEY = "sha256"
_MOST_HEADER_BYTES = 16 * 2**20


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write the file in one piece or not at all.

    Args:
        path: The file; replaced if it exists.
        tensors: Any dtype and device, by name.
        metadata: Text by name.

    Raises:
        OSError: No space, no permission, no such folder.
    """
    write_atomically(path, tensor_bytes(tensors, metadata))


def tensor_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The whole content of such a file; see `write_tensors`."""
    from safetensors.torch import save

    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content: bytes = save(flat, {**metadata, _DIGEST_KEY: _digest(flat, metadata)})
    return content


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, on the CPU, and the metadata.

    Raises:
        ModelFileError: The file cannot be read, is no such file, or is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    metadata = read_metadata(path)
    try:
        tensors: dict[str, Tensor] = load(path.read_bytes())
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise ModelFileError(f"{path} is damaged and cannot be read; take another copy of it.") from error
    if metadata.pop(_DIGEST_KEY, None) != _digest(tensors, metadata):
        raise ModelFileError(f"{path} is damaged: its contents do not match its checksum. Take another copy of it.")
    return tensors, metadata


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata alone, without looking at the tensors.

    Raises:
        ModelFileError: The file cannot be read or is no safetensors file.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _MOST_HEADER_BYTES:
                raise ValueError("no safetensors header")
            header = json.loads(file.read(length))
            metadata = header.pop("__metadata__", {})
            end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
            if os.fstat(file.fileno()).st_size != 8 + length + end:
                raise ValueError("cut short")
    except FileNotFoundError as error:
        raise ModelFileError(f"There is no file {path}.") from error
    except (PermissionError, IsADirectoryError) as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
    except OSError as error:
        raise ModelFileError(disk_sentence(error, path)) from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, struct.error) as error:
        raise _no_model(path) from error
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _no_model(path)
    return metadata


def _no_model(path: Path) -> ModelFileError:
    if path.suffix.lower() in (".pth", ".pt"):
        return ModelFileError(f"{path} is no model file (.safetensors). Import it first, which makes one of it.")
    return ModelFileError(f"{path} is no model file (.safetensors), or it is damaged.")


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    import torch

    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
