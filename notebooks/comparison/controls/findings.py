"""What is special about tuned soft prompts, each finding with its control. P virtual tokens, H hidden size."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.rows import EncodedRows
from prompt_tuning_helpers.engine.settings import TuningSettings
from prompt_tuning_helpers.engine.tune import Progress, tune

from .kinds import DEALT, DRAWN, FURTHER, HALF, MOVES, RANDOM, SHUFFLED, START, TUNED
from .soft_prompts import Asked, Score, Tuned


def random_move(move: Tensor, generator: torch.Generator) -> Tensor:
    """Draw moves of the same lengths in random directions, ``[P, H]``."""
    drawn = torch.randn(move.shape, generator=generator).to(move.device)
    directions: Tensor = normalize(drawn, dim=1)
    moved: Tensor = directions * move.norm(dim=1, keepdim=True)
    return moved


def dealt_out(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Put rows ``[P, H]`` into a random order in which at least one has another place, if there are two."""
    order = torch.arange(len(rows))
    while len(rows) > 1 and (order == torch.arange(len(rows))).all():
        order = torch.randperm(len(rows), generator=generator)
    return rows[order.to(rows.device)]


def variants(prompt: Tuned, name: str, seed: int, draws: int) -> list[Tensor]:
    """Give a soft prompt, or what differs from it in one respect.

    Args:
        prompt: before and after tuning.
        name: ``start`` and ``tuned`` are before and after. ``random direction``: each virtual token moved from its
            start as far as tuning moved it, but in a random direction. ``other token's move``: the moves of tuning,
            dealt out anew. ``shuffled``: the tuned tokens in another order. ``moves alone``: the moves without the
            start. ``half the way`` and ``half the way further``: 0.5 and 1.5 times the moves.
        seed: of what is random.
        draws: how many of what is random.

    Returns:
        Soft prompts ``[P, H]``: one, or as many as are drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    start, end, move = prompt.start, prompt.end, prompt.move
    make: dict[str, Callable[[], Tensor]] = {
        START: lambda: start,
        TUNED: lambda: end,
        RANDOM: lambda: start + random_move(move, generator),
        DEALT: lambda: start + dealt_out(move, generator),
        SHUFFLED: lambda: dealt_out(end, generator),
        MOVES: lambda: move,
        HALF: lambda: start + 0.5 * move,
        FURTHER: lambda: start + 1.5 * move,
    }
    return [make[name]() for _ in range(draws if name in DRAWN else 1)]


def geometry(prompt: Tuned, embedding: Tensor, seed: int, draws: int, reaches: Sequence[int]) -> dict[str, Any]:
    """Tell how far each virtual token moved, and whether its word is still the nearest, beside what chance would do.

    Nearness is the cosine of the angle to a word's embedding, distance is in units of the mean length of embeddings.
    In many dimensions two random directions are all but perpendicular. So a random move of length m takes a start of
    length s to a cosine of s / √(s² + m²), and brings it no nearer to any other word.

    Args:
        prompt: before and after tuning; it starts from words.
        embedding: of the vocabulary, ``[vocabulary, H]``.
        seed: of the random moves.
        draws: of these.
        reaches: how many times the moves are made, to see when the virtual tokens leave their words.

    Returns:
        ``tokens``: for each the ``token`` id of its word; how far it ``moved``; the ``cosine`` to where it started,
        and the one that is ``predicted`` of a random move as long; the ``rank`` of its own word among all (1: still the
        nearest); the cosine of the nearest ``other`` word; and ``random rank`` and ``random cosine``, means over random
        moves as long. ``nearest``: the share of virtual tokens that are nearest to their own word after so many times
        the ``tuned`` and the ``random`` moves.
    """
    generator = torch.Generator().manual_seed(seed)
    words = normalize(embedding.float(), dim=1)
    unit = embedding.float().norm(dim=1).mean()
    start, move = prompt.start, prompt.move
    own = (normalize(start, dim=1) @ words.T).argmax(1)  # [P]

    def look(moved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cosines = normalize(moved, dim=1) @ words.T  # [P, vocabulary]
        at_own = cosines.gather(1, own[:, None])  # [P, 1]
        others = cosines.scatter(1, own[:, None], -1).amax(1)
        return (cosines > at_own).sum(1) + 1, at_own[:, 0], others

    def share(moves: Sequence[Tensor], times: int) -> float:
        return float(torch.stack([look(start + times * each)[0] == 1 for each in moves]).float().mean())

    ranks, cosines, others = look(prompt.end)
    random_moves = [random_move(move, generator) for _ in range(draws)]
    looked = [look(start + each) for each in random_moves]
    lengths, starts = move.norm(dim=1), start.norm(dim=1)
    columns = {
        "token": own,
        "moved": lengths / unit,
        "cosine": cosines,
        "predicted": starts / (starts**2 + lengths**2).sqrt(),
        "rank": ranks,
        "other": others,
        "random rank": torch.stack([found[0] for found in looked]).float().mean(0),
        "random cosine": torch.stack([found[1] for found in looked]).mean(0),
    }
    values = {name: column.tolist() for name, column in columns.items()}
    return {
        "tokens": [{name: column[index] for name, column in values.items()} for index in range(len(move))],
        "nearest": {
            "tuned": [share([move], times) for times in reaches],
            "random": [share(random_moves, times) for times in reaches],
        },
    }


def cosines_between(prompts: Sequence[Tuned]) -> list[float]:
    """Give the cosine of the moves of each two soft prompts, as vectors of all P * H numbers."""
    moves = [normalize(prompt.move.flatten(), dim=0) for prompt in prompts]
    return [float((one @ other).clamp(-1, 1)) for one, other in combinations(moves, 2)]


def between(one: Tuned, other: Tuned, steps: Sequence[float], asked: Asked) -> list[Score]:
    """Score soft prompts on the line from one, at 0, to another, at 1."""
    return [asked.score(one.end + step * (other.end - one.end)) for step in steps]


@torch.no_grad()
def attention(prompt: Tensor, forward: TransformersModel, data: EncodedRows) -> Tensor:
    """Tell which share of its attention the last token of a row gives to each virtual token.

    Args:
        prompt: the soft prompt, ``[P, H]``.
        forward: the model, whose network must compute attention as ``"eager"`` does.
        data: the rows.

    Returns:
        The mean over heads and rows, ``[layers, P]``.
    """
    total = torch.zeros((), device=prompt.device)
    for tokens, _ in data.rows:
        inputs = torch.cat([prompt, forward.embed(torch.tensor([*data.shared, *tokens], device=prompt.device))])
        found = forward.network(inputs_embeds=inputs[None], output_attentions=True, logits_to_keep=1).attentions
        total = total + torch.stack([layer[0, :, -1, : len(prompt)].mean(0) for layer in found])
    return total / len(data.rows)


def transfer(start: Tensor, rows: EncodedRows, settings: TuningSettings, asked: Asked) -> list[Score]:
    """Tune a soft prompt from a start, and score it before and after each pass.

    That a soft prompt tuned on one task can be a good start for another is what SPoT found (Vu et al., 2022,
    https://arxiv.org/abs/2110.07904).

    Args:
        start: the soft prompt to start from, ``[P, H]``.
        rows: of the other task.
        settings: how to tune.
        asked: what it is asked about.
    """
    scores = [asked.score(start)]

    def report(progress: Progress) -> None:
        if progress.ends_epoch:
            scores.append(asked.score(progress.prompt))

    tune(asked.model, start, rows, settings, report=report)
    return scores
