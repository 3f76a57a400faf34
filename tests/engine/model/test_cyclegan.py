"""One training step against a second, deliberately plain implementation of the paper that shares no code with ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.config import TrainConfig
from engine.model.cyclegan import CycleGAN

CPU = torch.device("cpu")
POOL_SIZE, STEPS, RATE = 2, 5, 2e-4
# With this seed both pools, once full, show the old twice and the new once within the five steps.
SEED = 21
Weights = dict[str, Tensor]


def make_config(**values: object) -> TrainConfig:
    defaults: dict[str, object] = {"size": 32, "load_size": 32, "blocks": 2, "channels": 4, "pool_size": POOL_SIZE}
    places = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}
    return TrainConfig(**{**places, **defaults, "seed": 11, **values})


def pictures(step: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(step)
    shape = (2, batch, 3, 32, 32)
    real_A, real_B = torch.rand(shape, generator=random, dtype=torch.float64) * 2 - 1
    return real_A, real_B


def plain_norm(x: Tensor, w: Weights, place: str) -> Tensor:
    """Instance norm, or batch norm where there are weights for one."""
    batch = f"{place}.weight" in w
    over = (0, 2, 3) if batch else (2, 3)
    mean = x.mean(over, keepdim=True)
    variance = ((x - mean) ** 2).mean(over, keepdim=True)
    y = (x - mean) / torch.sqrt(variance + 1e-5)
    return y * w[f"{place}.weight"][:, None, None] + w[f"{place}.bias"][:, None, None] if batch else y


def plain_pad(x: Tensor, by: int) -> Tensor:
    rows = [*range(by, 0, -1), *range(x.shape[2]), *range(x.shape[2] - 2, x.shape[2] - 2 - by, -1)]
    columns = [*range(by, 0, -1), *range(x.shape[3]), *range(x.shape[3] - 2, x.shape[3] - 2 - by, -1)]
    return x[:, :, rows][:, :, :, columns]


def plain_resnet(w: Weights, x: Tensor) -> Tensor:
    def conv(y: Tensor, place: str, **how: int) -> Tensor:
        return F.conv2d(y, w[f"model.{place}.weight"], w.get(f"model.{place}.bias"), **how)

    blocks = sum("conv_block.1.weight" in key for key in w)
    y = torch.relu(plain_norm(conv(plain_pad(x, 3), "1"), w, "model.2"))
    for place in (4, 7):
        y = torch.relu(plain_norm(conv(y, f"{place}", stride=2, padding=1), w, f"model.{place + 1}"))
    for block in range(10, 10 + blocks):
        h = conv(plain_pad(y, 1), f"{block}.conv_block.1")
        h = torch.relu(plain_norm(h, w, f"model.{block}.conv_block.2"))
        h = conv(plain_pad(h, 1), f"{block}.conv_block.5")
        y = y + plain_norm(h, w, f"model.{block}.conv_block.6")
    for place in (10 + blocks, 13 + blocks):
        up, bias = w[f"model.{place}.weight"], w.get(f"model.{place}.bias")
        y = F.conv_transpose2d(y, up, bias, stride=2, padding=1, output_padding=1)
        y = torch.relu(plain_norm(y, w, f"model.{place + 1}"))
    return torch.tanh(conv(plain_pad(y, 3), f"{17 + blocks}"))


def plain_unet(w: Weights, x: Tensor, level: str = "model.model", depth: int = 5) -> Tensor:
    """A level of a U-Net: halve, do the same to what is smaller, double; all but the outermost join their input."""
    outermost, innermost = level == "model.model", depth == 1
    down = level + (".0" if outermost else ".1")
    up = level + (".3" if outermost or innermost else ".5")
    after_up = level + (".4" if innermost else ".6")
    y = x if outermost else torch.where(x > 0, x, 0.2 * x)
    y = F.conv2d(y, w[f"{down}.weight"], w.get(f"{down}.bias"), stride=2, padding=1)
    if not innermost:
        y = y if outermost else plain_norm(y, w, f"{level}.2")
        y = plain_unet(w, y, f"{level}.{1 if outermost else 3}.model", depth - 1)
    y = F.conv_transpose2d(torch.relu(y), w[f"{up}.weight"], w.get(f"{up}.bias"), stride=2, padding=1)
    return torch.tanh(y) if outermost else torch.cat([x, plain_norm(y, w, after_up)], 1)


def plain_discriminator(w: Weights, x: Tensor) -> Tensor:
    y = x
    for place, stride in ((0, 2), (2, 2), (5, 2), (8, 1), (11, 1)):
        y = F.conv2d(y, w[f"model.{place}.weight"], w.get(f"model.{place}.bias"), stride=stride, padding=1)
        if place in (2, 5, 8):
            y = plain_norm(y, w, f"model.{place + 1}")
        if place != 11:
            y = torch.where(y > 0, y, 0.2 * y)
    return y


def plain_squares(verdict: Tensor, label: int) -> Tensor:
    return ((verdict - label) ** 2).mean()


def plain_logarithms(verdict: Tensor, label: int) -> Tensor:
    probability = 1 / (1 + torch.exp(-verdict))
    return -torch.log(probability if label else 1 - probability).mean()


class PlainPool:
    def __init__(self, stream: int) -> None:
        self.stream, self.stored, self.replaced = stream, [], 0

    def __call__(self, fakes: Tensor, number: int) -> Tensor:
        return torch.cat([self.show(fake[None], number + i) for i, fake in enumerate(fakes)])

    def show(self, fake: Tensor, number: int) -> Tensor:
        if len(self.stored) < POOL_SIZE:
            self.stored.append(fake)
            return fake
        random = np.random.default_rng((SEED, self.stream, number))
        if random.random() < 0.5:
            return fake
        self.replaced += 1
        place = int(random.integers(POOL_SIZE))
        old, self.stored[place] = self.stored[place], fake
        return old


class PlainAdam:
    """Kingma and Ba 2015, Algorithm 1."""

    def __init__(self) -> None:
        self.t, self.m, self.v, self.gradients = 0, {}, {}, {}

    def update(self, networks: dict[str, Weights], names: tuple[str, str], loss: Tensor) -> None:
        self.t += 1
        keys = [(name, key) for name in names for key in networks[name]]
        gradients = torch.autograd.grad(loss, [networks[name][key] for name, key in keys])
        self.gradients = dict(zip(keys, gradients, strict=True))
        for (name, key), g in self.gradients.items():
            self.m[name, key] = 0.5 * self.m.get((name, key), 0) + 0.5 * g
            self.v[name, key] = 0.999 * self.v.get((name, key), 0) + 0.001 * g * g
            m = self.m[name, key] / (1 - 0.5**self.t)
            v = self.v[name, key] / (1 - 0.999**self.t)
            moved = networks[name][key].detach() - RATE * m / (torch.sqrt(v) + 1e-8)
            networks[name][key] = moved.requires_grad_(True)


class PlainCycleGAN:
    """Eq. 1 to 3 of the paper with the least squares of Sec. 4 and the identity loss of Sec. 5.2."""

    def __init__(
        self,
        networks: dict[str, Weights],
        *,
        generator: Callable[[Weights, Tensor], Tensor] = plain_resnet,
        gan: Callable[[Tensor, int], Tensor] = plain_squares,
        weights: tuple[float, float, float] = (10, 10, 0.5),
    ) -> None:
        self.n, self.generator, self.gan, self.weights = networks, generator, gan, weights
        self.pool_A, self.pool_B = PlainPool(5), PlainPool(6)
        self.adam_G, self.adam_D = PlainAdam(), PlainAdam()

    def step(self, a: Tensor, b: Tensor, number: int) -> dict[str, Tensor]:
        n, D, gan = self.n, plain_discriminator, self.gan
        cycle_A, cycle_B, identity = self.weights
        g_AB, g_BA = (lambda x: self.generator(n["G_AB"], x)), (lambda x: self.generator(n["G_BA"], x))
        fake_B, fake_A = g_AB(a), g_BA(b)
        loss = {
            "G_AB": gan(D(n["D_B"], fake_B), 1),
            "G_BA": gan(D(n["D_A"], fake_A), 1),
            "cycle_A": cycle_A * (g_BA(fake_B) - a).abs().mean(),
            "cycle_B": cycle_B * (g_AB(fake_A) - b).abs().mean(),
            "idt_A": identity * cycle_A * (g_BA(a) - a).abs().mean(),
            "idt_B": identity * cycle_B * (g_AB(b) - b).abs().mean(),
        }
        self.adam_G.update(n, ("G_AB", "G_BA"), sum(loss.values()))
        for name, real, fake in (
            ("D_A", a, self.pool_A(fake_A.detach(), number)),
            ("D_B", b, self.pool_B(fake_B.detach(), number)),
        ):
            loss[name] = 0.5 * (gan(D(n[name], real), 1) + gan(D(n[name], fake), 0))
        self.adam_D.update(n, ("D_A", "D_B"), loss["D_A"] + loss["D_B"])
        return loss


def plain_copy(model: CycleGAN, **settings: Any) -> PlainCycleGAN:
    """A plain model with the same weights, in float64."""
    networks = {
        name: {
            key: value.detach().to(torch.float64, copy=True).requires_grad_(True)
            for key, value in network.named_parameters()
        }
        for name, network in model.networks.items()
    }
    return PlainCycleGAN(networks, **settings)


@pytest.mark.parametrize(
    ("values", "settings", "batch"),
    [
        ({}, {}, 1),
        (
            {"gan_loss": "vanilla", "lambda_A": 8.0, "lambda_B": 12.0, "lambda_identity": 0.3},
            {"gan": plain_logarithms, "weights": (8, 12, 0.3)},
            2,
        ),
        ({"norm": "batch", "lambda_identity": 0.0}, {"weights": (10, 10, 0)}, 2),
        ({"generator": "unet", "halvings": 5, "norm": "batch"}, {"generator": plain_unet}, 2),
    ],
    ids=["as-the-paper", "vanilla", "batch-norm", "unet"],
)
def test_five_steps_equal_those_of_a_plain_implementation(
    values: dict[str, Any], settings: dict[str, Any], batch: int
) -> None:
    model = CycleGAN(make_config(seed=SEED, batch_size=batch, **values), CPU, dtype=torch.float64)
    plain = plain_copy(model, **settings)
    for step in range(STEPS):
        real_A, real_B = pictures(step, batch)
        ours = model.step(real_A, real_B, first_number=batch * step, learning_rate=RATE, number=step)
        theirs = plain.step(real_A, real_B, batch * step)
        assert set(ours) == set(theirs) and len(ours) == 8
        for name, value in ours.items():
            assert value.dtype == torch.float64
            assert value.item() == pytest.approx(theirs[name].item(), rel=1e-9), (step, name)
    for name, network in model.networks.items():
        for key, value in network.named_parameters():
            torch.testing.assert_close(
                value.detach(), plain.n[name][key].detach(), atol=1e-9, rtol=0, msg=f"{name} {key}"
            )
    for theirs, ours in ((plain.pool_A, model.pool_A), (plain.pool_B, model.pool_B)):
        assert theirs.replaced >= 2
        torch.testing.assert_close(torch.cat(ours.pictures), torch.cat(theirs.stored), atol=1e-9, rtol=0)


def test_in_32_bits_losses_outputs_and_gradients_are_those_of_the_plain_implementation_in_64() -> None:
    """By the norm of each tensor: a bias before an instance norm has a gradient of pure rounding noise."""
    model = CycleGAN(make_config(), CPU)
    plain = plain_copy(model)
    real_A, real_B = pictures(0)
    outputs = {"G_AB": real_A, "G_BA": real_B, "D_A": real_A, "D_B": real_B}
    for name, x in outputs.items():
        network = plain_resnet if name.startswith("G") else plain_discriminator
        assert relative_error(model.networks[name](x.float()), network(plain.n[name], x)) < 1e-5, name
    ours = model.step(real_A.float(), real_B.float(), first_number=0, learning_rate=RATE, number=0)
    for name, value in plain.step(real_A, real_B, 0).items():
        assert ours[name].item() == pytest.approx(value.item(), rel=1e-5), name
    for adam in (plain.adam_G, plain.adam_D):
        largest = max(g.norm().item() for g in adam.gradients.values())
        for (name, key), expected in adam.gradients.items():
            gradient = model.networks[name].get_parameter(key).grad
            assert (gradient - expected).norm() < 1e-4 * expected.norm() + 1e-6 * largest, (name, key)


def relative_error(ours: Tensor, expected: Tensor) -> float:
    return float((ours - expected).norm().detach() / expected.norm().detach())


def test_the_losses_of_a_first_step_are_what_they_always_were() -> None:
    """Golden values: a change here changes every training."""
    losses = CycleGAN(make_config(), CPU, dtype=torch.float64).step(
        *pictures(0, batch=2), first_number=0, learning_rate=RATE, number=0
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
        *(x.float() for x in pictures(0)), first_number=0, learning_rate=RATE, number=0
    )
    assert losses["idt_A"] == losses["idt_B"] == 0
    assert losses["cycle_A"] > 0


def test_a_rate_of_zero_moves_nothing() -> None:
    model = CycleGAN(make_config(), CPU)
    before = {name: value.clone() for name, value in model.state()[0].items()}
    model.step(*(x.float() for x in pictures(0)), first_number=0, learning_rate=0.0, number=0)
    after = model.state()[0]
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_bf16_keeps_weights_and_losses_in_fp32_and_stays_near_fp32() -> None:
    runs = [CycleGAN(make_config(), CPU, precision) for precision in ("fp32", "bf16")]
    batch = tuple(x.float() for x in pictures(0))
    exact, rough = (model.step(*batch, first_number=0, learning_rate=RATE, number=0) for model in runs)
    for name, value in rough.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact[name].item(), rel=0.05)
    assert {p.dtype for network in runs[1].networks.values() for p in network.parameters()} == {torch.float32}


def test_a_weight_that_is_no_number_is_seen() -> None:
    model = CycleGAN(make_config(), CPU)
    assert model.is_finite()
    with torch.no_grad():
        next(model.D_B.parameters())[0, 0, 0, 0] = float("nan")
    assert not model.is_finite()


def test_a_restored_state_continues_exactly(tmp_path: Path) -> None:
    def steps(model: CycleGAN, numbers: range) -> list[float]:
        return [
            value.item()
            for number in numbers
            for value in model.step(
                *(x.float() for x in pictures(number)), first_number=number, learning_rate=RATE, number=number
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
