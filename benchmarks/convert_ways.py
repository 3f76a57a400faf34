"""One small picture through a generator in bf16 on a processor, in the ways that were tried, in turns.

    python benchmarks/convert_ways.py [--ways ours prepacked traced compiled frozen openvino] [--rounds 20] [--size 256]

Prints for each way the seconds that it takes to prepare (compiling, tracing and the first two pictures), the median of
those of a picture and of the processor's own, which others who use the machine disturb less, how many times less of
these it takes than ours, and by how much its results differ from ours and from fp32 on [-1, 1], on average. "compiled"
and "frozen" need a C++ compiler. The table of docs/decisions/0024.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The engine stands before torch, whose threads it tells how to wait.
# isort: off
from engine.conversion.model_file import ModelInfo
from engine.conversion.openvino_network import OpenvinoNetwork
from engine.device import all_threads, autocast, hardware_name
from engine.model.architecture import Architecture
from engine.model.generator import AnyGenerator, init_weights, make_generator
import torch
from torch import Tensor, nn
# isort: on

CPU = torch.device("cpu")

Way = Callable[[Tensor], Tensor]


def ours(generator: AnyGenerator, example: Tensor) -> Way:
    """As `Translator` has it: weights in bf16 made once, in the order of channels last."""

    def translate(picture: Tensor) -> Tensor:
        with autocast(CPU, "bf16"):
            return generator(picture.contiguous(memory_format=torch.channels_last))

    return translate


def prepacked(generator: AnyGenerator, example: Tensor) -> Way:
    """Weights of the convolutions lie ready for oneDNN's kernels, as torch's compiler has them."""
    heights = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        heights[layer] = list(inputs[0].shape)

    hooks = [layer.register_forward_pre_hook(note) for layer in generator.modules() if type(layer) is nn.Conv2d]
    ours(generator, example)(example)
    for hook in hooks:
        hook.remove()
    for layer, shape in heights.items():
        places = list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups
        weight = torch.ops.mkldnn._reorder_convolution_weight(layer.weight, *places, shape)

        def convolve(x: Tensor, weight: Tensor = weight, layer: nn.Conv2d = layer, places: tuple = places) -> Tensor:
            # Autocast knows nothing of this function.
            x = x.to(torch.bfloat16)
            return torch.ops.mkldnn._convolution_pointwise(x, weight, layer.bias, *places, "none", [], "")

        layer.forward = convolve
    return ours(generator, example)


def traced(generator: AnyGenerator, example: Tensor) -> Way:
    """TorchScript, frozen and optimised for inference; autocast is in the recording."""
    module = torch.jit.trace(nn.Sequential(_Autocast(generator)).eval(), example, check_trace=False)
    return torch.jit.optimize_for_inference(torch.jit.freeze(module))


def compiled(generator: AnyGenerator, example: Tensor) -> Way:
    """torch.compile."""
    return torch.compile(ours(generator, example))


def frozen(generator: AnyGenerator, example: Tensor) -> Way:
    """torch.compile, which may take the weights for constants and lay them out as it likes."""
    import torch._inductor.config as config

    config.freezing = True
    return torch.compile(ours(generator, example))


def openvino(generator: AnyGenerator, example: Tensor) -> Way:
    """The extra."""
    architecture = Architecture(blocks=len(generator._blocks))
    info = ModelInfo(Path("m.safetensors"), "A", "B", 256, architecture, "reference", 1, "2026-01-01")
    network = OpenvinoNetwork(generator.float(), info, "a2b", torch.get_num_threads())
    return lambda picture: torch.tanh(network.change(picture, lambda: None))


class _Autocast(nn.Module):
    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, picture: Tensor) -> Tensor:
        with autocast(CPU, "bf16"):
            return self.generator(picture.contiguous(memory_format=torch.channels_last))


WAYS: dict[str, Callable[[AnyGenerator, Tensor], Way]] = {
    way.__name__: way for way in (ours, prepacked, traced, compiled, frozen, openvino)
}


@torch.inference_mode()
def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--blocks", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(all_threads())
    folder = tempfile.TemporaryDirectory()  # Nothing is taken from another run's compiling unless that is wished.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", folder.name)
    picture = torch.rand((1, 3, options.size, options.size), generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact = make(options.blocks, torch.float32)(picture)
    ready: dict[str, Way] = {}
    prepared: dict[str, float] = {}
    for name in ("ours", *(way for way in options.ways if way != "ours")):
        generator = make(options.blocks, torch.bfloat16)
        started = time.perf_counter()
        try:
            way = WAYS[name](generator, picture)
            for _ in range(2):  # TorchScript optimises at the second.
                way(picture)
        except Exception as error:
            print(f"{name}: not measured: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        ready[name], prepared[name] = way, time.perf_counter() - started
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ready}
    for _ in range(options.rounds):
        for name, way in ready.items():
            started = time.perf_counter(), time.process_time()
            way(picture)
            spent[name].append((time.perf_counter() - started[0], time.process_time() - started[1]))
    print(f"{hardware_name(CPU)}, {torch.get_num_threads()} threads, {options.size} px\n")
    print("| way | to prepare, s | a picture, s | of the processor, s | ratio of these | from ours | from fp32 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    result = ready["ours"](picture)
    for name, pairs in spent.items():
        seconds, cpu = (statistics.median(values) for values in zip(*pairs, strict=True))
        ratio = statistics.median(pair[1] for pair in spent["ours"]) / cpu
        mine = ready[name](picture)
        errors = [(mine - other).abs().mean().item() for other in (result, exact)]
        numbers = f"{prepared[name]:.1f} | {seconds:.3f} | {cpu:.3f} | {ratio:.2f} | {errors[0]:.5f} | {errors[1]:.5f}"
        print(f"| {name} | {numbers} |")
    return 0


def make(blocks: int, dtype: torch.dtype) -> AnyGenerator:
    """A generator with random weights, its convolutions in this precision and in the order of channels last."""
    generator = make_generator(Architecture(blocks=blocks), "a2b").eval().requires_grad_(False)
    init_weights(generator, torch.Generator().manual_seed(0), "normal", 0.02)
    for layer in generator.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.to(dtype, memory_format=torch.channels_last)
    return generator


if __name__ == "__main__":
    sys.exit(main())
