"""CycleGAN: four networks, two optimizers, two pools, and one training step."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Adam

from engine.config import TrainConfig
from engine.device import ChosenPrecision, autocast
from engine.events import LOSS_NAMES
from engine.model.discriminator import PatchDiscriminator
from engine.model.generator import Generator, init_weights
from engine.model.image_pool import ImagePool
from engine.model.losses import cycle_loss, gan_loss, identity_loss
from engine.randomness import Stream, random_at

LossTensors: TypeAlias = dict[str, Tensor]
"""Detached scalars on the device, by the names of `LOSS_NAMES`; reading one waits for the device."""

NETWORK_NAMES = ("G_AB", "G_BA", "D_A", "D_B")


class CycleGAN:
    """The model of Zhu et al. 2017 while it trains.

    Attributes:
        G_AB: Generator from A to B.
        G_BA: Generator from B to A.
        D_A: Discriminator that judges pictures of A.
        D_B: Discriminator that judges pictures of B.
    """

    def __init__(
        self,
        config: TrainConfig,
        device: torch.device,
        precision: ChosenPrecision = "fp32",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Make the networks and draw their first weights.

        Args:
            config: Sizes, weights and rates.
            device: Where everything lives.
            precision: Arithmetic of the networks; the weights themselves stay in `dtype`.
            dtype: float32, or float64 to compare with another implementation.
        """
        self.config = config
        self.device = device
        self.precision = precision
        self.G_AB, self.G_BA = Generator(config.architecture), Generator(config.architecture)
        self.D_A, self.D_B = PatchDiscriminator(config.channels), PatchDiscriminator(config.channels)
        self._init_networks(dtype)
        adam = {"betas": (config.beta1, 0.999), "lr": config.learning_rate, "fused": device.type != "mps"}
        self.optimizer_G = Adam([*self.G_AB.parameters(), *self.G_BA.parameters()], **adam)  # type: ignore[arg-type]
        self.optimizer_D = Adam([*self.D_A.parameters(), *self.D_B.parameters()], **adam)  # type: ignore[arg-type]
        self.pool_A = ImagePool(config.pool_size, config.seed, Stream.POOL_A)
        self.pool_B = ImagePool(config.pool_size, config.seed, Stream.POOL_B)
        # fp16 gradients vanish below 6e-8; scaling the losses keeps them in range. Off, it passes everything through.
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The four networks by name."""
        return {name: getattr(self, name) for name in NETWORK_NAMES}

    def step(self, real_A: Tensor, real_B: Tensor, *, first_number: int, learning_rate: float) -> LossTensors:
        """Train all four networks on one pair of batches (Eq. 3).

        Args:
            real_A: [B, 3, H, W] in [-1, 1], pictures of A.
            real_B: [B, 3, H, W] in [-1, 1], pictures of B.
            first_number: Number of the first picture, counted over the whole training; decides the pools' choices.
            learning_rate: Adam's rate for this step.

        Returns:
            The eight losses.
        """
        for optimizer in (self.optimizer_G, self.optimizer_D):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
        fake_A, fake_B, losses = self._step_generators(real_A, real_B)
        losses |= self._step_discriminators(
            (real_A, self.pool_A.query(fake_A, first_number)),
            (real_B, self.pool_B.query(fake_B, first_number)),
        )
        self.scaler.update()
        return {name: losses[name] for name in LOSS_NAMES}

    def _step_generators(self, real_A: Tensor, real_B: Tensor) -> tuple[Tensor, Tensor, LossTensors]:
        config = self.config
        for network in (self.D_A, self.D_B):
            network.requires_grad_(False)
        with autocast(self.device, self.precision):
            fake_B, fake_A = self.G_AB(real_A), self.G_BA(real_B)
            rec_A, rec_B = self.G_BA(fake_B), self.G_AB(fake_A)
            losses = {
                "G_AB": gan_loss(self.D_B(fake_B), real=True),
                "G_BA": gan_loss(self.D_A(fake_A), real=True),
                "cycle_A": config.lambda_A * cycle_loss(real_A, rec_A),
                "cycle_B": config.lambda_B * cycle_loss(real_B, rec_B),
            } | self._identity_losses(real_A, real_B)
            total = torch.stack(list(losses.values())).sum()
        self._update(self.optimizer_G, total)
        return fake_A.detach(), fake_B.detach(), {name: loss.detach() for name, loss in losses.items()}

    def _identity_losses(self, real_A: Tensor, real_B: Tensor) -> LossTensors:
        weight = self.config.lambda_identity
        if weight == 0:
            return {"idt_A": real_A.new_zeros(()), "idt_B": real_A.new_zeros(())}
        idt_A, idt_B = self.G_BA(real_A), self.G_AB(real_B)
        return {
            "idt_A": weight * self.config.lambda_A * identity_loss(real_A, idt_A),
            "idt_B": weight * self.config.lambda_B * identity_loss(real_B, idt_B),
        }

    def _step_discriminators(self, A: tuple[Tensor, Tensor], B: tuple[Tensor, Tensor]) -> LossTensors:
        """Each of A and B is (real, what the pool shows)."""
        for network in (self.D_A, self.D_B):
            network.requires_grad_(True)
        losses = {}
        with autocast(self.device, self.precision):
            for name, network, (real, fake) in (("D_A", self.D_A, A), ("D_B", self.D_B, B)):
                # Halved, which slows the discriminators down against the generators (Sec. 7.1).
                losses[name] = 0.5 * (gan_loss(network(real), real=True) + gan_loss(network(fake), real=False))
        self._update(self.optimizer_D, losses["D_A"] + losses["D_B"])
        return {name: loss.detach() for name, loss in losses.items()}

    def _update(self, optimizer: Adam, loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(optimizer)

    def _init_networks(self, dtype: torch.dtype) -> None:
        random = torch.Generator().manual_seed(
            int(random_at(self.config.seed, Stream.WEIGHTS).integers(2**63, dtype=int))
        )
        for network in self.networks.values():
            init_weights(network, random)
            if isinstance(network, Generator) and network.long_skip:
                network.start_as_identity()
            network.to(self.device, dtype)

    def is_finite(self) -> bool:
        """Whether every weight is a finite number. Waits for the device."""
        weights = [p.detach() for network in self.networks.values() for p in network.parameters()]
        return bool(torch.stack([w.isfinite().all() for w in weights]).all())

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that training has changed: tensors by name, and the scaler's few numbers."""
        tensors = {
            f"{name}.{key}": value for name, net in self.networks.items() for key, value in net.state_dict().items()
        }
        for name, optimizer in (("optimizer_G", self.optimizer_G), ("optimizer_D", self.optimizer_D)):
            for index, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}.{index}.{key}": value for key, value in moments.items()}
        for name, pool in (("pool_A", self.pool_A), ("pool_B", self.pool_B)):
            if pool.pictures:
                tensors[name] = torch.cat(pool.pictures)
        return tensors, self.scaler.state_dict()

    def load_state(self, tensors: dict[str, Tensor], scaler: dict[str, Any]) -> None:
        """Take up what `state` gave, from any device.

        Raises:
            RuntimeError: The tensors belong to networks of another shape.
            KeyError: Some are missing.
        """
        for name, network in self.networks.items():
            network.load_state_dict(_with_prefix(tensors, name))
        for name, optimizer in (("optimizer_G", self.optimizer_G), ("optimizer_D", self.optimizer_D)):
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _with_prefix(tensors, name).items():
                index, _, moment = key.partition(".")
                state.setdefault(int(index), {})[moment] = value
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        for name, pool in (("pool_A", self.pool_A), ("pool_B", self.pool_B)):
            stored = tensors.get(name)
            # A pool on the device, picture by picture: views of one tensor would keep all of it alive.
            pool.pictures = [] if stored is None else [p.clone() for p in torch.split(stored.to(self.device), 1)]
        if scaler and self.scaler.is_enabled():
            self.scaler.load_state_dict(scaler)


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
