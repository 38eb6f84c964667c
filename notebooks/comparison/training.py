"""Classifiers, one for each of the ways that are compared: they learn the task, and answer reviews.

PEFT provides prefix tuning and LoRA; prompt tuning is the engine's own. All methods that train a network see the same
rows in the same order, and what all rows share is computed once per update, whatever the method.
"""

import math
import pickle
import random
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, singledispatch
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from prompt_tuning_helpers.engine import TuningSettings
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.rows import TrainingRow, encode_inputs, encode_rows, wrap
from prompt_tuning_helpers.engine.soft_prompt import initialise, save
from prompt_tuning_helpers.engine.trainer import BETAS
from prompt_tuning_helpers.engine.tune import TuningStopped, learning_rate_factor, minibatches, tune
from prompt_tuning_helpers.evaluation import LABELS, parse_label
from prompt_tuning_helpers.lesson import review_of

from . import hard_prompts
from .asking import NEW_TOKENS, ask, first_tokens, no_soft_prompt
from .methods import (
    TEMPLATES,
    Candidate,
    FullFineTuning,
    GradientMethod,
    HardPrompt,
    LoRA,
    Method,
    PrefixTuning,
    PromptTuning,
    Recipe,
    Regularisation,
    StartingText,
    TfIdf,
    WrittenPrompt,
)
from .networks import BaseModel
from .plan import lesson_settings

MAX_GRADIENT_NORM = 1.0  # customary where a model's own weights are trained
MAX_INPUT_TOKENS = 1024  # more than any row has, with solved examples before it

Stop = Callable[[], bool]  # asked after each update


@dataclass(frozen=True)
class Answer:
    """What a classifier says to one prompt.

    Args:
        margin: how much more likely "satisfied" is than "not satisfied", as a difference of log-odds. Choosing the
            likelier of the two is kinder to an untaught model than reading what it writes.
        written: the label in what it writes by itself; ``None`` if there is none.
    """

    margin: float
    written: str | None


class Classifier(ABC):
    """Something that can be taught to tell satisfied customers from others."""

    trained_parameters = 0

    @abstractmethod
    def learn(self, should_stop: Stop = lambda: False) -> None:
        """Learn the task, unless there is nothing to learn.

        Args:
            should_stop: asked after each update.

        Raises:
            TuningStopped: after ``should_stop`` said so.
            FloatingPointError: if the loss is no number any more.
        """

    @property
    def updates(self) -> int:
        """How many updates it takes to learn."""
        return 0

    @abstractmethod
    def answer(self, prompts: Sequence[str], new_tokens: int = NEW_TOKENS) -> list[Answer]:
        """Answer prompts of the lesson's files.

        Args:
            prompts: the prompts.
            new_tokens: of what is written, at most.
        """

    @abstractmethod
    def saved_bytes(self) -> int:
        """Give the size of what has to be kept, without the base model where that stays as it is."""


@singledispatch
def prepare(method: Method, candidate: Candidate, rows: Sequence[TrainingRow], base: BaseModel, seed: int) -> Any:
    """Make a classifier that has not learnt anything yet.

    Args:
        method: how to learn; each kind of method has an implementation below.
        candidate: one of the method's candidates, a learning rate and a template for instance.
        rows: what to learn from.
        base: the base model.
        seed: of the rows' order and of random starting points.

    Returns:
        A ``Classifier``.
    """
    raise TypeError(f"Nothing says how a {type(method).__name__} is taught.")


def train(method: Method, candidate: Candidate, rows: Sequence[TrainingRow], base: BaseModel, seed: int) -> Classifier:
    """Make a classifier, and let it learn; see ``prepare``.

    Raises:
        FloatingPointError: if training gives no numbers.
    """
    classifier: Classifier = prepare(method, candidate, rows, base, seed)
    classifier.learn()
    return classifier


