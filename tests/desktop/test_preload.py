from __future__ import annotations

import gc
import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec

import pytest

from cyclegan_desktop import preload

_LOADED = """
import sys
from pathlib import Path
from cyclegan_desktop import preload
preload._load_libraries()
assert 'torch' not in sys.modules
if sys.platform == 'linux':
    assert 'libtorch_python' in Path('/proc/self/maps').read_text(errors='replace')
preload._import_engine()
import torch
from torch.optim import Adam
before = set(sys.modules)
weights = torch.nn.Parameter(torch.ones(2))
optimizer = Adam([weights], fused=True)
weights.grad = torch.ones(2)
optimizer.step()
assert set(sys.modules) == before, sorted(set(sys.modules) - before)
print('loaded')
"""


def test_the_libraries_come_before_torch_and_the_first_optimizer_imports_nothing_more():
    answer = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, timeout=120, check=False)
    assert answer.stdout == "loaded\n", answer.stderr


_TWO_THREADS = """
import sys, threading
from cyclegan_desktop import preload
order = []
def other():
    import torch
    order.append('imported')
with preload._torch_kept_waiting():
    thread = threading.Thread(target=other)
    thread.start()
    thread.join(0.5)
    import json, wave  # What is not torch waits for nobody.
    assert 'torch' not in sys.modules
    order.append('loaded')
thread.join()
print(*order, len([finder for finder in sys.meta_path if isinstance(finder, preload._WaitingFinder)]))
"""


def test_whoever_imports_torch_while_its_libraries_are_loaded_waits_for_them():
    answer = subprocess.run(
        [sys.executable, "-c", _TWO_THREADS], capture_output=True, text=True, timeout=120, check=False
    )
    assert answer.stdout == "loaded imported 0\n", answer.stderr


@pytest.mark.parametrize("spec", [None, ModuleSpec("torch", None, origin="/nowhere/torch/__init__.py")])
def test_without_torch_or_its_libraries_nothing_fails_beforehand(monkeypatch, spec):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    preload._load_libraries()


def test_what_is_imported_is_not_looked_through_for_garbage_then_nor_later():
    frozen = gc.get_freeze_count()
    try:
        with pytest.raises(ZeroDivisionError), preload._no_collections():
            assert not gc.isenabled()
            1 / 0  # noqa: B018
        assert gc.isenabled()
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
