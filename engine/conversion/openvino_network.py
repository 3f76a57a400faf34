"""A generator on a processor by OpenVINO, which translates small pictures faster than PyTorch does.

Optional: `pip install "cyclegan-desktop[openvino]"`. It multiplies in bf16 and takes the statistics of norms in fp32,
as our own layers do, so its results are as far from those of fp32 as theirs: see `docs/decisions/0021`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from engine.config import Direction, Engine, Precision
from engine.conversion.model_file import ModelInfo
from engine.conversion.onnx_file import onnx_bytes
from engine.device import choose_precision
from engine.errors import ConfigError, EngineError
from engine.model.generator import AnyGenerator

# Kernels are made for each size of pictures and kept for the next one of it. By default there are up to 5,000 of them;
# so many are those of some twenty sizes, and keep the memory flat however many sizes there are.
_MOST_KERNELS = 200

_POLL_MILLISECONDS = 50


class OpenvinoError(EngineError):
    """OpenVINO is there but cannot be used, or has failed."""


def openvino_version() -> str:
    """The version that is installed, such as "2026.4.1"; "" for none. Imports nothing of it."""
    if importlib.util.find_spec("openvino") is None:
        return ""
    try:
        return version("openvino")
    except PackageNotFoundError:
        return "?"


def import_openvino() -> Any:
    """The package, without what it tells its makers.

    Merely imported it would send an event to Google Analytics and write the number that it gives this person into
    their home, unless they have run its `opt_in_out`. It does neither where `openvino_telemetry` cannot be imported.

    Raises:
        ImportError: It is not there, or lacks its libraries.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def load_openvino(
    generator: AnyGenerator,
    info: ModelInfo,
    *,
    direction: Direction,
    device: torch.device,
    precision: Precision,
    engine: Engine = "auto",
) -> OpenvinoNetwork | None:
    """The generator by OpenVINO, if that is wished, installed and faster; None if PyTorch is to do it.

    It brings little in fp32. U-Nets are left out because the bf16 kernels that both programs have from oneDNN are wrong
    for some of their layers: see `engine.device.choose_precision`.

    Args:
        generator: As `OpenvinoNetwork` takes it; with as many threads as torch has now.
        info: Its story.
        direction: Which of the model's generators it is.
        device: Where it is.
        precision: As asked for.
        engine: As in `ConvertJob`.

    Raises:
        ConfigError: "openvino" is asked for where it cannot be had (field "engine").
        OpenvinoError: It is installed but cannot be used.
    """
    if engine == "pytorch":
        return None
    kind = info.architecture.generator
    is_faster = device.type == "cpu" and kind == "resnet" and choose_precision(precision, device, kind) == "bf16"
    if is_faster and openvino_version():
        return OpenvinoNetwork(generator, info, direction, torch.get_num_threads())
    if engine == "openvino":
        remedy = "Choose another engine."
        if is_faster:
            extra = 'pip install "cyclegan-desktop[openvino]"'
            raise ConfigError("engine", f"OpenVINO is not installed ({extra}). {remedy}")
        raise ConfigError("engine", f"OpenVINO converts on a processor, in bf16, and not with U-Nets. {remedy}")
    return None


class OpenvinoNetwork:
    """The layers of a generator, compiled by OpenVINO for pictures of any size.

    Attributes:
        version: Of OpenVINO.

    Args:
        generator: In eval mode and fp32, on the CPU.
        info: Its story.
        direction: Which of the model's generators it is.
        threads: Most cores that it may use.

    Raises:
        OpenvinoError: OpenVINO cannot be loaded, or cannot compile the network.
    """

    def __init__(self, generator: AnyGenerator, info: ModelInfo, direction: Direction, threads: int) -> None:
        channels = [info.architecture.channels_of("A"), info.architecture.channels_of("B")]
        in_channels, out_channels = channels if direction == "a2b" else channels[::-1]
        self.version = openvino_version()
        try:
            content = onnx_bytes(
                generator, in_channels=in_channels, out_channels=out_channels, metadata={}, change_only=True
            )
            # Not in this thread, which it would give a stack for signals that it unmaps later, whoever uses it then: at
            # the next Ctrl-C the process crashed, or wrote into what had come to lie there.
            with ThreadPoolExecutor(1, "openvino") as thread:
                self._request: Any = thread.submit(_compiled, content, threads).result()
        # It raises RuntimeError for everything, ImportError without its libraries; the graph needs the package onnx.
        except Exception as error:
            raise OpenvinoError(
                f"OpenVINO {self.version} is installed but cannot be used ({_last_line(error).rstrip('.')})."
            ) from error

    def change(self, picture: Tensor, tick: Callable[[], None]) -> Tensor:
        """What the generator's `change` makes of a picture: [1, C, H, W] in [-1, 1] -> [1, D, H, W], both fp32.

        Args:
            picture: On the CPU, contiguous; H and W are multiples of the architecture's `multiple`, at least 8.
            tick: Called before and now and then; what it raises ends the work.

        Raises:
            OpenvinoError: It has failed.
            MemoryError: The memory ran out.
        """
        request = self._request
        tick()
        try:
            request.start_async([picture.numpy()])
            while not request.wait_for(_POLL_MILLISECONDS):
                tick()
            # Its own memory, which the next picture writes over.
            return torch.from_numpy(request.get_output_tensor(0).data.copy())
        except RuntimeError as error:
            if "alloc" in str(error):
                raise MemoryError from error
            raise OpenvinoError(_last_line(error)) from error
        except BaseException:
            # To its end, which is less than a second away.
            with contextlib.suppress(RuntimeError):
                request.wait()
            raise


def _compiled(content: bytes, threads: int) -> Any:
    """What computes an ONNX network, with so many cores at most."""
    openvino = import_openvino()
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(model=content, weights=b""),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            # A thread that may not leave its core waits there for whoever reads and writes pictures on it.
            "ENABLE_CPU_PINNING": False,
            "CPU_RUNTIME_CACHE_CAPACITY": _MOST_KERNELS,
        },
    )
    return compiled.create_infer_request()


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
