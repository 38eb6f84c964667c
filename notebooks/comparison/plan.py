"""The plan of the comparison: methods, amounts of data and seeds, and the jobs that fill its table.

A job carries all that its result depends on, so that a stored result can be told from one of other settings.
Importing this module is cheap; it needs no torch.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from prompt_tuning_helpers.datasets import reviews_path
from prompt_tuning_helpers.engine.defaults import default_settings
from prompt_tuning_helpers.engine.models import DEFAULT_SOURCE, TINY_SOURCE

from .hard_prompts import WORDINGS

RECIPE = 1  # raise it when the code gives other results for the same settings


@dataclass(frozen=True)
class Method:
    """One way to teach the task to a language model.

    Args:
        name: short, as in the names of files.
        title: as people read it.
        family: which of the lesson's methods it belongs to.
        candidates: what the search chooses among: learning rates, the inverse strength of regularisation, or hard
            prompts by their wording and number of examples.
        epochs: numbers of training rows, rising, each with the passes over so many. Fewer rows get more of them, as
            one does in practice.
        virtual_tokens: of a soft prompt or a prefix.
        init_method: of a soft prompt or a prefix, ``"text"`` or ``"random"``.
        rank: of LoRA's matrices.
        searched_as: the method whose search counts, if it is not this one's own.
        learns_from_little: whether it is also measured on fewer rows.
        searched_per_seed: whether the choice depends on what the seed draws, as that of examples does.
    """

    name: str
    title: str
    family: str
    candidates: tuple[str, ...] = ()
    epochs: tuple[tuple[int, int], ...] = ()
    virtual_tokens: int = 0
    init_method: str = ""
    rank: int = 0
    searched_as: str = ""
    learns_from_little: bool = False
    searched_per_seed: bool = False

    def epochs_on(self, rows: int) -> int:
        """Passes over so many training rows, or the next number above that has any."""
        return next((epochs for known, epochs in self.epochs if known >= rows), self.epochs[-1][1])


HARD_PROMPT, PROMPT_TUNING, PREFIX_TUNING = "prompt engineering", "prompt tuning", "prefix tuning"
LORA, FULL_FINE_TUNING, CLASSIC = "LoRA", "full fine-tuning", "classic baseline"

# A few vectors in front of a frozen model take more passes to learn than its own weights do.
_FEW_PARAMETERS = ((20, 6), (80, 4), (320, 3))
_MANY_PARAMETERS = ((20, 6), (80, 3), (320, 1))

METHODS = (
    Method("zero-shot", "hard prompt, no examples", HARD_PROMPT, tuple(f"{wording} 0" for wording in WORDINGS)),
    Method(
        "few-shot",
        "hard prompt, 4 or 8 examples",
        HARD_PROMPT,
        tuple(f"{wording} {examples}" for wording in WORDINGS for examples in (4, 8)),
        searched_per_seed=True,
    ),
    Method(
        "prompt-20",
        "prompt tuning, 20 virtual tokens",
        PROMPT_TUNING,
        epochs=_FEW_PARAMETERS,
        virtual_tokens=20,
        init_method="text",
        searched_as="prompt-50",
    ),
    Method(
        "prompt-50",
        "prompt tuning, 50 virtual tokens",
        PROMPT_TUNING,
        candidates=("0.01", "0.02", "0.04"),
        epochs=_FEW_PARAMETERS,
        virtual_tokens=50,
        init_method="text",
    ),
    Method(
        "prompt-100",
        "prompt tuning, 100 virtual tokens",
        PROMPT_TUNING,
        epochs=_FEW_PARAMETERS,
        virtual_tokens=100,
        init_method="text",
        searched_as="prompt-50",
        learns_from_little=True,
    ),
    Method(
        "prompt-50-random",
        "prompt tuning, 50 virtual tokens, random start",
        PROMPT_TUNING,
        candidates=("0.03", "0.1", "0.3"),
        epochs=_FEW_PARAMETERS,
        virtual_tokens=50,
        init_method="random",
    ),
    Method(
        "prefix-20",
        "prefix tuning, 20 virtual tokens",
        PREFIX_TUNING,
        candidates=("0.01", "0.03", "0.1"),
        epochs=_FEW_PARAMETERS,
        virtual_tokens=20,
        init_method="text",
        learns_from_little=True,
    ),
    Method(
        "lora-8",
        "LoRA, rank 8",
        LORA,
        candidates=("0.001", "0.003", "0.01"),
        epochs=_MANY_PARAMETERS,
        rank=8,
        learns_from_little=True,
    ),
    Method(
        "full",
        "full fine-tuning",
        FULL_FINE_TUNING,
        candidates=("0.00001", "0.00003", "0.0001"),
        epochs=_MANY_PARAMETERS,
        learns_from_little=True,
    ),
    Method(
        "tf-idf",
        "TF-IDF, logistic regression",
        CLASSIC,
        candidates=("1", "10", "100"),
        learns_from_little=True,
    ),
)


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Args:
        model: source of the base model.
        methods: the rows of the table.
        rows: numbers of training rows, in rising order; the table shows the last.
        seeds: each draws training rows (of 320 it takes all), their order, random starting points, and examples.
        search_rows: training rows of a search, which is measured on as many others.
        test_rows: how many rows of the test file are asked about.
        opened: the method whose soft prompt is looked into; its first seed's.
    """

    model: str = DEFAULT_SOURCE
    methods: tuple[Method, ...] = METHODS
    rows: tuple[int, ...] = (20, 80, 320)
    seeds: tuple[int, ...] = (0, 1, 2)
    search_rows: int = 80
    test_rows: int = 120
    opened: str = "prompt-20"

    def method(self, name: str) -> Method:
        """The method of this name."""
        return next(method for method in self.methods if method.name == name)


