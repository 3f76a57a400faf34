from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine import train
from engine.config import Direction, TrainConfig
from engine.conversion.model_file import (
    Discriminators,
    architecture_words,
    default_model,
    load_generator,
    load_networks,
    model_bytes,
    model_name,
    model_of_moment,
    moment_name,
    read_model_info,
    run_name,
    write_model,
)
from engine.errors import ModelFileError
from engine.model.architecture import Architecture
from engine.model.discriminator import PixelDiscriminator
from engine.model.generator import Generator, make_generator
from engine.tensor_file import read_tensors, write_tensors

CPU = torch.device("cpu")


@pytest.fixture
def model(tmp_path: Path, tiny_config: Callable[..., TrainConfig]) -> tuple[Path, Generator, Generator]:
    torch.manual_seed(0)
    G_AB, G_BA = (Generator(Architecture(blocks=1, channels=4, long_skip=True)) for _ in range(2))
    path = tmp_path / "model.safetensors"
    config = tiny_config(long_skip=True, preset="quick")
    write_model(path, {"a2b": G_AB, "b2a": G_BA}, config, steps=1234, licence="CC BY 4.0", note="A note.")
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
        assert torch.equal(loaded(x), original.to(memory_format=torch.channels_last)(x))


def test_a_model_stored_as_fp16_loads_as_fp32(
    model: tuple[Path, Generator, Generator], tiny_config: Callable[..., TrainConfig]
) -> None:
    path, G_AB, G_BA = model
    whole = path.stat().st_size
    write_model(path, {"a2b": G_AB, "b2a": G_BA}, tiny_config(long_skip=True), steps=1, dtype=torch.float16)
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
        ({"directions": "[]"}, "damaged"),
        ({"directions": '["up"]'}, "damaged"),
        ({"directions": "{"}, "damaged"),
        ({"directions": "7"}, "damaged"),
        ({"discriminators": "[]"}, "damaged"),
        ({"discriminators": json.dumps({"layers": 99})}, "damaged"),
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


@pytest.mark.parametrize(
    "values",
    [
        {"generator": "unet", "halvings": 5},
        {"generator": "unet", "halvings": 5, "norm": "batch", "dropout": True},
        {"norm": "batch"},
        {"norm": "none", "dropout": True},
        {"grey_A": True},
        {"grey_B": True, "long_skip": True},
    ],
)
@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_every_architecture_comes_back_as_it_was(
    tmp_path: Path, tiny_config: Callable[..., TrainConfig], values: dict[str, object], dtype: torch.dtype | None
) -> None:
    torch.manual_seed(0)
    config = tiny_config(channels=2, **values)
    directions: tuple[Direction, ...] = ("a2b", "b2a")
    originals = {direction: make_generator(config.architecture, direction) for direction in directions}
    for generator in originals.values():
        for name, value in generator.state_dict().items():
            # What fp16 has exactly.
            value.fill_(5) if name.endswith("tracked") else value.copy_((torch.rand_like(value) + 0.1).half())
    write_model(tmp_path / "m.safetensors", originals, config, steps=1, dtype=dtype)
    for direction, original in originals.items():
        loaded, info = load_generator(tmp_path / "m.safetensors", direction, CPU)
        assert info.architecture == config.architecture
        before, after = original.state_dict(), loaded.state_dict()
        assert before.keys() == after.keys()
        assert all(before[k].dtype == after[k].dtype and torch.equal(before[k], after[k]) for k in before)


def test_a_model_of_one_direction_says_so_and_names_the_other(
    tmp_path: Path, tiny_config: Callable[..., TrainConfig]
) -> None:
    config, path = tiny_config(), tmp_path / "m.safetensors"
    write_model(path, {"b2a": make_generator(config.architecture, "b2a")}, config, steps=1)
    assert read_model_info(path).directions == ("b2a",)
    load_generator(path, "b2a", CPU)
    with pytest.raises(ModelFileError, match=r"cannot convert Reds to Blues.*only the direction Blues to Reds \(b2a\)"):
        load_generator(path, "a2b", CPU)


def test_networks_to_train_further_are_all_there_in_fp32(
    model: tuple[Path, Generator, Generator], tiny_config: Callable[..., TrainConfig]
) -> None:
    path, G_AB, G_BA = model
    write_model(path, {"a2b": G_AB, "b2a": G_BA}, tiny_config(long_skip=True), steps=9, dtype=torch.bfloat16)
    tensors, info = load_networks(path)
    assert info.steps == 9 and not info.has_discriminators
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert tensors.keys() == {f"{n}.{k}" for n, g in (("G_AB", G_AB), ("G_BA", G_BA)) for k in g.state_dict()}


