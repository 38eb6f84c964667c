"""Soft prompts of several seeds with controls beside each finding: what is special about them, and what only looks so.

    python -m notebooks.comparison.controls FILE

computes it all and writes one JSON file: minutes on a GPU, about an hour on two cores.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from prompt_tuning_helpers.engine import TuningSettings, loading
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.rows import EncodedRows, TrainingRow, encode_rows, read_rows
from prompt_tuning_helpers.engine.soft_prompt import initialise
from prompt_tuning_helpers.engine.sources import DEFAULT_SOURCE
from prompt_tuning_helpers.engine.tune import tune
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS, reviews_path

from .networks import load_network

DATA = Path(__file__).parents[2] / "data"
SEEDS = (0, 1, 2, 3, 4)
VIRTUAL_TOKENS = 20  # few enough to look at each
DRAWS = 5  # of what is random in a control
STEPS = tuple(step / 10 for step in range(-2, 13))  # from the first soft prompt, 0, to the second, 1, and beyond both
ATTENTION_ROWS = 60
AT_ONCE = 40  # rows

# How the tickets of data/SUPPORT_TICKETS.md are asked about, and the texts that a soft prompt for them can start from.
TICKETS = replace(
    LOCAL_SETTINGS,
    verbalizer="{{input}}\nTeam:\n",
    max_input_tokens=512,
    max_output_tokens=8,
    init_text=(
        "How do I print one page?\nTeam:\nhow_to\nThe total is wrong since Monday.\nTeam:\nbugs\n"
        "You charged my card twice.\nTeam:\nbilling\nI never got the login code.\nTeam:\naccounts\n"
        "Is there a discount for charities?\nTeam:\nsales\n"
    ),
)

Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A frozen network and the rows that it is asked about.

    Args:
        model: the network.
        data: the rows.
        labels: the token id that each label begins with, ``[labels]``.
    """

    model: TransformersModel
    data: EncodedRows
    labels: Tensor

    @torch.no_grad()
    def scores(self, prompt: Tensor) -> Json:
        """Give accuracy, and mean loss in nats, of choosing among the labels after a soft prompt ``[P, H]``."""
        device = prompt.device
        shared = self.model.embed(torch.tensor(self.data.shared, dtype=torch.long, device=device))
        prefix = torch.cat([prompt, shared])
        right, loss = 0, 0.0
        for start in range(0, len(self.data.rows), AT_ONCE):
            rows = [(tokens, output[:1]) for tokens, output in self.data.rows[start : start + AT_ONCE]]
            packed = pack(rows, device=device)
            logits = self.model.label_logits(prefix, packed)[:, self.labels]  # [B, labels]
            truth = (packed.labels[:, None] == self.labels).int().argmax(1)  # [B]
            right += int((logits.argmax(1) == truth).sum())
            loss += float(cross_entropy(logits, truth, reduction="sum"))
        return {"accuracy": right / len(self.data.rows), "loss": loss / len(self.data.rows)}


@dataclass(frozen=True)
class Tuned:
    """A soft prompt before and after tuning.

    Args:
        start: before, ``[P, H]``.
        end: after, ``[P, H]``.
    """

    start: Tensor
    end: Tensor


class Workbench:
    """The base model, on a GPU where there is one, in float32, with its tokenizer.

    Args:
        source: of the base model.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        network = load_network(source).to("cuda" if torch.cuda.is_available() else "cpu")
        network.set_attn_implementation("eager")  # the only one that tells what it attends to
        self.model = TransformersModel(network)
        self.tokenizer = loading.load_tokenizer(source)

    def asked(self, rows: Sequence[TrainingRow], settings: TuningSettings) -> Asked:
        """Make rows ready to be asked about."""
        labels = sorted({row.output for row in rows})
        firsts = [tokens[0] for tokens in self.tokenizer(labels, add_special_tokens=False)["input_ids"]]
        device = self.model.embedding.device
        return Asked(self.model, encode_rows(rows, self.tokenizer, settings), torch.tensor(firsts, device=device))

    def tuned(self, rows: Sequence[TrainingRow], settings: TuningSettings, start: Tensor | None = None) -> Tuned:
        """Tune a soft prompt by the project's own engine; from another soft prompt, if one is given."""
        if start is None:
            start = initialise(self.model, self.tokenizer, settings)
        return Tuned(start, tune(self.model, start, encode_rows(rows, self.tokenizer, settings), settings))


