"""CycleGAN: four networks, two optimizers, two pools, and one training step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Adam

from engine.config import Direction, TrainConfig
from engine.device import ChosenPrecision, autocast, empty_caches, is_out_of_memory
from engine.events import LOSS_NAMES
from engine.model import winograd
from engine.model.averaging import average, averaged_copy
from engine.model.diff_augment import diff_augment
from engine.model.discriminator import make_discriminator
from engine.model.fine_tuning import check_fit
from engine.model.finite import BadSteps, all_usable
from engine.model.generator import AnyGenerator, Generator, init_weights, make_generator
from engine.model.image_pool import ImagePool
from engine.model.layers import Layers, features_format
from engine.model.losses import cycle_loss, fooling_loss, gan_loss, gradient_penalty, identity_loss
from engine.model.recorded import Recorder
from engine.randomness import Stream, random_at

LossTensors: TypeAlias = dict[str, Tensor]
"""Scalars on the device, by the names of `LOSS_NAMES`; reading one waits for the device."""

_Forward: TypeAlias = Callable[[], LossTensors]
"""A forward pass and the losses after it."""

_First = TypeVar("_First")
_Second = TypeVar("_Second")

NETWORK_NAMES = ("G_AB", "G_BA", "D_A", "D_B")


class CycleGAN:
    """The model of Zhu et al. 2017 while it trains.

    Attributes:
        G_AB: Generator from A to B.
        G_BA: Generator from B to A.
        D_A: Discriminator that judges pictures of A.
        D_B: Discriminator that judges pictures of B.
        ema_G_AB: The running average of `G_AB`; None where the settings ask for none.
        ema_G_BA: The running average of `G_BA`.
        bad_steps: Counts the steps that were left out, since their numbers were not finite.
        is_whole: Whether all of it has taken the same steps. Not so if an error has come while it was moving; one that
            comes while gradients are computed, such as memory that runs out, leaves it as it was.
    """

    def __init__(
        self,
        config: TrainConfig,
        device: torch.device,
        precision: ChosenPrecision = "fp32",
        dtype: torch.dtype = torch.float32,
        *,
        batched: bool = False,
    ) -> None:
        """Make the networks and draw their first weights.

        Args:
            config: Sizes, weights and rates.
            device: Where everything lives.
            precision: Arithmetic of the networks; the weights themselves stay in `dtype`.
            dtype: float32, or float64 to compare with another implementation.
            batched: Whether two batches that one network sees one after the other, real_A and real_B where there is an
                identity loss, real and generated pictures, are to go through it in one call: the same numbers but for
                their last bits. Where `can_batch` says no they never do, nor where they differ in shape.
        """
        self.config = config
        self.device = device
        self.precision = precision
        self.batched = batched and can_batch(config)
        self.G_AB, self.G_BA = make_generator(config.architecture, "a2b"), make_generator(config.architecture, "b2a")
        self.D_A, self.D_B = make_discriminator(config, "A"), make_discriminator(config, "B")
        for generator in (self.G_AB, self.G_BA):
            if isinstance(generator, Generator):
                generator.recompute = config.recompute
        self._init_networks(dtype)
        # What the step calls where gradients are wanted: the networks, or what averages their gradients over ranks.
        self._trained = self.networks
        self._has_ranks = False
        averaged = config.ema_decay > 0
        self.ema_G_AB = averaged_copy(self.G_AB) if averaged else None
        self.ema_G_BA = averaged_copy(self.G_BA) if averaged else None
        adam = {"betas": (config.beta1, 0.999), "lr": config.learning_rate, "fused": device.type != "mps"}
        self.optimizer_G = Adam([*self.G_AB.parameters(), *self.G_BA.parameters()], **adam)  # type: ignore[arg-type]
        self.optimizer_D = Adam([*self.D_A.parameters(), *self.D_B.parameters()], **adam)  # type: ignore[arg-type]
        mixed = config.preprocess in ("scale_width", "none")
        self.pool_A = ImagePool(config.pool_size, config.seed, Stream.POOL_A, mixed_sizes=mixed)
        self.pool_B = ImagePool(config.pool_size, config.seed, Stream.POOL_B, mixed_sizes=mixed)
        # fp16 gradients vanish below 6e-8; scaling the losses keeps them in range. Off, it passes everything through.
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.bad_steps = BadSteps(device)
        self.is_whole = True
        if device.type == "cuda":
            # Else gradients of convolutions may add up in another order at each call, and no training goes on exactly.
            torch.backends.cudnn.deterministic = True
        self._zeros: dict[Tensor, Tensor] = {}
        self._notes: list[str] = []
        self._recorder = Recorder(device) if device.type == "cuda" and can_record(config, precision) else None
        if config.gradient_penalty > 0:
            for layers in _layers_of(self.D_A, self.D_B):
                layers.twice_differentiable = True

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The four networks by name."""
        return {name: getattr(self, name) for name in NETWORK_NAMES}

    @property
    def generators_for_use(self) -> dict[Direction, AnyGenerator]:
        """What samples and the model file show: the averaged generators where there are some, else the trained ones.

        They are set to evaluation: no dropout, and a batch norm's running statistics. The next step sets those that
        are trained back.
        """
        return {"a2b": (self.ema_G_AB or self.G_AB).eval(), "b2a": (self.ema_G_BA or self.G_BA).eval()}

    def step(
        self, real_A: Tensor, real_B: Tensor, *, first_number: int, learning_rate: float, number: int
    ) -> LossTensors:
        """Train all four networks on one pair of batches (Eq. 3).

        More than `batch_size` pictures are taken in several batches, whose gradients add up to those of one large
        batch. (Exactly so without dropout, batch norm and spectral norm, which change from batch to batch.)

        All gradients are computed before anything moves. If a loss or a gradient is not finite, nothing does: the
        state is then bit for bit that before the step, except for the scale of fp16 (see `bad_steps`).

        Args:
            real_A: [N, C, H, W] in [-1, 1], pictures of A; N up to `batch_size` x `accumulate`.
            real_B: [N, C, H, W] in [-1, 1], as many pictures of B.
            first_number: Number of the first picture, counted over the whole training; decides everything random.
            learning_rate: Adam's rate for this step, that of the discriminators before their own factor.
            number: Number of the step, from 0.

        Returns:
            The eight losses, detached. Those of the discriminators include the gradient penalty.
        """
        self._prepare(learning_rate)
        buffers = self._buffers()
        before = [buffer.clone() for buffer in buffers]
        try:
            losses = self._all_gradients(real_A, real_B, first_number)
            is_good = self._check(losses)
        except BaseException:
            for buffer, old in zip(buffers, before, strict=True):
                buffer.copy_(old)
            for pool in (self.pool_A, self.pool_B):
                pool.forget()
            raise
        self.is_whole = False
        self._descend(is_good)
        for pool in (self.pool_A, self.pool_B):
            pool.settle(is_good)
        for buffer, old in zip(buffers, before, strict=True):
            buffer.copy_(torch.where(is_good, buffer, old))
        self._average_generators(number + 1, is_good)
        self.is_whole = True
        return {name: losses[name] for name in LOSS_NAMES}

    def _all_gradients(self, real_A: Tensor, real_B: Tensor, first_number: int) -> LossTensors:
        real_A, real_B = self._in_order(real_A), self._in_order(real_B)
        if self._recorder is not None:
            losses = self._recorded_gradients(self._recorder, real_A, real_B, first_number)
            if losses is not None:
                return losses
            # Only now has everybody let go of what was recorded, and of what an error held.
            empty_caches(self.device)
        with self._dropout_at(first_number), winograd.workspace():
            fake_A, fake_B, losses = self._generator_gradients(real_A, real_B, first_number)
        return losses | self._discriminator_gradients(
            (real_A, self._in_order(self.pool_A.query(fake_A, first_number))),
            (real_B, self._in_order(self.pool_B.query(fake_B, first_number))),
            first_number,
        )

    def _recorded_gradients(
        self, recorder: Recorder, real_A: Tensor, real_B: Tensor, first_number: int
    ) -> LossTensors | None:
        """All gradients by doing again what has been recorded, with the discriminators beside the way back.

        Returns:
            None if it cannot be recorded: nothing has changed then, and nothing is recorded from now on.
        """

        def act(real_A: Tensor, real_B: Tensor, old_A: Tensor, old_B: Tensor, *shown: Tensor) -> list[Tensor]:
            fake_A, fake_B, losses = self._generator_gradients(real_A, real_B, first_number)
            with recorder.since_mark():
                A, B = (
                    (real, self._in_order(torch.cat([old, fake]).index_select(0, places)))
                    for real, old, fake, places in zip(
                        (real_A, real_B), (old_A, old_B), (fake_A, fake_B), shown, strict=True
                    )
                )
                losses |= self._discriminator_gradients(A, B, first_number)
            return [fake_A, fake_B, torch.stack([losses[name] for name in LOSS_NAMES])]

        new: list[list[Tensor]] = [
            [torch.empty_like(real) for real in torch.split(reals, 1)] for reals in (real_A, real_B)
        ]
        chosen = [
            _chosen(pool.choose(fakes, first_number), fakes, reals)
            for pool, fakes, reals in zip((self.pool_A, self.pool_B), new, (real_A, real_B), strict=True)
        ]
        weights = [weight for optimizer in self._optimizers for weight in optimizer.param_groups[0]["params"]]
        inputs, numbers = [real_A, real_B, *(old for old, _ in chosen)], [places for _, places in chosen]
        try:
            *fakes, losses = recorder.do(act, inputs, numbers, weights)
        except RuntimeError as error:
            # Too little memory for a recording, or a driver that does not allow it: there is the other way.
            self._recorder = None
            self._notes.append(_not_recorded_sentence(error))
            for pool in (self.pool_A, self.pool_B):
                pool.forget()
            return None
        for computed, pictures in zip(fakes, new, strict=True):
            for one, picture in zip(torch.split(computed, 1), pictures, strict=True):
                picture.copy_(one)
        return dict(zip(LOSS_NAMES, losses.unbind(), strict=True))

    def _in_order(self, pictures: Tensor) -> Tensor:
        """Pictures as networks want them in memory; which kernels run, and so the last bits, depend on it."""
        return pictures.contiguous(memory_format=features_format(self.device))

    def _generator_gradients(
        self, real_A: Tensor, real_B: Tensor, first_number: int
    ) -> tuple[Tensor, Tensor, LossTensors]:
        config, G_AB, G_BA = self.config, self._trained["G_AB"], self._trained["G_BA"]
        for network in (self.D_A, self.D_B):
            network.requires_grad_(False)
        fakes_A: list[Tensor] = []
        fakes_B: list[Tensor] = []

        def forwards(part: slice) -> list[_Forward]:
            a, b, number = real_A[part], real_B[part], first_number + part.start

            def fooling(D: nn.Module, fake: Tensor) -> Tensor:
                return fooling_loss(D(self._as_shown(fake, number)), config.gan_loss)

            def together() -> LossTensors:
                idt: tuple[Tensor, Tensor] | None = None
                if self.batched and self._has_identity and a.shape == b.shape:
                    (fake_B, idt_B), (fake_A, idt_A) = self._both(
                        lambda: in_one_call(G_AB, a, b), lambda: in_one_call(G_BA, b, a)
                    )
                    idt = idt_A, idt_B
                else:
                    fake_B, fake_A = self._both(lambda: G_AB(a), lambda: G_BA(b))
                if self._recorder is not None:
                    self._recorder.mark()
                (rec_B, fooling_B), (rec_A, fooling_A) = self._both(
                    lambda: (G_AB(fake_A), fooling(self.D_B, fake_B)), lambda: (G_BA(fake_B), fooling(self.D_A, fake_A))
                )
                fakes_A.append(fake_A.detach())
                fakes_B.append(fake_B.detach())
                return {
                    "G_AB": fooling_B,
                    "G_BA": fooling_A,
                    "cycle_A": config.lambda_A * cycle_loss(a, rec_A),
                    "cycle_B": config.lambda_B * cycle_loss(b, rec_B),
                } | self._identity_losses(a, b, idt)

            def there_and_back_A() -> LossTensors:
                fake_B = G_AB(a)
                fakes_B.append(fake_B.detach())
                cycle = config.lambda_A * cycle_loss(a, G_BA(fake_B))
                return {"G_AB": fooling(self.D_B, fake_B), "cycle_A": cycle}

            def there_and_back_B() -> LossTensors:
                fake_A = G_BA(b)
                fakes_A.append(fake_A.detach())
                cycle = config.lambda_B * cycle_loss(b, G_AB(fake_A))
                return {"G_BA": fooling(self.D_A, fake_A), "cycle_B": cycle}

            if not config.per_direction:
                return [together]
            # Last what goes through both generators: only then are their gradients averaged over ranks.
            return [lambda: self._identity_losses(a, b), there_and_back_A, there_and_back_B]

        losses = self._gradients(self.optimizer_G, ("G_AB", "G_BA"), len(real_A), forwards)
        return _joined(fakes_A), _joined(fakes_B), losses

    @property
    def _has_identity(self) -> bool:
        return self.config.lambda_identity > 0 and self.config.grey_A == self.config.grey_B

    def _identity_losses(self, real_A: Tensor, real_B: Tensor, idt: tuple[Tensor, Tensor] | None = None) -> LossTensors:
        """Both identity losses, 0 without one; `idt` is (idt_A, idt_B) where they have been computed already."""
        config, weight = self.config, self.config.lambda_identity
        if not self._has_identity:
            return {"idt_A": real_A.new_zeros(()), "idt_B": real_A.new_zeros(())}
        idt_A, idt_B = idt or (self._trained["G_BA"](real_A), self._trained["G_AB"](real_B))
        return {
            "idt_A": weight * config.lambda_A * identity_loss(real_A, idt_A),
            "idt_B": weight * config.lambda_B * identity_loss(real_B, idt_B),
        }

    def _discriminator_gradients(
        self, A: tuple[Tensor, Tensor], B: tuple[Tensor, Tensor], first_number: int
    ) -> LossTensors:
        """Each of A and B is (real, what the pool shows)."""
        kind, penalty = self.config.gan_loss, self.config.gradient_penalty
        for network in (self.D_A, self.D_B):
            network.requires_grad_(True)

        def loss_of(name: str, pictures: tuple[Tensor, Tensor], part: slice) -> Tensor:
            D = self._trained[name]
            real, fake = (self._as_shown(shown[part], first_number + part.start) for shown in pictures)
            is_one = self.batched and real.shape == fake.shape
            verdicts = in_one_call(D, real, fake) if is_one else (D(real), D(fake))
            on_real, on_fake = (
                gan_loss(verdict, real=is_real, kind=kind)
                for verdict, is_real in zip(verdicts, (True, False), strict=True)
            )
            # Halved, which slows the discriminators down against the generators (Sec. 7.1).
            loss = 0.5 * (on_real + on_fake)
            return loss + penalty * gradient_penalty(D, real) if penalty > 0 else loss

        def losses_of(part: slice) -> LossTensors:
            loss_A, loss_B = self._both(lambda: loss_of("D_A", A, part), lambda: loss_of("D_B", B, part))
            return {"D_A": loss_A, "D_B": loss_B}

        return self._gradients(self.optimizer_D, ("D_A", "D_B"), len(A[0]), lambda part: [partial(losses_of, part)])

    def _both(self, first: Callable[[], _First], second: Callable[[], _Second]) -> tuple[_First, _Second]:
        """What both give, of which neither waits for the other."""
        return (first(), second()) if self._recorder is None else self._recorder.both(first, second)

    def _as_shown(self, pictures: Tensor, first_number: int) -> Tensor:
        """Pictures as the discriminators see them."""
        return diff_augment(pictures, self.config.seed, first_number) if self.config.diff_augment else pictures

    def _gradients(
        self, optimizer: Adam, names: tuple[str, str], count: int, forwards: Callable[[slice], Sequence[_Forward]]
    ) -> LossTensors:
        """Compute the gradients of the mean over `count` pictures of the sum of the losses.

        Args:
            optimizer: That of these networks.
            names: The networks that it moves.
            count: Pictures of each side.
            forwards: What gives the losses of some of the pictures, each a mean over them; the backward pass of each
                comes before the next, so that the memory of one is enough.

        Returns:
            The means over all pictures.
        """
        optimizer.zero_grad(set_to_none=True)
        means: LossTensors = {}
        for start in range(0, count, self.config.batch_size):
            part = slice(start, min(start + self.config.batch_size, count))
            passes = forwards(part)
            for forward in passes:
                with self._averaged_over_ranks(names, now=part.stop == count and forward is passes[-1]):
                    with autocast(self.device, self.precision):
                        losses = forward()
                    if part.stop - start < count:
                        # A part counts by its pictures, so that a smaller last one counts less.
                        losses = {name: (part.stop - start) / count * loss for name, loss in losses.items()}
                    total = torch.stack(list(losses.values())).sum()
                    if total.requires_grad:  # Not without an identity loss, which is then zero.
                        self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
                for name, loss in losses.items():
                    means[name] = means[name] + loss.detach() if name in means else loss.detach()
        for weight in optimizer.param_groups[0]["params"]:
            if weight.grad is None and self.device.type == "cuda":  # A bias that a norm takes away, see `normed`.
                if weight not in self._zeros:
                    self._zeros[weight] = torch.zeros_like(weight)
                weight.grad = self._zeros[weight]
        return means

    def _check(self, losses: LossTensors) -> Tensor:
        """Whether all losses and all gradients of this step are finite, on every rank: a bool on the device, [].

        Nothing waits for the answer, by which optimizers, pools and averages move together or not at all.
        """
        scale = self.scaler.scale(torch.ones((), device=self.device))
        for optimizer in self._optimizers:
            if self.scaler.is_enabled():
                self.scaler.unscale_(optimizer)
        has_finite_losses = torch.stack([loss.detach() for loss in losses.values()]).isfinite().all()
        if self._has_ranks:
            # Gradients are the same on all ranks, losses are not.
            answer = has_finite_losses.float()
            torch.distributed.all_reduce(answer, torch.distributed.ReduceOp.MIN)
            has_finite_losses = answer > 0
        gradients = [p.grad for network in self.networks.values() for p in network.parameters() if p.grad is not None]
        is_good = has_finite_losses & all_usable(gradients)
        # The scaler begins high and falls until the gradients fit into fp16, which is as it should be.
        self.bad_steps.add(is_good, is_excused=has_finite_losses & (scale > 1))
        return is_good

    def _descend(self, is_good: Tensor) -> None:
        """Let both optimizers take a step, or neither."""
        found_inf = (~is_good).float()
        for optimizer in self._optimizers:
            if self.config.clip_gradient is not None:
                # Zeros that each step takes again are left out: a norm that is no number would make them none for good.
                clipped = [weight for weight in optimizer.param_groups[0]["params"] if weight not in self._zeros]
                nn.utils.clip_grad_norm_(clipped, self.config.clip_gradient)
            if optimizer.defaults["fused"]:
                # Its kernels leave everything as it is where this is 1: what GradScaler does, without its scale.
                optimizer.found_inf = found_inf  # type: ignore[attr-defined]
                optimizer.step()
            elif is_good:
                optimizer.step()
        self.scaler.update()

    @property
    def _optimizers(self) -> tuple[Adam, Adam]:
        return self.optimizer_G, self.optimizer_D

    def _buffers(self) -> list[Tensor]:
        """What forward passes change: the statistics of batch norms, and the vectors of spectral norms."""
        return [buffer for network in self.networks.values() for buffer in network.buffers()]

    def _average_generators(self, steps: int, is_good: Tensor) -> None:
        for averaged, network in ((self.ema_G_AB, self.G_AB), (self.ema_G_BA, self.G_BA)):
            if averaged is not None:
                average(averaged, network, decay=self.config.ema_decay, steps=steps, is_good=is_good)

    def _prepare(self, learning_rate: float) -> None:
        for optimizer, factor in ((self.optimizer_G, 1.0), (self.optimizer_D, self.config.discriminator_rate)):
            for group in optimizer.param_groups:
                group["lr"] = factor * learning_rate
        for network in self.networks.values():
            if not network.training:
                network.train()

    @contextlib.contextmanager
    def _dropout_at(self, first_number: int) -> Iterator[None]:
        """Let what dropout drops depend on the number of the first picture alone, and leave torch's own state be."""
        if not self.config.dropout:
            yield
            return
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self._seed_at(Stream.DROPOUT, first_number))
            yield

    def _seed_at(self, stream: Stream, number: int = 0) -> int:
        return int(random_at(self.config.seed, stream, number).integers(2**63, dtype=np.int64))

    def _init_networks(self, dtype: torch.dtype) -> None:
        random = torch.Generator().manual_seed(self._seed_at(Stream.WEIGHTS))
        for network in self.networks.values():
            init_weights(network, random, self.config.init, self.config.init_gain)
            if isinstance(network, AnyGenerator) and network.long_skip:
                network.start_as_identity()
            network.to(self.device, dtype).to(memory_format=features_format(self.device))

    def use_ranks(self) -> None:
        """Average all gradients over the ranks of a process group that the caller has made.

        Every rank then takes the same steps on pictures of its own: the mean of their gradients is that of one batch
        of all their pictures, if each brings as many. Pools and the statistics of a batch norm stay each rank's own.
        """
        self._has_ranks = True
        self._recorder = None
        for layers in _layers_of(*self.networks.values()):
            # DistributedDataParallel waits for the gradient of each weight.
            layers.has_bias_gradients = True
        self._trained = {name: DistributedDataParallel(network) for name, network in self.networks.items()}
        for network in self._trained.values():
            # Buffers are not sent around: doing so would overwrite them between two passes of one step. Those of a
            # spectral norm are the same everywhere anyway, since they follow from the weights. (As an argument this
            # has another name in newer versions of PyTorch.)
            network.broadcast_buffers = False  # type: ignore[assignment]

    @contextlib.contextmanager
    def _averaged_over_ranks(self, names: tuple[str, str], *, now: bool) -> Iterator[None]:
        """Forward and backward passes whose gradients are averaged over the ranks, or only summed if not yet `now`."""
        # DistributedDataParallel averages each weight's gradient when a backward call has completed it, which happens
        # once a call however often the network has run before it, the pass for a gradient penalty's slope included.
        # The discriminators, frozen while the generators step, run without it then: it would wait for their gradients.
        with contextlib.ExitStack() as stack:
            for network in (self._trained[name] for name in names):
                if isinstance(network, DistributedDataParallel) and not now:
                    stack.enter_context(network.no_sync())
            yield

    def take_notes(self) -> list[str]:
        """What the user should know since the last call: that steps take longer than they might."""
        notes, self._notes = self._notes, []
        return notes

    def is_finite(self) -> bool:
        """Whether every weight is a finite number. Waits for the device."""
        weights = [p.detach() for network in self.networks.values() for p in network.parameters()]
        return bool(torch.stack([w.isfinite().all() for w in weights]).all())

    def start_from(self, tensors: dict[str, Tensor]) -> None:
        """Begin with the networks of another training instead of random ones (fine-tuning).

        Args:
            tensors: "G_AB.*" and "G_BA.*", and "D_A.*" and "D_B.*" if there are some, of any float dtype and device.

        Raises:
            ConfigError: They are of another shape than the settings ask for.
        """
        parts = {name: _with_prefix(tensors, name) for name in NETWORK_NAMES}
        check_fit(self.networks, parts)
        for name, network in self.networks.items():
            if parts[name]:
                network.load_state_dict(parts[name])
        for averaged, generator in ((self.ema_G_AB, self.G_AB), (self.ema_G_BA, self.G_BA)):
            if averaged is not None:
                averaged.load_state_dict(generator.state_dict())

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that training has changed: tensors by name, and the scaler's few numbers."""
        tensors = {
            f"{name}.{key}": value for name, net in self._stored().items() for key, value in net.state_dict().items()
        }
        for name, optimizer in (("optimizer_G", self.optimizer_G), ("optimizer_D", self.optimizer_D)):
            for index, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}.{index}.{key}": value for key, value in moments.items()}
        for name, pool in (("pool_A", self.pool_A), ("pool_B", self.pool_B)):
            # One by one: whole pictures differ in size.
            tensors |= {f"{name}.{place}": picture for place, picture in enumerate(pool.pictures)}
        return tensors, self.scaler.state_dict()

    def load_state(self, tensors: dict[str, Tensor], scaler: dict[str, Any]) -> None:
        """Take up what `state` gave, from any device.

        Raises:
            RuntimeError: The tensors belong to networks of another shape.
            KeyError: Some are missing.
        """
        for name, network in self._stored().items():
            network.load_state_dict(_with_prefix(tensors, name))
        for name, optimizer in (("optimizer_G", self.optimizer_G), ("optimizer_D", self.optimizer_D)):
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _with_prefix(tensors, name).items():
                index, _, moment = key.partition(".")
                state.setdefault(int(index), {})[moment] = self._like_its_weight(optimizer, int(index), value)
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        for name, pool in (("pool_A", self.pool_A), ("pool_B", self.pool_B)):
            pool.pictures = self._stored_pictures(tensors, name)
        if scaler and self.scaler.is_enabled():
            self.scaler.load_state_dict(scaler)
        self.is_whole = True

    @staticmethod
    def _like_its_weight(optimizer: Adam, index: int, moment: Tensor) -> Tensor:
        """A moment as its weight lies in memory, as the fused kernels need it."""
        weight = optimizer.param_groups[0]["params"][index]
        return torch.empty_like(weight, device=moment.device).copy_(moment) if moment.shape == weight.shape else moment

    def _stored(self) -> dict[str, nn.Module]:
        """All networks by name, those averaged too where there are some."""
        averaged = {"ema_G_AB": self.ema_G_AB, "ema_G_BA": self.ema_G_BA}
        return self.networks | {name: network for name, network in averaged.items() if network is not None}

    def _stored_pictures(self, tensors: dict[str, Tensor], name: str) -> list[Tensor]:
        # Checkpoints of the first release hold each pool in one tensor.
        together = [] if name not in tensors else list(torch.split(tensors[name], 1))
        singly = {int(place): picture for place, picture in _with_prefix(tensors, name).items()}
        # Copies: views of one tensor would keep all of it alive.
        return [p.to(self.device, copy=True) for p in (*together, *(singly[place] for place in sorted(singly)))]


