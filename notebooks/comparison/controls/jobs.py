"""Runs one job of the controls, and tells by a computation in small what the code computes."""

import gc
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import singledispatch
from pathlib import Path
from typing import Any

import torch

from prompt_tuning_helpers.engine.rows import EncodedRows, encode_rows, read_rows
from prompt_tuning_helpers.engine.soft_prompt import initialise

from ..behaviour import DIGITS, Behaviour, small_network
from ..jobs import Result, kept_model, made
from ..methods import Recipe
from ..networks import BaseModel
from ..plan import DATA
from . import findings
from .kinds import (
    KINDS,
    REVIEWS_RANDOM,
    REVIEWS_TEXT,
    REVIEWS_TUNED,
    START,
    TICKETS_TEXT,
    Attention,
    Cosines,
    Geometry,
    Job,
    Line,
    Transfer,
    Tuning,
    Variant,
)
from .plan import TICKET_FILES, TICKETS, Plan
from .reviews import asked_reviews
from .soft_prompts import Asked, Tuned, ask_about, review_settings, tuned_prompt

SMALL_RATE = 0.2  # moves virtual tokens so far that it makes a difference where to
KEPT_DIGITS = 6  # of attention; at five, rounding alone would look like code that computes something else
JUMPING = ("accuracy", "rank", "random rank", "token", "nearest")  # what a rounding error may change by a whole step


def run(plan: Plan, job: Job, device: str = "cpu") -> Result:
    """Give a job's result, for JSON, with when it was made, on which machine, and by which versions of the libraries.

    Args:
        plan: what the job belongs to.
        job: what to do.
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        FloatingPointError: if tuning gives no numbers.
    """
    try:
        return _result(job, plan, kept_model(plan.model, device)) | made(device)
    finally:
        gc.collect()
        torch.cuda.empty_cache()


@singledispatch
def _result(job: Any, plan: Plan, base: BaseModel) -> Result:
    raise TypeError(f"Nothing says how a {type(job).__name__} is run.")


@_result.register
def _(job: Tuning, plan: Plan, base: BaseModel) -> Result:
    """Tune, and tell how far it went in all."""
    prompt = tuned_prompt(plan, job.seed, base, anew=True)
    return {"moved": float(prompt.move.norm() / prompt.start.norm())}


@_result.register
def _(job: Variant, plan: Plan, base: BaseModel) -> Result:
    if job.variant == START:
        start = initialise(base.tunable, base.tokenizer, review_settings(plan, job.seed))
        prompt = Tuned(start, start)
    else:
        prompt = tuned_prompt(plan, job.seed, base)
    asked = _reviews(plan, base)
    return {"scores": [asked.score(each) for each in findings.variants(prompt, job.variant, job.seed, plan.draws)]}


@_result.register
def _(job: Geometry, plan: Plan, base: BaseModel) -> Result:
    prompt = tuned_prompt(plan, job.seed, base)
    found = findings.geometry(prompt, base.tunable.embedding, job.seed, plan.draws, plan.reaches)
    for token in found["tokens"]:
        token["word"] = base.tokenizer.decode([token.pop("token")])
    return found


@_result.register
def _(job: Cosines, plan: Plan, base: BaseModel) -> Result:
    prompts = [tuned_prompt(plan, seed, base) for seed in job.seeds]
    return {"cosines": findings.cosines_between(prompts), "numbers": prompts[0].move.numel()}


@_result.register
def _(job: Line, plan: Plan, base: BaseModel) -> Result:
    one, other = (tuned_prompt(plan, seed, base) for seed in (job.seed, job.other))
    return {"scores": findings.between(one, other, plan.steps, _reviews(plan, base))}


@_result.register
def _(job: Attention, plan: Plan, base: BaseModel) -> Result:
    """Look at the start, at the tuned soft prompt, and at one moved as far at random."""
    prompt = tuned_prompt(plan, job.seed, base)
    moved = prompt.start + findings.random_move(prompt.move, torch.Generator().manual_seed(job.seed))
    data = _reviews(plan, base).data
    every = max(1, len(data.rows) // plan.attention_reviews)
    data = EncodedRows(data.shared, data.rows[::every][: plan.attention_reviews])
    with _visible_attention(base):
        shares = {
            name: findings.attention(each, base.forward, data)
            for name, each in (("start", prompt.start), ("tuned", prompt.end), ("random", moved))
        }
    return {
        name: [[round(x, KEPT_DIGITS) for x in layer] for layer in share.tolist()] for name, share in shares.items()
    }


@contextmanager
def _visible_attention(base: BaseModel) -> Iterator[None]:
    """Have the network compute attention in the one way in which it tells what it attends to."""
    usual = base.network.config._attn_implementation
    base.network.set_attn_implementation("eager")
    try:
        yield
    finally:
        base.network.set_attn_implementation(usual)


@_result.register
def _(job: Transfer, plan: Plan, base: BaseModel) -> Result:
    settings = replace(plan.tickets, num_virtual_tokens=plan.virtual_tokens, seed=job.seed)
    rows, held_back = (read_rows(DATA / name)[: plan.ticket_rows] for name in TICKET_FILES)
    asked = ask_about(held_back, base, settings)
    if job.start == TICKETS_TEXT:
        start = initialise(base.tunable, base.tokenizer, settings)
    elif job.start == REVIEWS_TEXT:
        start = initialise(base.tunable, base.tokenizer, review_settings(plan, job.seed))
    else:
        prompt = tuned_prompt(plan, job.seed, base)
        random = findings.random_move(prompt.move, torch.Generator().manual_seed(job.seed))
        start = {REVIEWS_TUNED: prompt.end, REVIEWS_RANDOM: prompt.start + random}[job.start]
    data = encode_rows(rows, base.tokenizer, settings)
    return {"scores": findings.transfer(start, data, settings, asked)}


def _reviews(plan: Plan, base: BaseModel) -> Asked:
    return ask_about(asked_reviews(plan), base, review_settings(plan, plan.seeds[0]))


def small_plan(model: str, cache: Path) -> Plan:
    """Make a plan of all kinds of jobs, in small.

    Args:
        model: source of a model, of few and small layers.
        cache: folder of tuned soft prompts.
    """
    return Plan(
        Recipe(SMALL_RATE, 2),
        "a test",
        model,
        virtual_tokens=4,
        rows=16,
        seeds=(0, 1),
        every=120,
        draws=2,
        reaches=(1, 8),
        lines=2,
        steps=(0.5,),
        attention_reviews=3,
        transfer_seeds=1,
        tickets=replace(TICKETS, num_epochs=1, learning_rate=SMALL_RATE),
        ticket_rows=16,
        cache=cache,
    )


def behaviour_in_small() -> dict[str, Behaviour]:
    """Compute each kind of job in small, as ``comparison.behaviour`` does for methods.

    Returns:
        By kind of job, the numbers that its jobs gave, less those that change by whole steps.
    """
    with small_network() as model, tempfile.TemporaryDirectory() as cache:
        plan = small_plan(model, Path(cache))
        base = BaseModel(model)
        results = [(job.kind, _result(job, plan, base)) for job in plan.jobs]
    return {
        kind.kind: {"numbers": [x for name, result in results if name == kind.kind for x in _numbers(result)]}
        for kind in KINDS
    }


def _numbers(found: Any) -> list[float]:
    """List the numbers in a result, however deep."""
    if isinstance(found, dict):
        return [x for name, value in found.items() if name not in JUMPING for x in _numbers(value)]
    if isinstance(found, list):
        return [x for value in found for x in _numbers(value)]
    return [float(f"{found:.{DIGITS}g}")] if isinstance(found, int | float) else []
