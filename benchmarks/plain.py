"""The plain implementation that every ratio in docs/benchmarks.md is measured against. Nothing of the engine's.

    python benchmarks/plain.py draw DIR [--blocks 9] [--channels 64] [--seed 0]
    python benchmarks/plain.py train FOLDER_A FOLDER_B --to DIR [--steps 10] [--size 256] [--load-size 286] ...
    python benchmarks/plain.py convert NETWORK.pth SOURCE... --to DIR [--device cpu]

It does what the authors' PyTorch implementation does, as somebody would run it who has installed PyTorch and nothing
else: 32 bits, torch's own layers, threads and memory layout, one call for each picture and network, one step of Adam
for both generators and one for both discriminators, pictures decoded, converted and encoded one after the other, PNG as
Pillow writes it by default. Nothing in it is slower than need be in that style, and on a GPU cudnn picks its fastest
kernels, as there. It differs from the authors' program in three things that cost it no time: the names are ours (`G_AB`
is their `G_A`, `D_B` their `D_A`), levels are rounded where they are cut off there, so that pictures can be compared,
and pictures are read by the process that trains, where that program has others for it; how long that takes is told
apart from the steps.

`draw` writes the four networks with random weights, `train` trains them and writes them (`latest_net_G_A.pth` and so
on, which `cyclegan import` reads), `convert` writes SOURCE's pictures as PNG. The last line printed is JSON: the
`seconds` of each step, the first of which prepares more than the others, or of each picture, and the most memory held.

With `--turns` the same thing is done again for each line on standard input, some steps or a conversion, so that two
programs can be measured in turns: `{"ready": true}`, then for each `{"seconds": s}`, then at the end the line above.
The pictures of these steps are read before the clock starts, and a GPU is waited for after the last one only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

KINDS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
FILES = {"G_AB": "latest_net_G_A.pth", "G_BA": "latest_net_G_B.pth", "D_A": "latest_net_D_B.pth"}
FILES |= {"D_B": "latest_net_D_A.pth"}


class ResidualBlock(nn.Module):
    """x + F(x), [B, C, H, W] -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add what the block makes of x."""
        return x + self.conv_block(x)


class Generator(nn.Module):
    """[B, 3, H, W] -> [B, 3, H, W], both in [-1, 1]; H and W are multiples of 4."""

    def __init__(self, blocks: int = 9, channels: int = 64) -> None:
        super().__init__()
        c = channels
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, c, 7), nn.InstanceNorm2d(c), nn.ReLU(True)]
        for width in (c, 2 * c):
            halve = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
            layers += [halve, nn.InstanceNorm2d(2 * width), nn.ReLU(True)]
        layers += [ResidualBlock(4 * c) for _ in range(blocks)]
        for width in (4 * c, 2 * c):
            double = nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1)
            layers += [double, nn.InstanceNorm2d(width // 2), nn.ReLU(True)]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(c, 3, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Translate a batch."""
        y: Tensor = self.model(x)
        return y


