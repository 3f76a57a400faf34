"""The plain implementation that speed is measured against computes what the engine does, only more slowly."""

from __future__ import annotations

import ast
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmarks import plain
from engine import ConvertJob, TrainConfig, convert
from engine.config import Precision
from engine.conversion.exchange import import_model
from engine.model import winograd
from engine.model.cyclegan import CycleGAN
from engine.randomness import Stream, random_at

CPU = torch.device("cpu")
POOL_SIZE, STEPS, SEED = 2, 5, 21


def make_pair(dtype: torch.dtype, *, identity: float = 0.5, batch: int = 1) -> tuple[CycleGAN, plain.CycleGAN]:
    """Both implementations with the same weights, which are larger than first weights, and the same choices."""
    places = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}
    config = TrainConfig(
        **places,
        size=32,
        load_size=32,
        blocks=2,
        channels=4,
        pool_size=POOL_SIZE,
        batch_size=batch,
        lambda_identity=identity,
        seed=SEED,
        precision="fp32",
        device="cpu",
    )
    ours = CycleGAN(config, CPU, dtype=dtype)
    theirs = plain.CycleGAN(blocks=2, channels=4, pool_size=POOL_SIZE, identity=identity, dtype=dtype)
    torch.manual_seed(3)
    for name, network in theirs.networks.items():
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, 0.0, 0.1)
        ours.networks[name].load_state_dict(network.state_dict())
    for pool, stream in ((theirs.pool_A, Stream.POOL_A), (theirs.pool_B, Stream.POOL_B)):
        pool._choose = choices(stream)
    return ours, theirs


def choices(stream: Stream) -> Callable[[], int | None]:
    """What a pool of the engine does with each picture once it is full."""
    numbers = itertools.count(POOL_SIZE)

    def choose() -> int | None:
        random = random_at(SEED, stream, next(numbers))
        return None if random.random() < 0.5 else int(random.integers(POOL_SIZE))

    return choose


def pictures(step: int, dtype: torch.dtype, batch: int = 1) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(step)
    real_A, real_B = torch.rand(2, batch, 3, 32, 32, generator=random, dtype=torch.float64).mul(2).sub(1).to(dtype)
    return real_A, real_B


@pytest.mark.parametrize(("identity", "batch"), [(0.5, 1), (0.0, 1), (0.5, 2)])
def test_five_steps_are_those_of_the_engine(identity: float, batch: int) -> None:
    """Losses, weights and pools, in 64 bits: what is left then is a difference in the mathematics."""
    ours, theirs = make_pair(torch.float64, identity=identity, batch=batch)
    for step in range(STEPS):
        real_A, real_B = pictures(step, torch.float64, batch)
        losses = ours.step(real_A, real_B, first_number=batch * step, learning_rate=2e-4, number=step)
        expected = theirs.step(real_A, real_B)
        assert set(losses) == set(expected)
        for name, loss in losses.items():
            assert loss.item() == pytest.approx(expected[name].item(), rel=1e-9), (step, name)
    for name, network in theirs.networks.items():
        for key, weight in network.named_parameters():
            torch.testing.assert_close(ours.networks[name].get_parameter(key), weight, atol=1e-9, rtol=0)
    for one, other in ((ours.pool_A, theirs.pool_A), (ours.pool_B, theirs.pool_B)):
        torch.testing.assert_close(torch.cat(one.pictures), torch.cat(other.pictures), atol=1e-9, rtol=0)