def can_batch(config: TrainConfig) -> bool:
    """Whether pictures that go through a network together come out as they would one by one, in no more memory.

    Batch norm looks at all of them, spectral norm and dropout change from call to call; and what saves memory holds on
    to one batch at a time.
    """
    changes = config.norm == "batch" or config.dropout or config.spectral_norm
    return not (changes or config.per_direction or config.recompute)


def _chosen(shown: list[Tensor], new: list[Tensor], fill: Tensor) -> tuple[Tensor, list[int]]:
    """Remembered pictures, [N, C, H, W], and at which place of these and the new ones each of those shown is.

    Args:
        shown: N of those remembered and the new ones.
        new: N pictures.
        fill: [N, C, H, W], stands where none of those remembered is shown.
    """
    places = [next((len(new) + i for i, fake in enumerate(new) if fake is picture), None) for picture in shown]
    pairs = zip(shown, places, torch.split(fill, 1), strict=True)
    old = torch.cat([picture if place is None else other for picture, place, other in pairs])
    return old, [i if place is None else place for i, place in enumerate(places)]


def _joined(batches: list[Tensor]) -> Tensor:
    """One batch of several; a single one as it is, so that nothing waits for a copy of it."""
    return batches[0] if len(batches) == 1 else torch.cat(batches)


