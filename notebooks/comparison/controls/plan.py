"""What is computed about soft prompts: the recipe of these, the jobs, and what their results depend on.

Importing this module is cheap; it needs no torch.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from prompt_tuning_helpers.engine.settings import TuningSettings
from prompt_tuning_helpers.engine.sources import DEFAULT_SOURCE
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS

from ..methods import TEMPLATES, PromptTuning, Recipe
from ..plan import DATA, FULL, data_files, lesson_settings
from ..plan import Plan as ComparisonPlan
from ..store import Store
from .kinds import START, STARTS, VARIANTS, Attention, Cosines, Geometry, Job, Line, Transfer, Tuning, Variant

CACHE = Path(__file__).parents[3] / "build" / "controls"
SEARCHED, LESSON = "the comparison's search", "the lesson's settings"  # where a recipe is from

TICKET_FILES = ("support_tickets_train_data.json", "support_tickets_validation_data.json")
# How the tickets of data/SUPPORT_TICKETS.md are asked about, and a text of solved ones.
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


@dataclass(frozen=True)
class Plan:
    """What is computed.

    Args:
        recipe: how the soft prompts are tuned.
        recipe_from: where the recipe is from, in words.
        model: source of the base model.
        virtual_tokens: few enough to look at each.
        rows: training reviews.
        seeds: each gives one soft prompt; they have the start in common.
        every: of each label, one test review in so many is asked about, to save time.
        draws: of what is random in a control.
        reaches: how many times as far as in tuning virtual tokens are moved, to see when they leave their words; one
            of them is 1.
        lines: how many of the seeds lines are drawn between, each with each.
        steps: where on the line it is looked, from the first, 0, to the second, 1; the ends are known.
        attention_reviews: how many of these test reviews are looked at for that.
        transfer_seeds: how many of the seeds are used for that.
        tickets: how soft prompts for tickets are tuned, and what text they may start from.
        ticket_rows: how many tickets there are to learn from, and to ask about, at most; ``None`` for all.
        cache: folder of tuned soft prompts.
    """

    recipe: Recipe
    recipe_from: str
    model: str = DEFAULT_SOURCE
    virtual_tokens: int = 20
    rows: int = 320
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    every: int = 3
    draws: int = 3
    reaches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    lines: int = 3
    steps: tuple[float, ...] = tuple(step / 8 for step in range(1, 8))
    attention_reviews: int = 60
    transfer_seeds: int = 3
    tickets: TuningSettings = TICKETS
    ticket_rows: int | None = None
    cache: Path = CACHE

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs; what matters most comes first."""
        variants = [Variant(seed, name) for name in VARIANTS for seed in self._seeds_of(name)]
        pairs = combinations(self.seeds[: self.lines], 2)
        starts = [Transfer(seed, start) for seed in self.seeds[: self.transfer_seeds] for start in STARTS]
        return (
            *map(Tuning, self.seeds),
            *variants,
            *map(Geometry, self.seeds),
            Cosines(self.seeds),
            *(Line(one, other) for one, other in pairs),
            *map(Attention, self.seeds),
            *starts,
        )

    def _seeds_of(self, variant: str) -> tuple[int, ...]:
        """Give the seeds that a variant is of: one, where all have the same."""
        return self.seeds[:1] if variant == START else self.seeds

    def settings(self, kind: type[Job]) -> dict[str, Any]:
        """Give what the results of a kind of job depend on beside what its name says, for JSON."""
        settings: dict[str, Any] = {
            "model": self.model,
            "data": _hashes(data_files()),
            "lesson": lesson_settings(),
            "virtual_tokens": self.virtual_tokens,
            "rows": self.rows,
            "recipe": asdict(self.recipe) | {"template": TEMPLATES[self.recipe.template]},
        }
        if kind in (Variant, Line, Attention):
            settings |= {"every": self.every}
        if kind in (Variant, Geometry):
            settings |= {"draws": self.draws}
        if kind is Geometry:
            settings |= {"reaches": list(self.reaches)}
        if kind is Line:
            settings |= {"steps": list(self.steps)}
        if kind is Attention:
            settings |= {"attention_reviews": self.attention_reviews}
        if kind is Transfer:
            tickets = {name: value for name, value in asdict(self.tickets).items() if value is not None}
            settings |= {"tickets": tickets, "ticket_data": _hashes(TICKET_FILES), "ticket_rows": self.ticket_rows}
        return settings


def _hashes(names: Sequence[str]) -> dict[str, str]:
    return {name: hashlib.sha256((DATA / name).read_bytes()).hexdigest() for name in names}


def plan_of(results: Path, plan: ComparisonPlan = FULL) -> Plan:
    """Plan with the recipe that the comparison's search chose; with the lesson's settings, if it has not ended yet.

    Args:
        results: file of the comparison's results.
        plan: what these results have to be of.
    """
    store = Store.read(results, plan)
    method, rows = plan.method(plan.opened), plan.rows[-1]
    assert isinstance(method, PromptTuning)
    chosen = [job.candidate for job in store.measurements() if (job.method, job.rows) == (method, rows)]
    if chosen and isinstance(chosen[0], Recipe):
        recipe, recipe_from = chosen[0], SEARCHED
    else:
        recipe, recipe_from = Recipe(LOCAL_SETTINGS.learning_rate, LOCAL_SETTINGS.num_epochs), LESSON
    return Plan(
        recipe,
        recipe_from,
        model=plan.model,
        virtual_tokens=method.virtual_tokens,
        rows=rows,
        seeds=plan.seeds,
    )
