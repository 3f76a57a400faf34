from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.config import TrainConfig
from engine.conversion.model_file import load_generator, read_model_info, write_model
from engine.errors import ModelFileError
from engine.model.architecture import Architecture
from engine.model.generator import Generator
from engine.tensor_file import read_tensors, write_tensors

CPU = torch.device("cpu")


@pytest.fixture
def model(tmp_path: Path, tiny_config: Callable[..., TrainConfig]) -> tuple[Path, Generator, Generator]:
    torch.manual_seed(0)
    G_AB, G_BA = (Generator(Architecture(blocks=1, channels=4, long_skip=True)) for _ in range(2))
    path = tmp_path / "model.safetensors"
    config = tiny_config(long_skip=True, preset="quick")
    write_model(path, G_AB, G_BA, config, steps=1234, licence="CC BY 4.0", note="A note.")
    return path, G_AB, G_BA


def test_the_story_of_a_model_is_read_from_its_file_or_its_folder(model: tuple[Path, Generator, Generator]) -> None:
    path, *_ = model
    for place in (path, path.parent):
        info = read_model_info(place)
        assert (info.path, info.name_A, info.name_B, info.size) == (path, "Reds", "Blues", 32)
        assert info.architecture == Architecture(blocks=1, channels=4, long_skip=True)
        assert (info.preset, info.steps, info.licence, info.note) == ("quick", 1234, "CC BY 4.0", "A note.")
        assert (info.direction_name("a2b"), info.direction_name("b2a")) == ("Reds to Blues", "Blues to Reds")


def test_each_direction_loads_its_own_generator(model: tuple[Path, Generator, Generator]) -> None:
    path, G_AB, G_BA = model
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    for direction, original in (("a2b", G_AB), ("b2a", G_BA)):
        loaded, _ = load_generator(path, direction, CPU)
        assert not loaded.training
        assert torch.equal(loaded(x), original(x))


def test_a_model_stored_as_fp16_loads_as_fp32(
    model: tuple[Path, Generator, Generator], tiny_config: Callable[..., TrainConfig]
) -> None:
    path, G_AB, G_BA = model
    whole = path.stat().st_size
    write_model(path, G_AB, G_BA, tiny_config(long_skip=True), steps=1, dtype=torch.float16)
    assert path.stat().st_size < 0.6 * whole
    generator, _ = load_generator(path, "a2b", CPU)
    assert {p.dtype for p in generator.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "something else"}, "not a model of CycleGAN Desktop"),
        ({"format_version": "99"}, "newer version"),
        ({"size": "big"}, "damaged"),
        ({"architecture": json.dumps({"blocks": 10**9})}, "damaged"),
        ({"architecture": json.dumps({"warp": 1})}, "damaged"),
    ],
)
def test_foreign_and_newer_files_are_refused_with_a_sentence(
    model: tuple[Path, Generator, Generator], change: dict[str, str], sentence: str
) -> None:
    path, *_ = model
    tensors, metadata = read_tensors(path)
    write_tensors(path, tensors, metadata | change)
    for read in (read_model_info, lambda p: load_generator(p, "a2b", CPU)):
        with pytest.raises(ModelFileError, match=sentence) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_a_model_without_one_generator_names_the_direction(model: tuple[Path, Generator, Generator]) -> None:
    path, *_ = model
    tensors, metadata = read_tensors(path)
    write_tensors(path, {name: t for name, t in tensors.items() if name.startswith("G_AB")}, metadata)
    load_generator(path, "a2b", CPU)
    with pytest.raises(ModelFileError, match="Blues to Reds"):
        load_generator(path, "b2a", CPU)


def test_a_missing_file_and_a_folder_without_a_model_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nowhere\.safetensors"):
        read_model_info(tmp_path / "nowhere.safetensors")
    with pytest.raises(ModelFileError, match=r"holds no model\.safetensors"):
        read_model_info(tmp_path)
