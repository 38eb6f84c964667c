"""Small random models of several kinds, and the plain forward that the engine is held to."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
)

from prompt_tuning_helpers.engine import loading, sources
from prompt_tuning_helpers.engine.job_folder import Job
from prompt_tuning_helpers.engine.loading import LoadedModel
from prompt_tuning_helpers.engine.rows import EncodedRows, encode_rows, read_rows
from prompt_tuning_helpers.engine.settings import TuningSettings
from prompt_tuning_helpers.engine.soft_prompt import initialise


@pytest.fixture(scope="session", autouse=True)
def _one_thread_each() -> None:
    """Where several processes test, their threads would wait for each other's cores; the models here are tiny."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny() -> LoadedModel:
    return loading.load("tiny")


@pytest.fixture(scope="session")
def tiny_network() -> Any:
    """The tiny model as transformers computes it."""
    return AutoModelForCausalLM.from_pretrained(sources.fetch("tiny"), dtype=torch.float32).eval().requires_grad_(False)


@pytest.fixture
def settings() -> TuningSettings:
    return TuningSettings(
        num_virtual_tokens=5,
        init_method="text",
        init_text="Is the dog well groomed?",
        learning_rate=0.01,
        num_epochs=3,
        batch_size=4,
        accumulate_steps=1,
        max_input_tokens=64,
        max_output_tokens=2,
        verbalizer="classify: {{input}}",
        seed=3,
    )


@pytest.fixture
def training_file(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    lines = [f'{{"input": "review {"good" if i % 2 else "bad"} {i}:", "output": "{i % 2}"}}' for i in range(10)]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def data(tiny: LoadedModel, training_file: Path, settings: TuningSettings) -> EncodedRows:
    return encode_rows(read_rows(training_file), tiny.tokenizer, settings)


@pytest.fixture
def start(tiny: LoadedModel, settings: TuningSettings) -> Tensor:
    return initialise(tiny.model, tiny.tokenizer, settings)


@pytest.fixture
def job(tmp_path: Path, training_file: Path, settings: TuningSettings) -> Path:
    folder = tmp_path / "job"
    Job("tiny", "local/tiny-random-llama", training_file, settings).write(folder)
    return folder