@pytest.mark.parametrize("least_channels", [winograd.LEAST_CHANNELS, 16])
def test_outputs_and_gradients_of_a_step_are_those_of_the_engine_in_32_bits(
    least_channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 1e-5 of each tensor's norm; but a bias before an instance norm has a gradient of pure rounding noise.

    With at least 16 channels in a convolution of fewer multiplications, the residual blocks take those, too.
    """
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", least_channels)
    monkeypatch.setattr(winograd, "LEAST_TILES", 1)
    ours, theirs = make_pair(torch.float32)
    real_A, real_B = pictures(0, torch.float32)
    for name, x in (("G_AB", real_A), ("G_BA", real_B), ("D_A", real_A), ("D_B", real_B)):
        one, other = ours.networks[name](x), theirs.networks[name](x)
        assert (one - other).norm() < 1e-5 * other.norm(), name
    losses = ours.step(real_A, real_B, first_number=0, learning_rate=2e-4, number=0)
    for name, loss in theirs.step(real_A, real_B).items():
        assert losses[name].item() == pytest.approx(loss.item(), rel=1e-5), name
    for names in (("G_AB", "G_BA"), ("D_A", "D_B")):
        parameters = {(name, key): p for name in names for key, p in theirs.networks[name].named_parameters()}
        largest = max(p.grad.norm().item() for p in parameters.values())
        for (name, key), parameter in parameters.items():
            difference = ours.networks[name].get_parameter(key).grad - parameter.grad
            assert difference.norm() < 1e-5 * parameter.grad.norm() + 1e-6 * largest, (name, key)


def draw_picture(path: Path, seed: int, size: tuple[int, int] = (48, 32)) -> None:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)


@pytest.mark.parametrize(("precision", "most", "most_on_average"), [("fp32", 1, 0.1), ("bf16", 16, 1.275)])
def test_a_converted_picture_is_that_of_the_engine(
    tmp_path: Path, precision: Precision, most: int, most_on_average: float
) -> None:
    """Within one level of 255; in bf16 within 0.01 of [-1, 1] on average."""
    torch.manual_seed(1)
    network = plain.CycleGAN(blocks=2, channels=8)
    network.save(tmp_path / "networks")
    (tmp_path / "sources").mkdir()
    for number in range(3):
        draw_picture(tmp_path / f"sources/{number}.jpg", number)
    file = tmp_path / "networks" / plain.FILES["G_AB"]
    assert plain.main(["convert", str(file), str(tmp_path / "sources"), "--to", str(tmp_path / "theirs")]) == 0
    model = tmp_path / "model.safetensors"
    import_model([file], names=("A", "B"), to=model, size=32)
    job = ConvertJob(
        model=model,
        sources=(tmp_path / "sources",),
        to=tmp_path / "ours",
        direction="a2b",
        format="png",
        precision=precision,
        device="cpu",
    )
    list(convert(job))
    for number in range(3):
        one, other = (
            np.asarray(Image.open(tmp_path / side / f"{number}.png"), dtype=int) for side in ("ours", "theirs")
        )
        assert one.shape == (32, 48, 3) and one.std() > 1
        assert np.abs(one - other).max() <= most
        assert np.abs(one - other).mean() <= most_on_average


def test_training_from_the_command_line_writes_networks_that_are_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in "AB":
        (tmp_path / side).mkdir()
        for number in range(2):
            draw_picture(tmp_path / side / f"{number}.png", number)
    tiny = ["--size", "32", "--load-size", "36", "--blocks", "1", "--channels", "2"]
    folders = [str(tmp_path / "A"), str(tmp_path / "B")]
    plain.main(["train", *folders, "--to", str(tmp_path / "run"), *tiny, "--steps", "3", "--device", "cpu"])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(report["seconds"]) == len(report["waiting_seconds"]) == 3
    assert {path.name for path in (tmp_path / "run").iterdir()} == set(plain.FILES.values())
    generator = plain.read_generator(tmp_path / "run" / plain.FILES["G_BA"], CPU)
    assert generator(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_it_takes_turns(tmp_path: Path) -> None:
    network = plain.CycleGAN(blocks=1, channels=2)
    network.save(tmp_path)
    draw_picture(tmp_path / "0.jpg", 0)
    file = tmp_path / plain.FILES["G_AB"]
    command = [sys.executable, plain.__file__, "convert", file, tmp_path / "0.jpg", "--to", tmp_path / "to", "--turns"]
    done = subprocess.run(
        [*map(str, command), "--device", "cpu"], check=True, input="\n\n", stdout=subprocess.PIPE, text=True
    )
    first, *turns, last = map(json.loads, done.stdout.splitlines())
    assert first == {"ready": True}
    assert [set(turn) for turn in turns] == [{"seconds"}, {"seconds"}]
    assert len(last["seconds"]) == 3


def test_it_imports_nothing_of_the_engine() -> None:
    """Which would set how torch's threads wait, and could lend it what makes the engine fast."""
    tree = ast.parse(Path(plain.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names}.isdisjoint({"engine", "cyclegan_desktop", "benchmarks"})