def compute(source: str = DEFAULT_SOURCE) -> Json:
    """Compute all findings and their controls; see the functions below for what they hold."""
    bench = Workbench(source)
    rows = read_rows(reviews_path("train"))
    settings = replace(LOCAL_SETTINGS, num_virtual_tokens=VIRTUAL_TOKENS)
    prompts = [bench.tuned(rows, replace(settings, seed=seed)) for seed in SEEDS]
    test = [*read_rows(reviews_path("test")), *read_rows(DATA / "dog_grooming_reviews_holdout_data.json")]
    asked = bench.asked(test, settings)
    return {
        "source": source,
        "virtual_tokens": VIRTUAL_TOKENS,
        "test_reviews": len(asked.data.rows),
        "variants": [variants(prompt, asked, seed) for seed, prompt in zip(SEEDS, prompts, strict=True)],
        "geometry": [
            geometry(prompt, bench.model.embedding, seed) for seed, prompt in zip(SEEDS, prompts, strict=True)
        ],
        "between": between(prompts, asked),
        "attention": {
            "start": attention(prompts[0].start, asked),
            "end": attention(prompts[0].end, asked),
        },
        "transfer": transfer(bench, rows),
    }


def variants(prompt: Tuned, asked: Asked, seed: int) -> Json:
    """Score a soft prompt and what differs from it in one respect.

    Args:
        prompt: before and after tuning.
        asked: what is asked.
        seed: of what is random.

    Returns:
        Scores by name. ``random direction``: each virtual token moved from its start as far as tuning moved it, but in
        a random direction. ``other token's move``: the moves of tuning, dealt out anew. ``shuffled``: the tuned tokens
        in another order. ``moves alone``: the moves without the start. Where something is random, of several draws.
    """
    generator = torch.Generator().manual_seed(seed)
    move = prompt.end - prompt.start

    def draws(draw: Any) -> list[Json]:
        return [asked.scores(draw()) for _ in range(DRAWS)]

    def permutation() -> Tensor:
        return torch.randperm(len(move), generator=generator).to(move.device)

    return {
        "start": [asked.scores(prompt.start)],
        "tuned": [asked.scores(prompt.end)],
        "random direction": draws(lambda: prompt.start + _random_move(move, generator)),
        "other token's move": draws(lambda: prompt.start + move[permutation()]),
        "shuffled": draws(lambda: prompt.end[permutation()]),
        "moves alone": [asked.scores(move)],
        "half the way": [asked.scores(prompt.start + 0.5 * move)],
        "half the way further": [asked.scores(prompt.start + 1.5 * move)],
    }


def _random_move(move: Tensor, generator: torch.Generator) -> Tensor:
    """Draw moves of the same lengths in random directions."""
    drawn = torch.randn(move.shape, generator=generator).to(move.device)
    directions: Tensor = normalize(drawn, dim=1)
    moved: Tensor = directions * move.norm(dim=1, keepdim=True)
    return moved