@dataclass(frozen=True)
class Asked:
    """How reviews are put to a network, and its answers read.

    Args:
        base: the base model, for its tokenizer.
        write: the whole text for a prompt of the lesson's files.
        words: for a negative and a positive answer.
    """

    base: BaseModel
    write: Callable[[str], str]
    words: tuple[str, str] = (LABELS[0], LABELS[1])

    def answer(
        self, forward: TransformersModel, prompts: Sequence[str], new_tokens: int, soft_prompt: Tensor | None = None
    ) -> list[Answer]:
        """Answer prompts.

        Args:
            forward: the network.
            prompts: of the lesson's files.
            new_tokens: of what is written, at most.
            soft_prompt: ``[P, H]``; none by default.
        """
        tokenizer = self.base.tokenizer
        replies = ask(
            forward,
            no_soft_prompt(forward) if soft_prompt is None else soft_prompt,
            encode_inputs([self.write(prompt) for prompt in prompts], tokenizer),
            first_tokens(self.words, tokenizer),
            self.base.end_tokens,
            new_tokens,
        )
        return [Answer(reply.margin, self.read(tokenizer.decode(reply.written))) for reply in replies]

    def read(self, written: str) -> str | None:
        """Find the label that an answer means; ``None`` if there is none."""
        words = [word.strip() for word in self.words]
        said = parse_label(written, words)
        return None if said is None else LABELS[words.index(said)]


class WrittenClassifier(Classifier):
    """A hard prompt.

    Args:
        asked: the prompt.
        kept: the text that has to be kept.
    """

    def __init__(self, asked: Asked, kept: str) -> None:
        self._asked, self._kept = asked, kept

    def learn(self, should_stop: Stop = lambda: False) -> None:
        """Do nothing: somebody wrote the prompt already."""

    def answer(self, prompts: Sequence[str], new_tokens: int = NEW_TOKENS) -> list[Answer]:
        """Answer prompts of the lesson's files."""
        return self._asked.answer(self._asked.base.forward, prompts, new_tokens)

    def saved_bytes(self) -> int:
        """Give the size of the text."""
        return len(self._kept.encode())


@prepare.register
def _(
    method: HardPrompt, candidate: WrittenPrompt, rows: Sequence[TrainingRow], base: BaseModel, seed: int
) -> Classifier:
    """Write a prompt; the seed and the candidate draw its examples, half of each label, and their order."""
    wording = hard_prompts.WORDINGS[candidate.wording]
    generator = random.Random(f"{seed}, {candidate.draw}")
    half = candidate.examples // 2
    shown = [
        (row.input, row.output)
        for label in LABELS
        for row in generator.sample([row for row in rows if row.output == label], half)
    ]
    examples = generator.sample(shown, len(shown))
    write = partial(hard_prompts.write, wording, examples, tokenizer=base.tokenizer)
    asked = rows[0].input
    return WrittenClassifier(Asked(base, write, wording.words), kept=write(asked).replace(review_of(asked), ""))


@prepare.register
def _(method: StartingText, candidate: Recipe, rows: Sequence[TrainingRow], base: BaseModel, seed: int) -> Classifier:
    """Write the tokens that a soft prompt starts from, and its template."""
    start = base.tokenizer(lesson_settings()["init_text"])["input_ids"][: method.virtual_tokens]
    template = base.tokenizer.decode(start) + TEMPLATES[candidate.template]
    return WrittenClassifier(Asked(base, partial(wrap, template)), kept=template)


class WordCounter(Classifier):
    """TF-IDF and a logistic regression.

    Args:
        inverse_strength: of the regularisation.
        rows: to learn from.
    """

    updates = 1

    def __init__(self, inverse_strength: float, rows: Sequence[TrainingRow]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        self._rows = rows
        regression = LogisticRegression(C=inverse_strength, max_iter=1000)
        self._pipeline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), regression)

    def learn(self, should_stop: Stop = lambda: False) -> None:
        """Count words, and fit the regression: one update, as it were."""
        reviews = [review_of(row.input) for row in self._rows]
        self._pipeline.fit(reviews, [row.output for row in self._rows])
        regression = self._pipeline[-1]
        self.trained_parameters = regression.coef_.size + regression.intercept_.size
        if should_stop():
            raise TuningStopped

    def answer(self, prompts: Sequence[str], new_tokens: int = NEW_TOKENS) -> list[Answer]:
        """Answer prompts of the lesson's files; always with a label."""
        margins = self._pipeline.decision_function([review_of(prompt) for prompt in prompts])
        return [Answer(margin, LABELS[margin > 0]) for margin in margins.tolist()]

    def saved_bytes(self) -> int:
        """Give the size of vocabulary and weights."""
        return len(pickle.dumps(self._pipeline))


@prepare.register
def _(method: TfIdf, candidate: Regularisation, rows: Sequence[TrainingRow], base: BaseModel, seed: int) -> Classifier:
    return WordCounter(candidate.inverse_strength, rows)