class Discriminator(nn.Module):
    """[B, 3, H, W] in [-1, 1] -> [B, 1, h, w], a verdict on each patch of 70x70 pixels."""

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2, True)]
        for width, stride in ((channels, 2), (2 * channels, 2), (4 * channels, 1)):
            conv = nn.Conv2d(width, 2 * width, 4, stride=stride, padding=1)
            layers += [conv, nn.InstanceNorm2d(2 * width), nn.LeakyReLU(0.2, True)]
        self.model = nn.Sequential(*layers, nn.Conv2d(8 * channels, 1, 4, stride=1, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Near 1 for what looks real, near 0 for what looks generated."""
        y: Tensor = self.model(x)
        return y


class ImagePool:
    """Shows a discriminator old generated pictures among the new ones, one by one."""

    def __init__(self, size: int, choose: Callable[[], int | None] | None = None) -> None:
        """Make an empty pool.

        Args:
            size: Pictures remembered.
            choose: Once it is full, the place whose picture is shown and replaced, or None to show the new one;
                by default one or the other with probability 1/2.
        """
        self._size = size
        self._choose = choose or (lambda: random.randrange(size) if random.random() < 0.5 else None)
        self.pictures: list[Tensor] = []

    def query(self, fakes: Tensor) -> Tensor:
        """[B, 3, H, W], detached -> the same shape."""
        if self._size == 0:
            return fakes
        shown = []
        for fake in fakes:
            fake = fake[None]
            if len(self.pictures) < self._size:
                self.pictures.append(fake)
            elif (place := self._choose()) is not None:
                fake, self.pictures[place] = self.pictures[place].clone(), fake
            shown.append(fake)
        return torch.cat(shown)


class CycleGAN:
    """Four networks and their training step (Eq. 3, least squares as in Sec. 4, identity loss as in Sec. 5.2)."""

    def __init__(
        self,
        *,
        blocks: int = 9,
        channels: int = 64,
        pool_size: int = 50,
        cycle: float = 10.0,
        identity: float = 0.5,
        rate: float = 2e-4,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.cycle, self.identity = cycle, identity
        self.G_AB, self.G_BA = Generator(blocks, channels), Generator(blocks, channels)
        self.D_A, self.D_B = Discriminator(channels), Discriminator(channels)
        for network in self.networks.values():
            network.apply(draw).to(device, dtype)
        self.pool_A, self.pool_B = ImagePool(pool_size), ImagePool(pool_size)
        self.squares, self.absolute = nn.MSELoss(), nn.L1Loss()
        generators = itertools.chain(self.G_AB.parameters(), self.G_BA.parameters())
        discriminators = itertools.chain(self.D_A.parameters(), self.D_B.parameters())
        self.optimizer_G = torch.optim.Adam(generators, lr=rate, betas=(0.5, 0.999))
        self.optimizer_D = torch.optim.Adam(discriminators, lr=rate, betas=(0.5, 0.999))

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The four by name."""
        return {name: getattr(self, name) for name in FILES}

    def step(self, real_A: Tensor, real_B: Tensor) -> dict[str, Tensor]:
        """Train on a pair of batches, [B, 3, H, W] in [-1, 1]; returns the eight losses."""
        self.fake_B = self.G_AB(real_A)
        rec_A = self.G_BA(self.fake_B)
        self.fake_A = self.G_BA(real_B)
        rec_B = self.G_AB(self.fake_A)

        freeze(True, self.D_A, self.D_B)
        self.optimizer_G.zero_grad()
        losses = {"idt_A": real_A.new_zeros(()), "idt_B": real_B.new_zeros(())}
        if self.identity > 0:
            losses["idt_A"] = self.absolute(self.G_BA(real_A), real_A) * self.cycle * self.identity
            losses["idt_B"] = self.absolute(self.G_AB(real_B), real_B) * self.cycle * self.identity
        losses["G_AB"] = self.judged(self.D_B(self.fake_B), 1.0)
        losses["G_BA"] = self.judged(self.D_A(self.fake_A), 1.0)
        losses["cycle_A"] = self.absolute(rec_A, real_A) * self.cycle
        losses["cycle_B"] = self.absolute(rec_B, real_B) * self.cycle
        sum(losses.values()).backward()
        self.optimizer_G.step()

        freeze(False, self.D_A, self.D_B)
        self.optimizer_D.zero_grad()
        shown_A, shown_B = self.pool_A.query(self.fake_A.detach()), self.pool_B.query(self.fake_B.detach())
        for name, D, real, fake in (("D_A", self.D_A, real_A, shown_A), ("D_B", self.D_B, real_B, shown_B)):
            losses[name] = (self.judged(D(real), 1.0) + self.judged(D(fake), 0.0)) * 0.5
            losses[name].backward()
        self.optimizer_D.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def judged(self, verdict: Tensor, label: float) -> Tensor:
        """The least squares between verdicts and a label."""
        return self.squares(verdict, torch.tensor(label, dtype=verdict.dtype, device=verdict.device).expand_as(verdict))

    def save(self, folder: Path) -> None:
        """Write the four networks as the authors' program does."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, network in self.networks.items():
            torch.save({key: value.cpu() for key, value in network.state_dict().items()}, folder / FILES[name])


def draw(module: nn.Module) -> None:
    """First weights: N(0, 0.02), biases 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        nn.init.zeros_(module.bias)


def freeze(frozen: bool, *networks: nn.Module) -> None:
    """Whether networks compute gradients of their own weights."""
    for network in networks:
        network.requires_grad_(not frozen)


def files_in(*sources: Path) -> list[Path]:
    """The pictures in folders and below, and files as they are."""
    found: list[Path] = []
    for source in sources:
        below = source.rglob("*") if source.is_dir() else [source]
        found += sorted(path for path in below if path.suffix.lower() in KINDS)
    return found


def to_tensor(picture: Image.Image) -> Tensor:
    """RGB -> [1, 3, H, W] in [-1, 1]."""
    levels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].contiguous()
    return levels.float().div(255).sub(0.5).div(0.5)


def to_picture(tensor: Tensor) -> Image.Image:
    """[1, 3, H, W] in [-1, 1] -> RGB."""
    levels = tensor[0].cpu().float().numpy().transpose(1, 2, 0)
    return Image.fromarray(((levels + 1) * 127.5 + 0.5).astype(np.uint8))


def training_picture(path: Path, size: int, load_size: int) -> Tensor:
    """Bicubic to `load_size` whatever the aspect, a random crop, mirrored half of the time: [1, 3, size, size]."""
    with Image.open(path) as file:
        picture = file.convert("RGB").resize((load_size, load_size), Image.Resampling.BICUBIC)
    left, top = random.randint(0, load_size - size), random.randint(0, load_size - size)
    picture = picture.crop((left, top, left + size, top + size))
    if random.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return to_tensor(picture)


def translate(generator: nn.Module, source: Path, result: Path, device: torch.device) -> None:
    """One picture: read, resized to multiples of 4 if it has other sides, translated, written as PNG."""
    with Image.open(source) as file:
        picture = file.convert("RGB")
    width, height = (round(side / 4) * 4 for side in picture.size)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    with torch.no_grad():
        translated = generator(to_tensor(picture).to(device))
    to_picture(translated).save(result)


def read_generator(path: Path, device: torch.device) -> Generator:
    """A generator with the weights of a file, whose keys tell its size."""
    weights = torch.load(path, map_location=device, weights_only=True)
    blocks = sum(key.endswith("conv_block.1.weight") for key in weights)
    generator = Generator(blocks, len(weights["model.1.weight"]))
    generator.load_state_dict(weights)
    return generator.to(device)


def peak_bytes(device: torch.device) -> int:
    """The most memory held at once: of the GPU, else of this process (0 where the system does not tell)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def seconds_of(act: Callable[[], object], device: torch.device) -> float:
    """How long something takes, the device's work included."""
    started = time.perf_counter()
    act()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def repeated(times: int, turns: bool) -> Iterator[None]:
    """So many times, or for as long as lines come in."""
    if not turns:
        yield from itertools.repeat(None, times)
        return
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        yield


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Train, and write the networks."""
    device = torch.device(options.device)
    random.seed(options.seed)
    torch.manual_seed(options.seed)
    model = CycleGAN(
        blocks=options.blocks,
        channels=options.channels,
        identity=options.identity,
        rate=options.rate,
        pool_size=options.pool_size,
        device=device,
    )
    files_A, files_B = files_in(options.folder_A), files_in(options.folder_B)
    order: list[Path] = []
    seconds: list[float] = []
    waiting: list[float] = []

    def read() -> tuple[Tensor, Tensor]:
        nonlocal order
        started = time.perf_counter()
        pairs = []
        for _ in range(options.batch):
            # A in an order shuffled anew each time round, B drawn.
            order = order or random.sample(files_A, len(files_A))
            pairs.append((order.pop(), random.choice(files_B)))
        real_A, real_B = (
            torch.cat([training_picture(path, options.size, options.load_size) for path in side]).to(device)
            for side in zip(*pairs, strict=True)
        )
        waiting.append(time.perf_counter() - started)
        return real_A, real_B

    def steps(count: int) -> None:
        batches = [read() for _ in range(count)]
        seconds.append(seconds_of(lambda: [model.step(*batch) for batch in batches], device) / count)

    if options.turns:
        steps(options.a_turn)
    for _ in repeated(options.steps, options.turns):
        steps(options.a_turn if options.turns else 1)
        if options.turns:
            print(json.dumps({"seconds": seconds[-1]}), flush=True)
    if options.to is not None:
        model.save(options.to)
    return {"seconds": seconds, "waiting_seconds": waiting, "peak_bytes": peak_bytes(device)}


def convert(options: argparse.Namespace) -> dict[str, Any]:
    """Translate pictures, and write them."""
    device = torch.device(options.device)
    started = time.perf_counter()
    generator = read_generator(options.network, device)
    files = files_in(*options.sources)
    options.to.mkdir(parents=True, exist_ok=True)
    seconds: list[float] = []

    def all_of_them() -> None:
        for path in files:
            result = options.to / f"{path.stem}.png"
            seconds.append(seconds_of(lambda: translate(generator, path, result, device), device))  # noqa: B023

    if options.turns:
        all_of_them()
    for _ in repeated(1, options.turns):
        taken = seconds_of(all_of_them, device)
        if options.turns:
            print(json.dumps({"seconds": taken}), flush=True)
    whole = time.perf_counter() - started
    return {"seconds": seconds, "whole_seconds": whole, "peak_bytes": peak_bytes(device)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked for, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    parsers = {name: commands.add_parser(name) for name in ("draw", "train", "convert")}
    parsers["draw"].add_argument("to", type=Path, metavar="DIR", help="where the networks are written")
    parsers["train"].add_argument("folder_A", type=Path, metavar="FOLDER_A")
    parsers["train"].add_argument("folder_B", type=Path, metavar="FOLDER_B")
    parsers["train"].add_argument("--to", type=Path, metavar="DIR", help="where the networks are written (nowhere)")
    parsers["train"].add_argument("--steps", type=int, default=10)
    parsers["train"].add_argument("--size", type=int, default=256, help="side of the crops")
    parsers["train"].add_argument("--load-size", type=int, default=286, help="side to which pictures are resized")
    parsers["train"].add_argument("--batch", type=int, default=1)
    parsers["train"].add_argument("--identity", type=float, default=0.5, help="weight, of that of the cycle")
    parsers["train"].add_argument("--rate", type=float, default=2e-4)
    parsers["train"].add_argument("--pool-size", type=int, default=50)
    parsers["train"].add_argument("--a-turn", type=int, default=1, help="steps of each turn")
    for name in ("draw", "train"):
        parsers[name].add_argument("--blocks", type=int, default=9)
        parsers[name].add_argument("--channels", type=int, default=64)
        parsers[name].add_argument("--seed", type=int, default=0)
    parsers["convert"].add_argument("network", type=Path, metavar="NETWORK.pth")
    parsers["convert"].add_argument("sources", type=Path, nargs="+", metavar="SOURCE", help="a picture or a folder")
    parsers["convert"].add_argument("--to", type=Path, required=True, metavar="DIR", help="folder for the results")
    for name in ("train", "convert"):
        parsers[name].add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
        parsers[name].add_argument("--turns", action="store_true", help="once more for each line on standard input")
    options = parser.parse_args(arguments)
    torch.backends.cudnn.benchmark = True
    if options.command == "draw":
        torch.manual_seed(options.seed)
        CycleGAN(blocks=options.blocks, channels=options.channels).save(options.to)
        return 0
    print(json.dumps(train(options) if options.command == "train" else convert(options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
