"""What figures were measured on and with."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def machine(*, gpu: bool) -> dict[str, str]:
    """The processor, with the GPU if that was measured, and the versions of what was used."""
    import torch

    words = {"processor": _processor(), "system": platform.platform(terse=True), "python": platform.python_version()}
    if gpu:
        words["gpu"] = torch.cuda.get_device_name()
    words["torch"] = torch.__version__
    for package in ("PySide6", "pillow"):
        words[package] = _version(package)
    return words


def _processor() -> str:
    name, flags = platform.processor() or platform.machine(), ""
    if Path("/proc/cpuinfo").exists():
        info = dict(
            [part.strip() for part in line.split(":", 1)]
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
            if ":" in line
        )
        name, flags = info.get("model name", name), info.get("flags", "")
    units = next(
        (f", {unit}" for flag, unit in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 BF16")) if flag in flags), ""
    )
    memory = ""
    if hasattr(os, "sysconf"):
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB"
    return f"{name}, {cores()} cores{units}{memory}"


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def others_share() -> float:
    """Which share of the processor's time other programs use now, 0 where the system does not tell."""
    counts = []
    if not Path("/proc/stat").exists():
        return 0.0
    for seconds in (1.0, 0.0):
        # user, nice, system, idle, waiting for disks, interrupts twice, taken by other machines on the same host
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
        counts.append([int(field) for field in fields])
        time.sleep(seconds)
    passed = [after - before for before, after in zip(*counts, strict=True)]
    return 1 - (passed[3] + passed[4]) / max(1, sum(passed))


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    for name in (package, f"{package}-Essentials"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "not installed"


def commit() -> str:
    """The commit of this checkout, with a word if its files differ from it; "unknown" where git does not tell."""
    try:
        told = [
            subprocess.run(["git", *words], check=True, capture_output=True, text=True, cwd=ROOT).stdout.strip()
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--", "engine", "benchmarks"))
        ]
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{told[0]} with changes" if told[1] else told[0]