def _layers_of(*networks: nn.Module) -> list[Layers]:
    return [part for network in networks for part in network.modules() if isinstance(part, Layers)]


def can_record(config: TrainConfig, precision: ChosenPrecision) -> bool:
    """Whether the gradients of a step can be recorded and done again (see `Recorder`).

    Nothing in them may then be drawn at random, depend on the number of the step or be kept from one to the next, and
    pictures must not differ in size; what saves memory has none to spare for a recording.
    """
    is_drawn = config.dropout or config.diff_augment
    is_kept = config.norm == "batch" or config.spectral_norm or precision == "fp16"
    is_slow = config.gradient_penalty > 0 or config.accumulate > 1 or config.preprocess in ("scale_width", "none")
    return not (is_drawn or is_kept or is_slow or config.per_direction or config.recompute)


def _not_recorded_sentence(error: RuntimeError) -> str:
    reason = (str(error).splitlines() or [""])[0].rstrip(".")
    if is_out_of_memory(error):
        reason = "there was too little memory"
    return (
        f"The steps of this training could not be recorded for the GPU ({reason}), so they take longer; nothing else "
        "changes. Stopped and resumed, it tries again."
    )


def in_one_call(network: nn.Module, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """What a network makes of two batches of the same shape, [B, C, H, W] each, that go through it as one."""
    both = network(torch.cat([first, second]))
    return both[: len(first)], both[len(first) :]


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
