"""Measures the prompts that the searches chose when the model writes freely, as a deployment does.

    PYTHONPATH=notebooks python -m comparison.free_writing

Elsewhere in the comparison a model chooses between two words. Here its likeliest next token counts, whatever it is. All
is measured on the training rows that the searches held back. The lesson takes its prompt written by hand from the best.
"""

import random
from collections.abc import Sequence

import torch

from prompt_tuning_helpers.engine import sources
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.loading import load_tokenizer
from prompt_tuning_helpers.engine.rows import TrainingRow, common_prefix
from prompt_tuning_helpers.evaluation import LABELS

from .asking import ASKED_TOGETHER, first_tokens, load_network, no_soft_prompt
from .hard_prompts import WORDINGS, Example, write
from .jobs import split

CHOSEN = (("sentiment", 0, 0), ("feeling", 4, 0), ("feeling", 4, 1), ("sentiment", 4, 2))  # wording, examples, seed
SEARCH_ROWS = 80


def examples_of(seed: int, count: int) -> list[Example]:
    """Draw the solved examples that a prompt shows, as the comparison does for a seed."""
    training, _ = split(SEARCH_ROWS, seed)
    shown = [(row.input, row.output) for row in training[:count]]
    return random.Random(seed).sample(shown, len(shown))


@torch.no_grad()
def likeliest_tokens(forward: TransformersModel, texts: Sequence[list[int]]) -> list[int]:
    """Give the id of the likeliest next token after each text.

    Args:
        forward: the network.
        texts: the token ids of each text.
    """
    shared = common_prefix([tuple(text[:-1]) for text in texts])
    prefix = torch.cat([no_soft_prompt(forward), forward.embed(torch.tensor(texts[0][:shared], dtype=torch.long))])
    found = []
    for start in range(0, len(texts), ASKED_TOGETHER):
        batch = pack([(text[shared:], [0]) for text in texts[start : start + ASKED_TOGETHER]])
        found += forward.label_logits(prefix, batch).argmax(dim=1).tolist()
    return found


def main() -> None:
    """Measure and print."""
    model = sources.DEFAULT_SOURCE
    tokenizer, forward = load_tokenizer(model), TransformersModel(load_network(model))
    rows: list[TrainingRow] = split(SEARCH_ROWS, 0)[1]
    for name, count, seed in CHOSEN:
        wording = WORDINGS[name]
        examples = examples_of(seed, count)
        texts = [tokenizer(write(wording, examples, row.input, tokenizer))["input_ids"] for row in rows]
        words = dict(zip(first_tokens(wording.words, tokenizer), LABELS, strict=True))
        labels = [words.get(token) for token in likeliest_tokens(forward, texts)]
        right = sum(label == row.output for label, row in zip(labels, rows, strict=True))
        print(f"{name}, {count} examples of seed {seed}: {right} of {len(rows)} right, {labels.count(None)} unusable")


if __name__ == "__main__":
    main()
