"""Which device, which precision, how many threads, how much memory: the only file that asks the machine."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from engine.config import Precision
from engine.errors import ConfigError
from engine.model.architecture import GeneratorKind
from engine.model.recorded import held_bytes
from engine.ranks import local_rank_and_count, rank_and_count

ChosenPrecision: TypeAlias = Literal["fp32", "bf16", "fp16"]

DTYPES: dict[ChosenPrecision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""What convolutions compute with."""

_MOST_READERS = 8
_BYTES_OF_READER = 1_000_000_000

_OUT_OF_MEMORY = ("out of memory", "not enough memory", "allocate memory", "bad_alloc")


def available_devices() -> list[tuple[str, str]]:
    """Every device that can train, the best first, each as (value for `--device`, words for a person)."""
    gpus = gpus_together()
    found = [("all", f"All {gpus} GPUs")] if gpus > 1 else []
    found += [(f"cuda:{i}", torch.cuda.get_device_name(i)) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append(("mps", "Apple GPU"))
    return [*found, ("cpu", "CPU")]


def gpus_together() -> int:
    """How many GPUs can train one model together: all of them, or 1 where they cannot, or 0."""
    count = torch.cuda.device_count()
    # Each GPU has a process of its own, started with Python's interpreter: a packaged app is none. Windows has no NCCL.
    together = not hasattr(sys, "frozen") and torch.distributed.is_available() and torch.distributed.is_nccl_available()
    return count if together else min(count, 1)


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" takes CUDA, then MPS, then the CPU.

    Of several processes that work together each takes the GPU of its own number, unless the name is "cpu". "all" is
    such a process's GPU; in a process of its own it is the same as "auto".

    Raises:
        ConfigError: This machine has no such device.
    """
    if rank_and_count()[1] > 1 and name != "cpu":
        return _device_of_rank(name)
    if name in ("auto", "all"):
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name.startswith("cuda"):
        count = torch.cuda.device_count()
        index = int(name[5:] or 0)
        if count == 0:
            raise ConfigError("device", "This machine has no CUDA GPU that PyTorch can use; choose auto or cpu.")
        if index >= count:
            raise ConfigError("device", f"There is no {name}: the last GPU here is cuda:{count - 1}.")
        return torch.device("cuda", index)
    if name == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device", "This machine has no Apple GPU that PyTorch can use; choose auto or cpu.")
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """The device in words, such as "NVIDIA H200" or "CPU, 2 threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"


def hardware_name(device: torch.device) -> str:
    """What must stay the same for a resumed training to be bit-exact."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor_name()
    return f"{device.type}: {name}, torch {torch.__version__}"


def choose_precision(
    precision: Precision, device: torch.device, generator: GeneratorKind = "resnet"
) -> ChosenPrecision:
    """The precision asked for, or for "auto" bf16 where this device is faster with it and gets it right.

    Only processors with bf16 units gain from it. It is a rule and not a measurement: a busy moment would choose
    otherwise, and a training that is resumed or a conversion that goes on would mix both. U-Nets take fp32 there: the
    bf16 kernels of oneDNN give other numbers at each call, or none, for 4x4 convolutions of stride 2 that end 1 pixel
    wide, as those of a U-Net do for narrow pictures (`python benchmarks/narrow_bf16.py`).
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu" and generator != "unet" and _has_bf16_units():
        return "bf16"
    return "fp32"


def lower_precision(device: torch.device, generator: GeneratorKind = "resnet") -> ChosenPrecision | None:
    """A precision of 16 bits that this device gets right without becoming much slower; None where it has none."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if choose_precision("auto", device, generator) == "bf16" else None


def compute_threads() -> int:
    """Threads of the networks on a CPU by rule: one fewer than the cores this process may use, at least 1.

    One core is left to the window and to the threads that read and write pictures. Without it every layer waits for
    the thread that they interrupt: see `docs/decisions/0004`. A training measures whether all cores are clearly faster
    (`docs/decisions/0015`) and stores the answer, because another number of threads rounds sums in another order.
    """
    return max(1, all_threads() - 1)


def all_threads() -> int:
    """As many threads as cores: for conversions, which wait for nobody else; see `docs/decisions/0016` and `0017`."""
    return min(allowed_cores(), _DEFAULT_THREADS)


def use_threads(count: int) -> None:
    """Let torch compute with so many threads in this thread, whatever others set for themselves meanwhile."""
    # A thread whose first word to torch is a number of threads forgets it: at its first operation it takes over what
    # another one has set last. One that has asked before keeps its own.
    torch.get_num_threads()
    torch.set_num_threads(count)


def reading_threads() -> int:
    """Threads that read the pictures of a training: as many as there are cores for each process of it, at most 8.

    All of them are at work only while the training waits for pictures, when the cores have nothing else to do. Each may
    hold a large picture in several copies, so there is one for each gigabyte of free memory at most.
    """
    processes = local_rank_and_count()[1]
    memory = available_memory(torch.device("cpu")) // processes
    return max(1, min(allowed_cores() // processes, _MOST_READERS, memory // _BYTES_OF_READER))


def threads_to_try() -> tuple[int, ...]:
    """Numbers of threads among which a training's measurement may choose: that of the rule first, then all cores."""
    return tuple(dict.fromkeys((compute_threads(), all_threads())))


def autocast(device: torch.device, precision: ChosenPrecision) -> AbstractContextManager[object]:
    """The context in which networks run at `precision`; losses and the statistics of norms widen by themselves."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, DTYPES[precision])


def available_memory(device: torch.device) -> int:
    """Bytes that can be taken on this device now; a limit set on this process's group counts."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + kept - held_bytes(device))
    if sys.platform == "win32":
        return _windows_available_memory()
    if sys.platform == "darwin":
        # macOS does not tell what it could free; half of the machine is what it lets one process have in practice.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return _linux_available_memory()


def resident_memory() -> int:
    """Bytes of memory that this process holds now; where the system does not tell, the most it has held."""
    if sys.platform == "win32":
        return _windows_memory_of_process()[0]
    if sys.platform == "darwin":
        return peak_resident_memory()
    return _linux_memory_of_process("VmRSS")


def peak_resident_memory() -> int:
    """The most memory that this process has held at once, in bytes."""
    if sys.platform == "win32":
        return _windows_memory_of_process()[1]
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _linux_memory_of_process("VmHWM")


def refuse_more_memory(more: int) -> None:
    """Let this process fail when it asks for more than so many bytes on top of what it has, before others suffer.

    On Linux only, whose kernel would end any process once the memory has run out; it is asked to take this one.
    """
    if sys.platform != "linux":
        return
    import resource

    limit = _linux_memory_of_process("VmData") + more
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the memory of a device or of the machine has run out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in words for phrase in _OUT_OF_MEMORY)


