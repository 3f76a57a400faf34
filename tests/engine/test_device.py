from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from engine import device
from engine.device import (
    available_devices,
    available_memory,
    choose_device,
    choose_precision,
    gpus_together,
    peak_resident_memory,
    resident_memory,
)
from engine.model import recorded
from engine.model.recorded import Recorder
from engine.training import trainer


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: True)


def _cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("two_gpus")
def test_several_gpus_are_offered_together_first() -> None:
    assert available_devices()[:3] == [("all", "All 2 GPUs"), ("cuda:0", "GPU 0"), ("cuda:1", "GPU 1")]
    assert available_devices()[-1] == ("cpu", "CPU")


@pytest.mark.usefixtures("two_gpus")
def test_a_packaged_app_has_no_interpreter_for_more_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert gpus_together() == 1
    assert available_devices()[0] == ("cuda:0", "GPU 0")


@pytest.mark.usefixtures("two_gpus")
def test_gpus_that_cannot_talk_to_one_another_are_offered_singly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: False)
    assert available_devices()[0] == ("cuda:0", "GPU 0")


def test_all_gpus_of_a_machine_without_several_are_the_best_device_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    _cpu_only(monkeypatch)
    assert available_devices() == [("cpu", "CPU")]
    assert choose_device("all") == choose_device("auto") == torch.device("cpu")
    assert not trainer._starts_others("all")


@pytest.mark.usefixtures("two_gpus")
def test_only_all_gpus_start_other_processes() -> None:
    assert trainer._starts_others("all")
    assert not any(trainer._starts_others(name) for name in ("auto", "cuda", "cuda:1", "cpu"))


def test_u_nets_on_a_cpu_take_the_precision_whose_kernels_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_has_bf16_units", lambda: True)
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) == "bf16"
    assert choose_precision("auto", cpu, "unet") == "fp32"
    assert choose_precision("bf16", cpu, "unet") == "bf16"


def test_a_processor_without_bf16_units_takes_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert choose_precision("auto", cpu) == "fp32"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert choose_precision("auto", cpu) == "bf16"
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert choose_precision("auto", cpu) == "fp32"


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux is asked to refuse memory to one process.")
def test_a_process_that_may_have_no_more_memory_is_refused_it() -> None:
    code = (
        "import torch\n"
        "from engine.device import is_out_of_memory, refuse_more_memory, resident_memory\n"
        "refuse_more_memory(200_000_000)\n"
        "kept = torch.ones(25_000_000)\n"
        "try:\n"
        "    torch.ones(250_000_000)\n"
        "except Exception as error:\n"
        "    print(is_out_of_memory(error), resident_memory() > 100_000_000)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert result.stdout == "True True\n"


def test_the_most_memory_held_is_at_least_what_is_held_now() -> None:
    assert 10_000_000 < resident_memory() <= peak_resident_memory()


def test_memory_of_recordings_is_not_free_while_they_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def segment(device: int, pool: tuple[int, int], total: int, allocated: int) -> dict[str, object]:
        return {"device": device, "segment_pool_id": pool, "total_size": total, "allocated_size": allocated}

    segments = [
        segment(0, (0, 0), 100, 40),
        segment(0, (0, 7), 1000, 300),
        segment(0, (0, 8), 10_000, 5),
        segment(1, (0, 7), 100_000, 50),
    ]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_000_000, 2_000_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 11_100)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 345)
    monkeypatch.setattr(torch.cuda, "memory_snapshot", lambda: segments)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 7))
    monkeypatch.setattr(recorded, "_streams", lambda device: None)
    device = torch.device("cuda", 0)
    recorder = Recorder(device)
    # What is free, and what torch keeps for reuse, but for what only the recordings may use.
    assert available_memory(device) == 1_000_000 + 60 + 9_995
    del recorder
    assert available_memory(device) == 1_000_000 + 60 + 9_995 + 700
