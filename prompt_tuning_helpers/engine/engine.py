"""The engine's three verbs: list the base models, tune, generate."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import loading, rows, sources
from .chat import render
from .defaults import default_settings
from .embedding_scale import embedding_rms
from .errors import EngineError, UnavailableModel
from .settings import Generation, GenerationParameters, Precision, TuningSettings, check_settings

if TYPE_CHECKING:
    from .generate import Generator

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelCard:
    """What is known of a base model before it is loaded.

    Args:
        model_id: the name that callers use.
        source: what is loaded: ``"smollm2"``, ``"tiny"``, a hub id or a folder.
        model_type: its family, as transformers calls it, for instance ``"llama"``.
        parameters: number of weights; ``None`` where it is not known before loading.
        max_sequence_length: tokens the model can attend to.
        embedding_rms: root mean square of the entries of its embeddings; ``None`` where it is not known before loading.
        defaults: the settings of a tuning run that omits them.
        defaults_from_text: the same for a run that starts from a text.
    """

    model_id: str
    source: str
    model_type: str
    parameters: int | None
    max_sequence_length: int
    embedding_rms: float | None
    defaults: TuningSettings
    defaults_from_text: TuningSettings


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt to answer.

    Args:
        model_id: a base model's id, as listed.
        prompt: the text; with a soft prompt it is first wrapped by the verbalizer saved beside it.
        parameters: how to generate.
        soft_prompt: folder of a tuned soft prompt (a PEFT adapter); ``None`` for the base model.
    """

    model_id: str
    prompt: str
    parameters: GenerationParameters
    soft_prompt: Path | None = None


class Engine:
    """Serves base models and soft prompts; one engine per process.

    Args:
        models: source of each model by the id that callers use; two ids may have the same source.
    """

    def __init__(self, models: Mapping[str, str]) -> None:
        self._sources = dict(models)
        self._generators: dict[str, Generator] = {}
        self._lock = threading.Lock()

    def list_base_models(self) -> list[ModelCard]:
        """List the models that can be tuned and asked.

        Raises:
            EngineError: when a model is unavailable, or its folder is damaged.
        """
        return [_card(model_id, source) for model_id, source in self._sources.items()]

    def warm_up(self) -> None:
        """Load every model, so that the first request need not wait for it.

        One that cannot be loaded is logged, and told to whoever asks.
        """
        for source in sorted(set(self._sources.values())):
            try:
                loading.load(source)
            except EngineError as error:
                logger.warning("%s", error.message)

    def check_training_data(self, model_id: str, data: Path, settings: TuningSettings) -> int:
        """Read a training file as a run with these settings would.

        Returns:
            The number of rows that it would tune on.

        Raises:
            TrainingDataError: with the first unusable row named.
            UnusableSettings: for settings that no run could work with.
            EngineError: for a model that cannot be used.
        """
        check_settings(settings)
        tokenizer = loading.load_tokenizer(self._source(model_id))
        return len(rows.encode_rows(rows.read_rows(data), tokenizer, settings).rows)

    def generate(
        self, request: GenerationRequest, on_part: Callable[[Generation], None] | None = None
    ) -> Future[Generation]:
        """Answer a prompt, batched with whatever else is waiting.

        Args:
            request: the prompt and how to answer it.
            on_part: called in the engine's thread with each new part of the answer, for streaming.

        Returns:
            A future; cancelling it drops the request. What cannot be known before the model is loaded, a prompt that
            is too long for instance, fails the future with an ``EngineError``.

        Raises:
            UnavailableModel: for an unknown model.
            UnusablePrompt: for a parameter out of range.
        """
        from .generate import Generator
        from .sampling import check_parameters

        source = self._source(request.model_id)
        check_parameters(request.parameters)
        with self._lock:
            if source not in self._generators:
                self._generators[source] = Generator(lambda: loading.load(source))
        return self._generators[source].submit(request.prompt, request.parameters, request.soft_prompt, on_part)

    def tokenize(self, model_id: str, text: str) -> list[str]:
        """Split a text into its tokens, as strings of the model's vocabulary.

        Raises:
            EngineError: for an unknown model, or one that cannot be used.
        """
        tokenizer = loading.load_tokenizer(self._source(model_id))
        tokens: list[str] = tokenizer.convert_ids_to_tokens(rows.encode_inputs([text], tokenizer)[0])
        return tokens

    def count_tokens(self, model_id: str, text: str) -> int:
        """Count a text's tokens; this is cheaper than to ask for them.

        Raises:
            EngineError: for an unknown model, or one that cannot be used.
        """
        return len(rows.encode_inputs([text], loading.load_tokenizer(self._source(model_id)))[0])

    def chat_prompt(self, model_id: str, messages: list[dict[str, Any]]) -> str:
        """Turn a conversation into a prompt, through the model's chat template.

        Raises:
            NoChatTemplate: for a model without a chat template, or with one that does not end.
            EngineError: for messages that the template refuses, or a model that cannot be used.
        """
        return render(model_id, loading.load_tokenizer(self._source(model_id)), messages)

    def close(self) -> None:
        """Stop the engine's threads; waiting requests fail with ``EngineClosed``."""
        for generator in self._generators.values():
            generator.close()

    def _source(self, model_id: str) -> str:
        try:
            return self._sources[model_id]
        except KeyError:
            served = ", ".join(self._sources)
            raise UnavailableModel(f"The model {model_id!r} is not served here. Served: {served}.") from None


def _card(model_id: str, source: str) -> ModelCard:
    facts = _facts(source)  # first, since this fetches the model, whose embeddings can then be measured
    return ModelCard(
        model_id=model_id,
        source=source,
        embedding_rms=embedding_rms(source),
        defaults=default_settings(source),
        defaults_from_text=default_settings(source, "text"),
        **facts,
    )


@cache
def _facts(source: str) -> dict[str, Any]:
    """Give the parts of a model card that depend on the model alone."""
    # Our own models need not be fetched for this.
    if source == sources.DEFAULT_SOURCE:
        return {"model_type": "llama", "parameters": 134_515_008, "max_sequence_length": 8192}
    if source == sources.TINY_SOURCE:
        return {"model_type": "llama", "parameters": None, "max_sequence_length": 2048}
    loading.check(source)
    config = loading.load_config(source)
    return {
        "model_type": config.model_type,
        "parameters": None,
        "max_sequence_length": loading.max_length_of(config),
    }


def tune_command(job_folder: Path, precision: Precision = Precision.AUTO) -> list[str]:
    """Give the command line of a tuning job's process, which does not outlive this one; ``job.py`` says what it leaves.

    Args:
        job_folder: holds ``job.json``.
        precision: what the job multiplies in; by default bfloat16 where that is faster and close enough.
    """
    command = [sys.executable, "-m", "prompt_tuning_helpers.engine", "tune", str(job_folder)]
    return [*command, "--parent", str(os.getpid()), "--precision", precision.value]
