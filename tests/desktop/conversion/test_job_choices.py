"""The choices of the options card as plain data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from cyclegan_desktop.conversion.job_choices import JobChoices
from engine.config import ConvertJob

CHANGED = JobChoices(
    format="avif",
    quality=55,
    lossless=True,
    chroma="4:2:0",
    frames="first",
    resize="change",
    name="{index} {name}",
    if_exists="overwrite",
    again=True,
    watch=True,
    max_megapixels=500,
    time_limit=30.5,
    memory_gb=2.5,
    device="cuda:1",
)


def test_the_defaults_are_those_of_a_job() -> None:
    of_job = {field.name: field.default for field in dataclasses.fields(ConvertJob)}
    assert JobChoices().to_json() == {name: of_job[name] for name in JobChoices().to_json()}


def test_every_choice_survives_a_file_of_json_and_makes_a_job() -> None:
    again = JobChoices.from_json(json.loads(json.dumps(CHANGED.to_json())))
    assert again == CHANGED
    job = ConvertJob(model=Path("m"), sources=(Path("p"),), to=Path("to"), direction="a2b", **again.to_json())
    assert {name: getattr(job, name) for name in CHANGED.to_json()} == CHANGED.to_json()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", "docx"),
        ("format", ["jpg"]),
        ("quality", 900),
        ("quality", "90"),
        ("lossless", "yes"),
        ("chroma", None),
        ("frames", 1),
        ("resize", 3),
        ("resize", "huge"),
        ("name", "{nonsense}"),
        ("name", 7),
        ("if_exists", "ask"),
        ("again", 1),
        ("watch", None),
        ("max_megapixels", 0),
        ("time_limit", float("nan")),
        ("memory_gb", -1),
        ("device", 3),
        ("device", "toaster"),
    ],
)
def test_a_bad_value_has_its_default_and_spoils_no_other(name: str, value: object) -> None:
    read = JobChoices.from_json({**CHANGED.to_json(), name: value})
    assert read == dataclasses.replace(CHANGED, **{name: getattr(JobChoices(), name)})


@pytest.mark.parametrize("values", [None, [], "text", {}, {"precision": "fp16", "unknown": 1}])
def test_what_is_no_choice_leaves_the_defaults(values: object) -> None:
    assert JobChoices.from_json(values) == JobChoices()


def test_it_names_what_differs_from_the_defaults() -> None:
    assert JobChoices().changed == ()
    assert JobChoices(name="{index}", chroma="4:2:2").changed == ("chroma", "name")