def test_discriminators_are_part_of_the_file_when_given(model: tuple[Path, Generator, Generator]) -> None:
    path, *_ = model
    parts = Discriminators(kind="pixel", channels=6)
    tensors, info = load_networks(path)
    network = PixelDiscriminator(6)
    tensors |= {f"D_B.{key}": value for key, value in network.state_dict().items()}
    path.write_bytes(model_bytes(dataclasses.replace(info, discriminators=parts), tensors))
    again, info = load_networks(path)
    assert info.discriminators == parts == read_model_info(path).discriminators
    assert info.has_discriminators
    assert all(torch.equal(again[f"D_B.{key}"], value) for key, value in network.state_dict().items())


def test_architectures_are_told_in_words() -> None:
    assert architecture_words(Architecture()) == "ResNet, 9 blocks, 64 channels"
    told = architecture_words(Architecture(generator="unet", channels=1, norm="batch", dropout=True, grey_B=True))
    assert told == "U-Net, 8 halvings, 1 channel, batch norm, dropout, grey B"
    assert "long skip" in architecture_words(Architecture(long_skip=True))


def test_results_are_named_after_the_training_of_a_model_and_the_step_of_a_moment(tmp_path: Path) -> None:
    run = tmp_path / "apples"
    run.mkdir()
    assert model_name(run) == model_name(run / "model.safetensors") == model_name(run / "best.safetensors") == "apples"
    assert model_name(run / "moments" / "step_00001250.safetensors") == "apples step 1250"
    assert model_name(tmp_path / "mine.v2.safetensors") == "mine.v2"


def test_a_missing_file_and_a_folder_without_a_model_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nowhere\.safetensors"):
        read_model_info(tmp_path / "nowhere.safetensors")
    with pytest.raises(ModelFileError, match=r"holds no model\.safetensors"):
        read_model_info(tmp_path)


def test_a_name_that_no_disk_allows_is_called_too_long(tmp_path: Path) -> None:
    for path in (tmp_path / (300 * "a"), tmp_path / (300 * "a") / "model.safetensors"):
        for read in (read_model_info, load_networks):
            with pytest.raises(ModelFileError, match="too long"):
                read(path)


def test_a_moment_of_a_training_is_chosen_by_name_or_step(model: tuple[Path, Generator, Generator]) -> None:
    last, *_ = model
    run = last.parent
    assert default_model(run) == model_of_moment(run, "last") == last
    with pytest.raises(ModelFileError, match=r"no best moment yet.*It has last"):
        model_of_moment(run, "best")
    (run / "moments").mkdir()
    best, kept = (
        Path(shutil.copy(last, run / name)) for name in ("best.safetensors", "moments/step_00000500.safetensors")
    )
    assert default_model(run) == model_of_moment(run, "best") == read_model_info(run).path == best
    assert model_of_moment(run, "500") == kept
    with pytest.raises(ModelFileError, match="It has best, last and 500"):
        model_of_moment(run, "501")
    with pytest.raises(ModelFileError, match="give best, last, or the number of a step"):
        model_of_moment(run, "worst")
    assert {run_name(path) for path in (last, best, kept)} == {run.name}
    assert [moment_name(path) for path in (best, last, kept)] == ["its best moment", "its last moment", "a kept moment"]
    assert run_name(run / "other.safetensors") is None is moment_name(run / "other.safetensors")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_model_behind_a_locked_folder_is_a_sentence(model: tuple[Path, Generator, Generator]) -> None:
    path, *_ = model
    locked = path.parent / "locked"
    locked.mkdir()
    path.rename(locked / path.name)
    locked.chmod(0)
    try:
        for place in (locked, locked / path.name):
            with pytest.raises(ModelFileError, match="permission"):
                read_model_info(place)
    finally:
        locked.chmod(0o700)


@pytest.mark.parametrize(
    "values",
    [
        {"discriminator_layers": 2, "spectral_norm": True},
        {"discriminator": "pixel", "discriminator_channels": 6},
        {"channels": 6},
    ],
)
def test_the_settings_of_a_training_are_also_those_of_its_discriminators(
    tiny_config: Callable[..., TrainConfig], values: dict[str, object]
) -> None:
    config = tiny_config(max_steps=1, **values)
    list(train(config))
    info = read_model_info(config.run)
    assert info.discriminators == load_networks(config.run)[1].discriminators
    assert {field: getattr(config, field) for field in info.settings} == info.settings
    # They are not in the file itself.
    assert not read_model_info(config.run / "model.safetensors").has_discriminators
    # Whether so short a training has a best moment is chance.
    (config.run / "best.safetensors").unlink(missing_ok=True)
    assert read_model_info(config.run).discriminators == info.discriminators
    shutil.rmtree(config.run / "checkpoints")
    assert not read_model_info(config.run).has_discriminators


def test_reading_the_story_of_a_training_loads_no_torch(tiny_config: Callable[..., TrainConfig]) -> None:
    config = tiny_config(max_steps=1)
    list(train(config))
    code = (
        "import sys; from pathlib import Path; from engine.conversion.model_file import read_model_info\n"
        "assert read_model_info(Path(sys.argv[1])).has_discriminators\n"
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code, str(config.run)], env=environment, check=True)
