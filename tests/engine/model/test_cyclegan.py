"""One training step against a second, deliberately plain implementation of the paper that shares no code with ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.config import TrainConfig
from engine.model.cyclegan import CycleGAN

CPU = torch.device("cpu")
SEED, POOL_SIZE, STEPS, RATE = 11, 2, 5, 2e-4
Weights = dict[str, Tensor]


def make_config(**values: object) -> TrainConfig:
    defaults: dict[str, object] = {"size": 32, "load_size": 32, "blocks": 2, "channels": 4, "pool_size": POOL_SIZE}
    places = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}
    return TrainConfig(**{**places, **defaults, "seed": SEED, **values})


def pictures(step: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(step)
    shape = (2, batch, 3, 32, 32)
    real_A, real_B = torch.rand(shape, generator=random, dtype=torch.float64) * 2 - 1
    return real_A, real_B


def plain_norm(x: Tensor) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean((2, 3), keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5)


def plain_pad(x: Tensor, by: int) -> Tensor:
    rows = [*range(by, 0, -1), *range(x.shape[2]), *range(x.shape[2] - 2, x.shape[2] - 2 - by, -1)]
    columns = [*range(by, 0, -1), *range(x.shape[3]), *range(x.shape[3] - 2, x.shape[3] - 2 - by, -1)]
    return x[:, :, rows][:, :, :, columns]


def plain_generator(w: Weights, x: Tensor, blocks: int = 2) -> Tensor:
    def parts(place: str) -> tuple[Tensor, Tensor]:
        return w[f"model.{place}.weight"], w[f"model.{place}.bias"]

    y = torch.relu(plain_norm(F.conv2d(plain_pad(x, 3), *parts("1"))))
    for place in ("4", "7"):
        y = torch.relu(plain_norm(F.conv2d(y, *parts(place), stride=2, padding=1)))
    for block in range(10, 10 + blocks):
        h = torch.relu(plain_norm(F.conv2d(plain_pad(y, 1), *parts(f"{block}.conv_block.1"))))
        y = y + plain_norm(F.conv2d(plain_pad(h, 1), *parts(f"{block}.conv_block.5")))
    for place in (10 + blocks, 13 + blocks):
        up = F.conv_transpose2d(y, *parts(str(place)), stride=2, padding=1, output_padding=1)
        y = torch.relu(plain_norm(up))
    return torch.tanh(F.conv2d(plain_pad(y, 3), *parts(str(17 + blocks))))


def plain_discriminator(w: Weights, x: Tensor) -> Tensor:
    y = x
    for place, stride in (("0", 2), ("2", 2), ("5", 2), ("8", 1), ("11", 1)):
        y = F.conv2d(y, w[f"model.{place}.weight"], w[f"model.{place}.bias"], stride=stride, padding=1)
        if place in ("2", "5", "8"):
            y = plain_norm(y)
        if place != "11":
            y = torch.where(y > 0, y, 0.2 * y)
    return y


class PlainPool:
    def __init__(self, stream: int) -> None:
        self.stream, self.stored = stream, []

    def __call__(self, fake: Tensor, number: int) -> Tensor:
        if len(self.stored) < POOL_SIZE:
            self.stored.append(fake)
            return fake
        random = np.random.default_rng((SEED, self.stream, number))
        if random.random() < 0.5:
            return fake
        place = int(random.integers(POOL_SIZE))
        old, self.stored[place] = self.stored[place], fake
        return old


class PlainAdam:
    """Kingma and Ba 2015, Algorithm 1."""

    def __init__(self) -> None:
        self.t, self.m, self.v = 0, {}, {}

    def update(self, networks: dict[str, Weights], names: tuple[str, str], loss: Tensor) -> None:
        self.t += 1
        keys = [(name, key) for name in names for key in networks[name]]
        gradients = torch.autograd.grad(loss, [networks[name][key] for name, key in keys])
        for (name, key), g in zip(keys, gradients, strict=True):
            self.m[name, key] = 0.5 * self.m.get((name, key), 0) + 0.5 * g
            self.v[name, key] = 0.999 * self.v.get((name, key), 0) + 0.001 * g * g
            m = self.m[name, key] / (1 - 0.5**self.t)
            v = self.v[name, key] / (1 - 0.999**self.t)
            moved = networks[name][key].detach() - RATE * m / (torch.sqrt(v) + 1e-8)
            networks[name][key] = moved.requires_grad_(True)


class PlainCycleGAN:
    """Eq. 1 to 3 of the paper with the least squares of Sec. 4 and the identity loss of Sec. 5.2."""

    def __init__(self, networks: dict[str, Weights]) -> None:
        self.n = networks
        self.pool_A, self.pool_B = PlainPool(5), PlainPool(6)
        self.adam_G, self.adam_D = PlainAdam(), PlainAdam()

    def step(self, a: Tensor, b: Tensor, number: int) -> dict[str, Tensor]:
        n = self.n
        fake_B, fake_A = plain_generator(n["G_AB"], a), plain_generator(n["G_BA"], b)
        loss = {
            "G_AB": ((plain_discriminator(n["D_B"], fake_B) - 1) ** 2).mean(),
            "G_BA": ((plain_discriminator(n["D_A"], fake_A) - 1) ** 2).mean(),
            "cycle_A": 10 * (plain_generator(n["G_BA"], fake_B) - a).abs().mean(),
            "cycle_B": 10 * (plain_generator(n["G_AB"], fake_A) - b).abs().mean(),
            "idt_A": 5 * (plain_generator(n["G_BA"], a) - a).abs().mean(),
            "idt_B": 5 * (plain_generator(n["G_AB"], b) - b).abs().mean(),
        }
        self.adam_G.update(n, ("G_AB", "G_BA"), sum(loss.values()))
        for name, real, fake in (
            ("D_A", a, self.pool_A(fake_A.detach(), number)),
            ("D_B", b, self.pool_B(fake_B.detach(), number)),
        ):
            right = ((plain_discriminator(n[name], real) - 1) ** 2).mean()
            loss[name] = 0.5 * (right + (plain_discriminator(n[name], fake) ** 2).mean())
        self.adam_D.update(n, ("D_A", "D_B"), loss["D_A"] + loss["D_B"])
        return loss


def test_five_steps_equal_those_of_a_plain_implementation() -> None:
    model = CycleGAN(make_config(), CPU, dtype=torch.float64)
    plain = PlainCycleGAN(
        {
            name: {key: value.clone().requires_grad_(True) for key, value in network.state_dict().items()}
            for name, network in model.networks.items()
        }
    )
    for step in range(STEPS):
        real_A, real_B = pictures(step)
        ours = model.step(real_A, real_B, first_number=step, learning_rate=RATE)
        theirs = plain.step(real_A, real_B, step)
        for name, value in ours.items():
            assert value.dtype == torch.float64
            assert value.item() == pytest.approx(theirs[name].item(), rel=1e-9), (step, name)
    for name, network in model.networks.items():
        for key, value in network.state_dict().items():
            torch.testing.assert_close(value, plain.n[name][key].detach(), atol=1e-9, rtol=0, msg=f"{name} {key}")


def test_the_losses_of_a_first_step_are_what_they_always_were() -> None:
    """Golden values: a change here changes every training."""
    losses = CycleGAN(make_config(), CPU, dtype=torch.float64).step(
        *pictures(0, batch=2), first_number=0, learning_rate=RATE
    )
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(GOLDEN, abs=2e-9)


GOLDEN = {
    "G_AB": 0.721403388,
    "G_BA": 1.097647984,
    "D_A": 0.602751461,
    "D_B": 0.499171381,
    "cycle_A": 5.11225185,
    "cycle_B": 5.160509995,
    "idt_A": 2.572879739,
    "idt_B": 2.586342461,
}


def test_without_identity_loss_both_identity_terms_are_zero() -> None:
    losses = CycleGAN(make_config(lambda_identity=0.0), CPU).step(
        *(x.float() for x in pictures(0)), first_number=0, learning_rate=RATE
    )
    assert losses["idt_A"] == losses["idt_B"] == 0
    assert losses["cycle_A"] > 0


def test_a_rate_of_zero_moves_nothing() -> None:
    model = CycleGAN(make_config(), CPU)
    before = {name: value.clone() for name, value in model.state()[0].items()}
    model.step(*(x.float() for x in pictures(0)), first_number=0, learning_rate=0.0)
    after = model.state()[0]
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_bf16_keeps_weights_and_losses_in_fp32_and_stays_near_fp32() -> None:
    runs = [CycleGAN(make_config(), CPU, precision) for precision in ("fp32", "bf16")]
    batch = tuple(x.float() for x in pictures(0))
    exact, rough = (model.step(*batch, first_number=0, learning_rate=RATE) for model in runs)
    for name, value in rough.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact[name].item(), rel=0.05)
    assert {p.dtype for network in runs[1].networks.values() for p in network.parameters()} == {torch.float32}


def test_a_batch_with_an_infinity_is_seen_in_the_weights() -> None:
    model = CycleGAN(make_config(), CPU)
    assert model.is_finite()
    real_A, real_B = (x.float() for x in pictures(0))
    real_A[0, 0, 0, 0] = float("inf")
    model.step(real_A, real_B, first_number=0, learning_rate=RATE)
    assert not model.is_finite()


def test_a_restored_state_continues_exactly(tmp_path: Path) -> None:
    def steps(model: CycleGAN, numbers: range) -> list[float]:
        return [
            value.item()
            for number in numbers
            for value in model.step(
                *(x.float() for x in pictures(number)), first_number=number, learning_rate=RATE
            ).values()
        ]

    whole, first, second = (CycleGAN(make_config(), CPU) for _ in range(3))
    expected = steps(whole, range(8))
    begun = steps(first, range(5))
    tensors, scaler = first.state()
    second.load_state({name: value.clone() for name, value in tensors.items()}, scaler)
    assert begun + steps(second, range(5, 8)) == expected


def test_the_seed_decides_the_first_weights() -> None:
    def weights(seed: int) -> Tensor:
        return CycleGAN(make_config(seed=seed), CPU).G_AB.model[1].weight

    same: Callable[[int, int], bool] = lambda a, b: torch.equal(weights(a), weights(b))  # noqa: E731
    assert same(1, 1) and not same(1, 2)