FULL = Plan()
# Every method once, in seconds: what tests recompute.
SMALL = Plan(model=TINY_SOURCE, rows=(20,), seeds=(0,), search_rows=20, test_rows=12)


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Args:
        name: of the file that holds its result.
        settings: all that the result depends on, as JSON.
    """

    name: str
    settings: dict[str, Any]


def searches(plan: Plan) -> list[Job]:
    """The jobs that choose among candidates, on training rows alone."""
    jobs = []
    for method in plan.methods:
        seeds = plan.seeds if method.searched_per_seed else plan.seeds[:1]
        if method.candidates:
            jobs += [_job(f"search-{method.name}-seed-{seed}", "search", plan, method, seed) for seed in seeds]
    return jobs


def search_of(plan: Plan, method: Method, seed: int) -> Job:
    """The search that chose what a method uses with a seed."""
    searched = plan.method(method.searched_as) if method.searched_as else method
    jobs = {job.name: job for job in searches(plan)}
    own = f"search-{searched.name}-seed-{seed}"
    return jobs.get(own) or jobs[f"search-{searched.name}-seed-{plan.seeds[0]}"]


def measurement(plan: Plan, method: Method, rows: int, seed: int, chosen: str) -> Job:
    """The job that measures a method on the test file.

    Args:
        plan: what it belongs to.
        method: what is measured.
        rows: how many training rows it learns from.
        seed: which of them, and what else is random.
        chosen: what the search chose.
    """
    name = f"{method.name}-{rows}-rows-seed-{seed}"
    job = _job(name, "measure", plan, method, seed)
    opened = method.name == plan.opened and rows == plan.rows[-1] and seed == plan.seeds[0]
    return Job(name, job.settings | {"rows": rows, "chosen": chosen, "opened": opened})


def rows_of(plan: Plan, method: Method) -> tuple[int, ...]:
    """The numbers of training rows that a method is measured on."""
    return plan.rows if method.learns_from_little else plan.rows[-1:]


def _job(name: str, task: str, plan: Plan, method: Method, seed: int) -> Job:
    lesson = asdict(default_settings(DEFAULT_SOURCE))
    described = asdict(method)
    del described["title"]  # what it is called changes nothing
    settings = {
        "task": task,
        "recipe": RECIPE,
        "model": plan.model,
        "data": {name: _digest(name) for name in ("train", "test")},
        "method": described,
        "seed": seed,
        "search_rows": plan.search_rows,
        "test_rows": plan.test_rows,
        "lesson": {name: lesson[name] for name in ("batch_size", "init_text", "max_input_tokens", "verbalizer")},
    }
    if method.family == HARD_PROMPT:
        settings["wordings"] = {name: asdict(wording) for name, wording in WORDINGS.items()}
    return Job(name, json.loads(json.dumps(settings)))


def _digest(split: str) -> str:
    return hashlib.sha256(reviews_path(split).read_bytes()).hexdigest()