def geometry(prompt: Tuned, embedding: Tensor, seed: int) -> list[Json]:
    """Tell how far each virtual token moved, and how far its word is still the nearest, beside what chance would do.

    Nearness is the cosine of the angle to a word's embedding, distance is in units of the mean length of embeddings.

    Args:
        prompt: before and after tuning; it starts from words.
        embedding: of the vocabulary, ``[vocabulary, H]``.
        seed: of the random moves.

    Returns:
        For each virtual token: ``moved``; ``cosine`` to where it started; ``rank`` of its own word among all (1: still
        the nearest); ``cosine of the next``, of the nearest other word; and ``random rank`` and ``random cosine`` after
        a move as far in a random direction, the mean of several draws. In many dimensions two random directions are
        all but perpendicular: a move as long as the start still leaves a cosine of 0.7, and no other word near.
    """
    generator = torch.Generator().manual_seed(seed)
    words = normalize(embedding.float(), dim=1)
    unit = embedding.float().norm(dim=1).mean()
    own = (normalize(prompt.start, dim=1) @ words.T).argmax(1)  # [P]
    move = prompt.end - prompt.start

    def look(moved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cosines = normalize(moved, dim=1) @ words.T  # [P, vocabulary]
        at_own = cosines.gather(1, own[:, None])  # [P, 1]
        ranks = (cosines > at_own).sum(1) + 1
        others = cosines.scatter(1, own[:, None], -1).amax(1)
        return ranks, at_own[:, 0], others

    ranks, cosines, others = look(prompt.end)
    drawn = [look(prompt.start + _random_move(move, generator)) for _ in range(DRAWS)]
    return [
        {
            "moved": float(move[index].norm() / unit),
            "cosine": float(cosines[index]),
            "rank": int(ranks[index]),
            "cosine of the next": float(others[index]),
            "random rank": float(torch.stack([draw[0][index] for draw in drawn]).float().mean()),
            "random cosine": float(torch.stack([draw[1][index] for draw in drawn]).mean()),
        }
        for index in range(len(move))
    ]


def between(prompts: Sequence[Tuned], asked: Asked) -> Json:
    """Tell whether several seeds found the same place.

    Args:
        prompts: of several seeds, from the same start.
        asked: what is asked.

    Returns:
        ``cosines`` between the moves of each two seeds, and ``lines``: for each two of the first three, the scores
        along the line through both, at ``steps``.
    """
    moves = [(prompt.end - prompt.start).flatten() for prompt in prompts]
    cosines = [float(normalize(one, dim=0) @ normalize(other, dim=0)) for one, other in combinations(moves, 2)]
    lines = [
        [asked.scores(one.end + step * (other.end - one.end)) for step in STEPS]
        for one, other in combinations(prompts[:3], 2)
    ]
    return {"cosines": cosines, "steps": STEPS, "lines": lines}


@torch.no_grad()
def attention(prompt: Tensor, asked: Asked) -> list[list[float]]:
    """Tell which share of its attention the last token of a review gives to each virtual token.

    Args:
        prompt: the soft prompt, ``[P, H]``.
        asked: the reviews, of which the first few are looked at.

    Returns:
        The mean over heads and reviews, ``[layers, P]``.
    """
    total: Tensor | float = 0.0
    rows = asked.data.rows[:ATTENTION_ROWS]
    for tokens, _ in rows:
        ids = torch.tensor([*asked.data.shared, *tokens], device=prompt.device)
        inputs = torch.cat([prompt, asked.model.embed(ids)])
        found = asked.model.network(inputs_embeds=inputs[None], output_attentions=True).attentions
        total = total + torch.stack([layer[0, :, -1, : len(prompt)].mean(0) for layer in found])
    assert isinstance(total, Tensor)
    shares: list[list[float]] = (total / len(rows)).tolist()
    return shares


def transfer(bench: Workbench, reviews: Sequence[TrainingRow]) -> Json:
    """Tell whether a soft prompt tuned on reviews is a good start for tickets, as Vu et al. found with other tasks.

    SPoT (2022, https://arxiv.org/abs/2110.07904). Measured on the tickets' validation file.

    Args:
        bench: the base model.
        reviews: the lesson's training rows.

    Returns:
        Scores after tuning on the tickets from three starts: the text that the reviews' soft prompt started from, this
        soft prompt as tuned on the reviews, and a text of solved tickets.
    """
    rows, held_back = (read_rows(DATA / f"support_tickets_{part}_data.json") for part in ("train", "validation"))
    asked = bench.asked(held_back, TICKETS)
    source = bench.tuned(reviews, LOCAL_SETTINGS)
    starts = {"the reviews' text": source.start, "tuned on reviews": source.end, "solved tickets": None}
    return {
        name: [asked.scores(bench.tuned(rows, replace(TICKETS, seed=seed), start).end) for seed in SEEDS[:3]]
        for name, start in starts.items()
    }


def main() -> None:
    """Read the command line and compute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="to write")
    parser.add_argument("--model", default=DEFAULT_SOURCE, help="source of the base model")
    options = parser.parse_args()
    options.file.write_text(json.dumps(compute(options.model), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