def empty_caches(device: torch.device) -> None:
    """Give memory that torch only keeps for later back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def free_memory() -> None:
    """Give back all that nobody refers to any more: to the GPUs what torch keeps for later, to the system the heap.

    What a GPU's driver holds for this process (a CUDA context of some hundred MB) stays until the process ends.
    """
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    if sys.platform == "linux":
        # Freed blocks below others that are in use stay with the process until glibc is asked for them.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def _device_of_rank(name: str) -> torch.device:
    """The device of one of several processes."""
    rank, processes = local_rank_and_count()
    gpus = torch.cuda.device_count()
    if name == "auto" and gpus == 0:
        return torch.device("cpu")
    if name not in ("auto", "all", "cuda"):
        raise ConfigError("device", f"Several processes cannot share {name}; choose all for a GPU each, or cpu.")
    if processes > gpus:
        raise ConfigError(
            "device",
            f"There are {processes} processes on this machine and {gpus} GPUs that PyTorch can use; start as many "
            "processes as GPUs, or choose cpu.",
        )
    return torch.device("cuda", rank)


_DEFAULT_THREADS = torch.get_num_threads()


def allowed_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _has_bf16_units() -> bool:
    """Whether the processor multiplies bf16 itself. torch tells it in functions of its own, which may be gone one day.

    Those of ARM processors are not told.
    """
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def _processor_name() -> str:
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def _linux_available_memory() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    group = Path("/sys/fs/cgroup")
    for limit_file, used_file in (
        (group / "memory.max", group / "memory.current"),
        (group / "memory/memory.limit_in_bytes", group / "memory/memory.usage_in_bytes"),
    ):
        try:
            limit, used = limit_file.read_text().strip(), used_file.read_text().strip()
        except OSError:
            continue
        if limit.isdecimal() and used.isdecimal():
            available = min(available, max(0, int(limit) - int(used)))
    return available


def _linux_memory_of_process(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _windows_memory_of_process() -> tuple[int, int]:
    """What this process holds now, and the most it has held."""

    class Counters(ctypes.Structure):
        _fields_ = (
            ("size", ctypes.c_ulong),
            ("faults", ctypes.c_ulong),
            *((name, ctypes.c_size_t) for name in ("peak", "now", "a", "b", "c", "d", "e", "f")),
        )

    counters = Counters(size=ctypes.sizeof(Counters))
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.size)
    return int(counters.now), int(counters.peak)


def _windows_available_memory() -> int:
    class MemoryStatus(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "available", "f", "g", "h", "i", "j")),
        )

    status = MemoryStatus()
    status.length = ctypes.sizeof(status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined,unused-ignore]
    return int(status.available)
