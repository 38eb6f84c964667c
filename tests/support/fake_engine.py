"""A stand-in for the engine: the same interface, no tensors, answers at once; its tuning job is fake_job.py."""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from prompt_tuning_helpers.engine import (
    Generation,
    GenerationRequest,
    ModelCard,
    TrainingDataError,
    TuningSettings,
    UnusablePrompt,
)

DEFAULTS = TuningSettings(
    num_virtual_tokens=10,
    init_method="text",
    init_text="Classify",
    learning_rate=0.01,
    num_epochs=2,
    batch_size=4,
    accumulate_steps=1,
    max_input_tokens=64,
    max_output_tokens=4,
    verbalizer="Input: {{input}} Output:",
)


class FakeEngine:
    """Answers with the prompt's last word; a prompt-tuned one with the name of its soft prompt, too."""

    def __init__(self, models: Iterable[str]) -> None:
        self.hanging: list[Future[Generation]] = []  # what is never answered
        self.asked: list[GenerationRequest] = []
        self._models = list(models)

    def list_base_models(self) -> list[ModelCard]:
        return [
            ModelCard(
                model_id=model_id,
                source="tiny",
                model_type="fake",
                parameters=1234,
                max_sequence_length=512,
                embedding_rms=0.1,
                defaults=DEFAULTS,
                defaults_from_text=DEFAULTS,
            )
            for model_id in self._models
        ]

    def warm_up(self) -> None:
        """There is nothing to load."""

    def check_training_data(self, model_id: str, data: Path, settings: TuningSettings) -> int:
        try:
            rows: list[dict[str, str]] = json.loads(data.read_bytes())
        except ValueError:
            raise TrainingDataError("The training file is not JSON.") from None
        for number, row in enumerate(rows, 1):
            if "input" not in row or "output" not in row:
                raise TrainingDataError(f"Row {number} has no input and output: give it both.")
        return len(rows)

    def generate(
        self, request: GenerationRequest, on_part: Callable[[Generation], None] | None = None
    ) -> Future[Generation]:
        self.asked.append(request)
        if "refuse" in request.prompt:
            raise UnusablePrompt("The prompt is too long: shorten it.")
        future: Future[Generation] = Future()
        if "hang" in request.prompt:
            self.hanging.append(future)
            return future

        def work() -> None:
            if "break" in request.prompt:
                future.set_exception(RuntimeError("broken on purpose"))
                return
            words = request.prompt.split()[-1:] + ([request.soft_prompt.name] if request.soft_prompt else [])
            text = " ".join(words)
            if on_part is not None:
                for count, letter in enumerate(text, 1):
                    on_part(Generation(letter, len(request.prompt.split()), count, "not_finished"))
            if future.set_running_or_notify_cancel():
                future.set_result(Generation(text, len(request.prompt.split()), len(words), "eos_token"))

        threading.Thread(target=work).start()
        return future

    def tokenize(self, model_id: str, text: str) -> list[str]:
        return text.split()

    def count_tokens(self, model_id: str, text: str) -> int:
        return len(text.split())

    def chat_prompt(self, model_id: str, messages: list[dict[str, Any]]) -> str:
        return " ".join(f"{message['role']}: {message['content']}" for message in messages)

    def close(self) -> None:
        pass


def fake_tune_command(folder: Path) -> list[str]:
    """The command line of a job that tunes nothing and ends with this process."""
    return [sys.executable, str(Path(__file__).with_name("fake_job.py")), str(folder), str(os.getpid())]
