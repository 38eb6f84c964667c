"""The lesson's task, and nothing else's: reviews of a dog groomer, their labels, and settings for each base model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .base_models import tunable_models
from .engine.settings import MOST_EPOCHS, TuningSettings
from .evaluation import LABELS, parse_label
from .i18n import say
from .search import search_settings
from .tuning import PromptTuningSettings

if TYPE_CHECKING:
    import pandas as pd
    from ibm_watsonx_ai import APIClient

__all__ = [
    "EXAMPLES",
    "HAND_WRITTEN",
    "INIT_TEXT",
    "INSTRUCTION",
    "LABELS",
    "LOCAL_SETTINGS",
    "TEMPLATE",
    "HardPrompt",
    "find_settings",
    "label_names",
    "prompt_of",
    "review_of",
    "reviews_path",
    "settings_for",
    "start_of",
]

PACKAGE = Path(__file__).parent

# The input of each row of the lesson's files, and how the review is found in it.
INPUT = (
    "Decide whether the customer of a dog grooming business is satisfied. Answer 1 for satisfied and 0 for not "
    "satisfied.\nComment: {{review}}\nSatisfaction:\n"
)
REVIEW = re.compile(r"Comment: (.*)\nSatisfaction:\n", re.DOTALL)


@dataclass(frozen=True)
class HardPrompt:
    """A prompt in words.

    Args:
        title: what it is called, in English.
        template: the whole text; ``{{input}}`` stands for a row's input, or ``{{review}}`` for the review alone.
        words: what the model should say of an unsatisfied and of a satisfied customer.
    """

    title: str
    template: str
    words: tuple[str, str] = LABELS

    @property
    def name(self) -> str:
        """What it is called, in the language of the lesson."""
        return say(self.title)

    def fill(self, inputs: Sequence[str]) -> list[str]:
        """Write the prompt for each of the inputs of the lesson's files.

        Raises:
            ValueError: if the template takes the review alone, and an input has another form.
        """
        if "{{review}}" in self.template:
            return [self.template.replace("{{review}}", review_of(text)) for text in inputs]
        return [self.template.replace("{{input}}", text) for text in inputs]

    def read(self, answers: Sequence[object]) -> list[str | None]:
        """Read the label out of each answer; ``None`` where there is none, or more than one."""
        label_of = dict(zip(self.words, LABELS, strict=True))
        words = [parse_label(answer, self.words) for answer in answers]
        return [None if word is None else label_of[word] for word in words]


# What each row of the lesson's files says.
INSTRUCTION = HardPrompt("instruction", "{{input}}")

# One of the best prompts that write freely, chosen on training rows: the wording "sentiment" of notebooks/comparison
# with four examples. Of the 80 rows that the comparison holds back it answers 0.86 rightly, and the best that its
# search finds now, 0.88.
HAND_WRITTEN = HardPrompt(
    "best words",
    "Review: Fantastic service, as long as you enjoy waiting ninety minutes to be told, rudely, that your booking was "
    "for yesterday.\nSentiment: negative\n\n"
    "Review: My golden's undercoat was out of control. Two bags of fur later it's silky, and the groomer was friendly "
    "throughout.\nSentiment: positive\n\n"
    "Review: Our cocker looks terrible. They shaved his ears!\nSentiment: negative\n\n"
    "Review: very pleased with the cut\nSentiment: positive\n\n"
    "Review: {{review}}\nSentiment:",
    ("negative", "positive"),
)

# A few reviews, made up for this purpose: a soft prompt that starts from solved examples starts from a model that
# already has a hint of the task, where one that starts from an instruction has to find it first.
EXAMPLES = (
    ("I love this place!", "1"),
    ("They hurt my dog.", "0"),
    ("Happy with the cut.", "1"),
    ("Never again.", "0"),
    ("Not bad at all, really.", "1"),
    ("Great, another missed spot.", "0"),
    ("Long wait, but worth it.", "1"),
    ("Cheap, and you can tell.", "0"),
)
INIT_TEXT = "".join(f"Comment: {comment}\nSatisfaction:\n{label}\n" for comment, label in EXAMPLES)
TEMPLATE = "{{input}}Overall, the customer feels "

# On SmolLM2-135M-Instruct. Chosen on validation parts of the training file with benchmarks/choose_settings.py;
# data/README.md has the table.
LOCAL_SETTINGS = TuningSettings(
    num_virtual_tokens=100,
    init_method="text",
    init_text=INIT_TEXT,
    learning_rate=0.02,
    num_epochs=3,
    batch_size=8,
    accumulate_steps=1,
    max_input_tokens=256,
    max_output_tokens=2,
    verbalizer=TEMPLATE,
)

_SMALL = PromptTuningSettings(
    **{field.name: getattr(LOCAL_SETTINGS, field.name) for field in fields(PromptTuningSettings)}
)
# The model of the tests: each byte is a token, and nothing is to be learnt.
_TINY = replace(_SMALL, max_input_tokens=512, num_epochs=2)
# What IBM's own samples use for models of several billion weights.
_LARGE = replace(
    _SMALL,
    accumulate_steps=16,
    learning_rate=0.001,
    max_input_tokens=128,
    num_epochs=12,
    init_text="Say whether the customer of the dog grooming salon is satisfied (1) or not satisfied (0).",
    verbalizer="{{input}}",
)

# Which settings suit which base model: the first pattern found in its id counts, and the rows they were measured on.
# A learning rate that moves a small model is far too high for a large one, and the other way round.
SETTINGS: tuple[tuple[str, PromptTuningSettings, int], ...] = (
    (r"smollm", _SMALL, 320),
    (r"local/tiny", _TINY, 320),
    (r"", _LARGE, 350),
)


def label_names() -> dict[str, str]:
    """Give what the labels of the reviews mean, in the language of the lesson."""
    return {"0": say("not satisfied"), "1": say("satisfied")}


def reviews_path(split: str) -> Path:
    """Find one of the two files of reviews that come with the lesson.

    Args:
        split: ``"train"`` or ``"test"``.

    Returns:
        The file inside the installed package; in a checkout, the one in its ``data`` folder.

    Raises:
        ValueError: if there is no such split.
    """
    if split not in ("train", "test"):
        raise ValueError(say('The reviews come in two parts, "train" and "test"; there is no "{split}".', split=split))
    name = f"dog_grooming_reviews_{split}_data.json"
    installed = PACKAGE / "data" / name
    return installed if installed.exists() else PACKAGE.parent / "data" / name


def review_of(prompt: str) -> str:
    """Find the review inside an input of the lesson's files.

    Raises:
        ValueError: if the input has another form.
    """
    found = REVIEW.search(prompt)
    if not found:
        raise ValueError(f"This is no input of the lesson's files: {prompt[:80]!r}")
    return found[1]


def prompt_of(review: str) -> str:
    """Write the input of the lesson's files around a review.

    Args:
        review: its text.
    """
    return INPUT.replace("{{review}}", review)


def start_of(settings: PromptTuningSettings) -> HardPrompt:
    """Give the words that a soft prompt starts from, with the template around the input, as a hard prompt.

    Args:
        settings: to tune with.
    """
    return HardPrompt("start of the soft prompt", settings.init_text + settings.verbalizer)


def find_settings(client: "APIClient", base_model: str, train: "pd.DataFrame") -> PromptTuningSettings:
    """Find the lesson's settings for a base model: look them up, or search them where nobody has measured any.

    Only the local runtime is searched on: a hosted service has large models, and each run of a search is charged there.

    Args:
        client: of the SDK, with its project set.
        base_model: its id.
        train: the training rows.

    Raises:
        SearchError: if every run of a search failed.
        NoTunableModelError: if the service does not offer the model for prompt tuning.
        WMLClientError: if the service cannot be used.
    """
    measured = any(pattern and re.search(pattern, base_model, re.I) for pattern, _, _ in SETTINGS)
    if measured or not _is_local(client, base_model):
        return settings_for(base_model, len(train))
    print(say("Nobody has measured which settings suit {model}, so they are searched now.", model=base_model))
    found = search_settings(client, base_model, train, settings=_SMALL)
    print(found.verdict)
    return found.settings


def _is_local(client: "APIClient", base_model: str) -> bool:
    specs = {spec["model_id"]: spec for spec in tunable_models(client)}
    return "local_runtime" in specs.get(base_model, {})


def settings_for(base_model: str, rows: int) -> PromptTuningSettings:
    """Look up the lesson's settings for a base model.

    Args:
        base_model: its id.
        rows: number of training rows. Fewer rows than the settings were measured on are passed over more often, so
            that the soft prompt is updated about as many times.

    Returns:
        The settings; those of a large model if the base model is not known.

    Raises:
        ValueError: if there are no rows.
    """
    if rows < 1:
        raise ValueError("There are no training rows.")
    settings, measured = next(
        (settings, measured) for pattern, settings, measured in SETTINGS if re.search(pattern, base_model, re.I)
    )
    return replace(
        settings, num_epochs=min(MOST_EPOCHS, max(1, round(settings.num_epochs * max(1.0, measured / rows))))
    )