class TrainedClassifier(Classifier):
    """A network that is trained, or has something before its input that is.

    Args:
        base: the base model.
        rows: to learn from.
        settings: how to train.
    """

    def __init__(self, base: BaseModel, rows: Sequence[TrainingRow], settings: TuningSettings) -> None:
        self._base, self._settings = base, settings
        self._data = encode_rows(rows, base.tokenizer, settings)
        self._asked = Asked(base, partial(wrap, settings.verbalizer))

    @property
    def updates(self) -> int:
        """How many updates it takes to learn."""
        return math.ceil(len(self._data.rows) / self._settings.batch_size) * self._settings.num_epochs

    def saved_bytes(self) -> int:
        """Give the size of the file of weights."""
        with tempfile.TemporaryDirectory() as folder:
            self._save(Path(folder))
            return sum(path.stat().st_size for path in Path(folder).rglob("*.safetensors"))

    @abstractmethod
    def _save(self, folder: Path) -> None:
        """Write the weights."""


class SoftPromptClassifier(TrainedClassifier):
    """A soft prompt, tuned by the project's own engine.

    Args:
        base: the base model.
        rows: to learn from.
        settings: how to train.
    """

    def __init__(self, base: BaseModel, rows: Sequence[TrainingRow], settings: TuningSettings) -> None:
        super().__init__(base, rows, settings)
        self.tuned: Tensor | None = None  # [P, H]

    def learn(self, should_stop: Stop = lambda: False) -> None:
        """Tune the soft prompt."""
        model = self._base.tunable
        start = initialise(model, self._base.tokenizer, self._settings)
        self.tuned = tune(model, start, self._data, self._settings, should_stop=should_stop)

    @property
    def initial(self) -> Tensor:
        """The soft prompt before tuning, ``[P, H]``."""
        return initialise(self._base.forward, self._base.tokenizer, self._settings)

    @property
    def soft_prompt(self) -> Tensor:
        """The soft prompt as it stands, ``[P, H]``."""
        return self.initial if self.tuned is None else self.tuned

    @property
    def trained_parameters(self) -> int:  # type: ignore[override]
        """How many numbers are learnt."""
        return self.soft_prompt.numel()

    def answer(self, prompts: Sequence[str], new_tokens: int = NEW_TOKENS) -> list[Answer]:
        """Answer prompts of the lesson's files."""
        return self.answer_with(self.soft_prompt, prompts, new_tokens)

    def answer_with(self, soft_prompt: Tensor, prompts: Sequence[str], new_tokens: int = 1) -> list[Answer]:
        """Answer prompts with any soft prompt in place of this one.

        Args:
            soft_prompt: ``[P, H]``.
            prompts: of the lesson's files.
            new_tokens: of what is written, at most.
        """
        return self._asked.answer(self._base.forward, prompts, new_tokens, soft_prompt)

    @property
    def embedding(self) -> Tensor:
        """The embeddings of the vocabulary, ``[vocabulary, H]``."""
        return self._base.forward.embedding

    def name_token(self, token: int) -> str:
        """Write a token of the vocabulary."""
        return self._base.tokenizer.decode([token]) or str(self._base.tokenizer.convert_ids_to_tokens(token))

    def _save(self, folder: Path) -> None:
        save(folder / "soft_prompt", self.soft_prompt, self._base.source, self._settings)


@prepare.register
def _(method: PromptTuning, candidate: Recipe, rows: Sequence[TrainingRow], base: BaseModel, seed: int) -> Classifier:
    settings = tuning_settings(candidate, seed, method.virtual_tokens, method.init_method)
    return SoftPromptClassifier(base, rows, settings)


