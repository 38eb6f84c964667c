"""The lesson's calls of the SDK: their parameters, and what they leave behind."""

import time
from dataclasses import dataclass
from typing import Any

from tests.support.service import NAME

ROWS = [{"input": f"The groomer was {word}.", "output": digit} for word, digit in [("kind", "1"), ("late", "0")] * 6]
ACCOUNT_SECONDS = 7200.0  # a hosted run may wait for its turn


@dataclass
class Lesson:
    """What the lesson leaves behind."""

    asset_id: str
    tuner: Any
    details: dict[str, Any]
    model_id: str
    deployment_id: str


@dataclass
class Run:
    """A second run of the lesson's name, and its model."""

    training_id: str
    model_id: str


def make_tuner(experiment: Any, base_model: str, **changes: Any) -> Any:
    """A tuner with every parameter that the lesson passes."""
    parameters = {
        "name": NAME,
        "task_id": experiment.Tasks.CLASSIFICATION,
        "base_model": base_model,
        "accumulate_steps": 2,
        "batch_size": 4,
        "learning_rate": 0.01,
        "max_input_tokens": 128,
        "max_output_tokens": 2,
        "num_epochs": 3,
        "tuning_type": experiment.PromptTuningTypes.PT,
        "init_text": "Is the comment satisfied?",
        "init_method": experiment.PromptTuningInitMethods.TEXT,
        "verbalizer": "classify {0, 1} {{input}}",
        "auto_update_model": True,
        **changes,
    }
    return experiment.prompt_tuner(**parameters)


def wait_for(tuner: Any, *states: str, seconds: float = ACCOUNT_SECONDS) -> None:
    """Wait until a run is in one of the states."""
    deadline = time.monotonic() + seconds
    while tuner.get_run_status() not in states:
        assert time.monotonic() < deadline, tuner.get_run_details()
        time.sleep(0.5)
