"""Processes that are measured in turns: each answers when asked, and one that fails says why instead of hanging."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.turns import Spread, TurnError, Worker, all_of, in_turns, run_json, run_timed

ROOT = Path(__file__).resolve().parents[2]


def program(body: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{body}"]


GOOD = program(
    "from benchmarks.turns import serve\nimport json, itertools\nn = itertools.count(1)\nprint('not JSON')\n"
    "serve(lambda: {'number': next(n)})\nprint(json.dumps({'last': True}))"
)


def test_workers_answer_each_turn_and_have_last_words() -> None:
    with all_of({"one": GOOD, "other": GOOD}) as workers:
        answers = in_turns(workers, 3)
        last = {name: worker.finish() for name, worker in workers.items()}
    assert answers == {name: [{"number": 1}, {"number": 2}, {"number": 3}] for name in ("one", "other")}
    assert last == {"one": {"last": True}, "other": {"last": True}}


@pytest.mark.parametrize("before", ["", "print('{}', flush=True)\ninput()\n"], ids=["at-the-start", "in-its-turn"])
def test_a_worker_that_fails_says_why(before: str) -> None:
    with (
        pytest.raises(TurnError, match="ValueError: the reason"),
        Worker(program(f"{before}raise ValueError('the reason')")) as w,
    ):
        w.turn()


def test_a_worker_that_does_not_answer_is_ended() -> None:
    with pytest.raises(TurnError), Worker(program("input()"), patience=0.5):
        pass


def test_a_command_answers_by_its_last_line() -> None:
    assert run_json(program("print('words')\nprint('{\"a\": 1}')"), timeout=60) == {"a": 1}
    with pytest.raises(TurnError, match="the reason"):
        run_json(program("raise SystemExit('the reason')"), timeout=60)
    with pytest.raises(TurnError, match="longer than"):
        run_timed(program("import time; time.sleep(60)"), timeout=0.5)


def test_a_spread_is_the_middle_and_both_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