class AdaptedClassifier(TrainedClassifier):
    """A network with a prefix or LoRA of PEFT's, or trained as a whole.

    Args:
        base: the base model.
        rows: to learn from.
        settings: how to train.
        adapted: the network.
    """

    def __init__(
        self, base: BaseModel, rows: Sequence[TrainingRow], settings: TuningSettings, adapted: "Adapted"
    ) -> None:
        super().__init__(base, rows, settings)
        self._adapted = adapted
        self._trained = [parameter for parameter in adapted.module.parameters() if parameter.requires_grad]

    @property
    def trained_parameters(self) -> int:  # type: ignore[override]
        """How many numbers are learnt."""
        return sum(parameter.numel() for parameter in self._trained)

    def learn(self, should_stop: Stop = lambda: False) -> None:
        """Train as the engine tunes: Adam on the cross-entropy of the outputs, with the same batches and schedule."""
        data, settings, forward = self._data, self._settings, self._adapted.forward
        optimizer = torch.optim.Adam(self._trained, betas=BETAS)
        shared = torch.tensor(data.shared, dtype=torch.long, device=forward.embedding.device)
        for step, (_, indices) in enumerate(minibatches(len(data.rows), settings), start=1):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * learning_rate_factor(step, self.updates)
            packed = pack([data.rows[index] for index in indices], shared.device)
            loss = cross_entropy(forward.label_logits(forward.embed(shared), packed), packed.labels)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the loss became {loss.item()} in step {step}")
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._trained, MAX_GRADIENT_NORM)
            optimizer.step()
            if should_stop():
                raise TuningStopped

    def answer(self, prompts: Sequence[str], new_tokens: int = NEW_TOKENS) -> list[Answer]:
        """Answer prompts of the lesson's files."""
        return self._asked.answer(self._adapted.forward, prompts, new_tokens)

    def _save(self, folder: Path) -> None:
        self._adapted.module.save_pretrained(folder)


@prepare.register
def _(method: GradientMethod, candidate: Recipe, rows: Sequence[TrainingRow], base: BaseModel, seed: int) -> Classifier:
    settings = tuning_settings(candidate, seed)
    torch.manual_seed(seed)
    adapted = adapt(method, base.network_to_change(), base.tokenizer, settings.init_text or "")
    return AdaptedClassifier(base, rows, settings, adapted)


@dataclass(frozen=True)
class Adapted:
    """A network that is ready to be trained.

    Args:
        module: what is trained and saved: PEFT's model around the frozen network, or the network itself.
        forward: how it is computed.
    """

    module: Any
    forward: TransformersModel


@singledispatch
def adapt(method: GradientMethod, network: Any, tokenizer: Any, text: str) -> Adapted:
    """Make a frozen network ready to be trained.

    Args:
        method: what is trained in it or around it.
        network: as transformers gives it.
        tokenizer: of the network.
        text: that a prefix starts from.
    """
    raise TypeError(f"Nothing says what a {type(method).__name__} trains.")


@adapt.register
def _(method: PrefixTuning, network: Any, tokenizer: Any, text: str) -> Adapted:
    from peft import PrefixTuningConfig, get_peft_model, initialize_kv_prefix_from_text

    config = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=method.virtual_tokens)
    module = get_peft_model(network, config)
    # PEFT's random start of a prefix, far from any keys and values of the model, does not learn in so few steps.
    initialize_kv_prefix_from_text(module, tokenizer, text=text, use_chat_template=False)
    return Adapted(module, TransformersModel(network, first_cache=lambda: module.get_prompt(batch_size=1)))


@adapt.register
def _(method: LoRA, network: Any, tokenizer: Any, text: str) -> Adapted:
    from peft import LoraConfig, get_peft_model

    # Which matrices is PEFT's own choice for this kind of model: those of queries and values.
    config = LoraConfig(task_type="CAUSAL_LM", r=method.rank, lora_alpha=2 * method.rank)
    return Adapted(get_peft_model(network, config), TransformersModel(network))


@adapt.register
def _(method: FullFineTuning, network: Any, tokenizer: Any, text: str) -> Adapted:
    return Adapted(network.requires_grad_(True), TransformersModel(network))


def tuning_settings(recipe: Recipe, seed: int, virtual_tokens: int = 1, init_method: str = "random") -> TuningSettings:
    """Write a recipe as settings of the engine.

    Args:
        recipe: how to train.
        seed: of the rows' order and of a random start.
        virtual_tokens: of a soft prompt, if there is one.
        init_method: how it starts, ``"text"`` or ``"random"``.
    """
    lesson = lesson_settings()
    examples = lesson["init_text"] if recipe.shows_examples else ""
    return TuningSettings(
        **lesson,
        num_virtual_tokens=virtual_tokens,
        init_method=init_method,
        learning_rate=recipe.learning_rate,
        num_epochs=recipe.epochs,
        accumulate_steps=1,
        max_input_tokens=MAX_INPUT_TOKENS,
        max_output_tokens=2,  # the label and the end of the text
        verbalizer=examples + TEMPLATES[recipe.template],
        seed=seed,
    )
