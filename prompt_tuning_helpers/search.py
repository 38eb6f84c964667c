"""The search for settings that suit a base model and a task, in short runs through the SDK, on any service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from ._search_runs import Candidate, Judge, Row, Runs, Scoring, what_happened
from .base_models import require_offered, tunable_models
from .datasets.rows import require_usable_frame
from .engine.search_plan import (
    STEP,
    Round,
    SearchError,
    Trial,
    best_of,
    full_epochs,
    hold_back,
    is_at_the_edge,
    labels_in,
    plan_rounds,
    rates_for,
    require_two_outputs,
    solved_examples,
    stratified_order,
    unit_of,
)
from .i18n import paragraph, say
from .tuning import PromptTuningSettings

if TYPE_CHECKING:
    import pandas as pd
    from ibm_watsonx_ai import APIClient

__all__ = ["SearchError", "SettingsSearch", "Trial", "search_settings"]


@dataclass(frozen=True, eq=False)
class SettingsSearch:
    """What a search found; printed, the verdict and the table.

    Args:
        settings: the best, with epochs for all training rows, for ``prompt_tuner`` with ``init_method="text"``.
        best: the run that they were chosen for.
        trials: all runs, in the order in which they were made.
        starts: the template and the initial text of each start that the runs name by its number.
        held_back: the number of rows that the answers to were scored.
        ended_early: why not all runs were made; ``None`` if all were.
    """

    settings: PromptTuningSettings
    best: Trial
    trials: tuple[Trial, ...]
    starts: tuple[tuple[str, str], ...]
    held_back: int
    ended_early: str | None = None

    @property
    def table(self) -> "pd.DataFrame":
        """All runs, one line each, in the order in which they were made."""
        import pandas as pd

        rows = []
        for trial in self.trials:
            low, high = (None, None) if trial.interval is None else (round(end, 2) for end in trial.interval)
            rows.append(
                {
                    say("round"): trial.round,
                    say("learning rate"): trial.learning_rate,
                    say("virtual tokens"): trial.num_virtual_tokens,
                    say("start"): trial.start,
                    say("rows"): trial.rows,
                    say("epochs"): trial.epochs,
                    say("score"): None if trial.score is None else round(trial.score, 3),
                    say("interval from"): low,
                    say("interval to"): high,
                    say("final loss"): None if trial.final_loss is None else round(trial.final_loss, 3),
                    say("seconds"): round(trial.seconds, 1),
                    say("what happened"): what_happened(trial, chosen=trial is self.best),
                }
            )
        return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name=say("run")))

    @property
    def verdict(self) -> str:
        """The result in plain words."""
        sentences = [
            say(
                "Best of {runs} short runs: learning rate {rate:g}. It answers {rows} held-back rows with a score of "
                "{score:.3f} ({low:.2f} to {high:.2f}).",
                runs=len(self.trials),
                rate=self.best.learning_rate,
                rows=self.held_back,
                score=self.best.score,
                low=self.best.interval[0] if self.best.interval else 0.0,
                high=self.best.interval[1] if self.best.interval else 1.0,
            )
        ]
        if self.ended_early is not None:
            sentences.append(
                say("The search ended early, so this is the best of what was tried: {why}", why=self.ended_early)
            )
        if not self.best.learnt:
            sentences.append(
                say(
                    "But that is no better than always giving the most frequent output: nothing was learnt. Check the "
                    "template and the rows, or choose another base model."
                )
            )
        elif is_at_the_edge(self.best, self.trials):
            sentences.append(
                say("This is the lowest or the highest rate that was tried: rates=[...] tries others, beyond it.")
            )
        return paragraph(*sentences)

    def __str__(self) -> str:
        """Write the verdict and the table."""
        return f"{self.verdict}\n\n{self.table.to_string(na_rep='')}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p>{escape(self.verdict)}</p>{self.table.to_html(na_rep='')}"


def search_settings(
    client: "APIClient",
    base_model: str,
    rows: "pd.DataFrame | Sequence[Mapping[str, Any]]",
    *,
    held_back: "pd.DataFrame | Sequence[Mapping[str, Any]] | None" = None,
    rates: Sequence[float] = (),
    templates: Sequence[str] = (),
    init_texts: Sequence[str] = (),
    settings: PromptTuningSettings | None = None,
    labels: Sequence[str] = (),
    score: Scoring | None = None,
    seed: int = 0,
    minutes: float | None = None,
    every: float = 2.0,
) -> SettingsSearch:
    """Find settings that suit a base model and a task.

    Some rows are held back. Every learning rate, with every template and initial text, gets a short tuning run on a
    part of the others; the tuned model is deployed and asked the held-back rows; and the best go on into a longer run
    (successive halving: Jamieson and Talwalkar, 2016, https://arxiv.org/abs/1502.07943). What the search makes on the
    service is deleted again. Ctrl-C ends it early, with the best of what it has found.

    The length of the soft prompt cannot be searched in this way, since the SDK has no parameter for it. On your own
    computer, ``python -m prompt_tuning_helpers.engine search`` does that.

    Args:
        client: of the SDK, with its project set.
        base_model: its id.
        rows: training rows with ``input`` and ``output``, as ``datasets.load_rows`` gives them. Never the test rows.
        held_back: rows to compare the settings on; by default, a quarter of the rows, at most 64.
        rates: learning rates to try. By default a range around what suits the size of the model's embeddings, or a
            wide one where the service does not tell that.
        templates: verbalizers to compare; by default that of ``settings``.
        init_texts: texts to start from, to compare; by default that of ``settings``, or the shortest rows.
        settings: where those come from that are not searched, its number of epochs included; by default, neutral ones.
        labels: the outputs that there are; by default those in the rows if they are few.
        score: scores answers, given the right outputs and the answers, from 0 to 1. By default the share that names
            the right label; where the outputs are no labels, the share that is exactly the right output.
        seed: decides which rows are held back.
        minutes: after which the search ends with the best of what it has found, unless that is nothing; by default,
            when all runs are made.
        every: seconds between two requests while a run is going on.

    Returns:
        The best settings and a table of all runs.

    Raises:
        SearchError: if there are too few rows or only one output, or if every run failed.
        DatasetError: if a row cannot be used.
        NoTunableModelError: if the service does not offer the model for prompt tuning.
        WMLClientError: if the service cannot be used; the error is noted in the result instead if a run is done.
        KeyboardInterrupt: if the search is interrupted before one run is done.
    """
    training, asked = _divide(rows, held_back, seed)
    spec = _spec_of(client, base_model)
    base = settings or _neutral_settings()
    texts = tuple(init_texts) or ((settings.init_text,) if settings else (_text_of(training),))
    starts = tuple(dict.fromkeys(product(tuple(templates) or (base.verbalizer,), texts)))
    local = spec.get("local_runtime")
    rms = local.get("embedding_rms") if isinstance(local, Mapping) else None
    tried = tuple(dict.fromkeys(rates)) or rates_for(unit_of("text", rms))
    candidates = [Candidate(rate, place) for place, _ in enumerate(starts, start=1) for rate in tried]
    plan = plan_rounds(len(candidates), len(training), base.batch_size * base.accumulate_steps)
    known = tuple(labels) or labels_in([row["output"] for row in [*training, *asked]])
    judge = Judge(asked, known, score)
    _announce(tried, plan, len(asked), is_local=local is not None)
    searching = Runs(client, base_model, base, starts, training, judge, plan, every, local is not None, minutes)
    ended_early = searching.make(candidates)
    best = best_of(searching.trials)
    if best is None:
        raise SearchError(f"All runs of the search failed. The first: {searching.trials[0].failure}")
    template, text = starts[best.start - 1]
    found = replace(base, learning_rate=best.learning_rate, verbalizer=template, init_text=text)
    if settings is None:
        whole = len(training) + (len(asked) if held_back is None else 0)
        rows_per_update = base.batch_size * base.accumulate_steps
        found = replace(found, num_epochs=full_epochs(whole, rows_per_update, len(known)))
    return SettingsSearch(found, best, tuple(searching.trials), starts, len(asked), ended_early)


def _spec_of(client: "APIClient", base_model: str) -> dict[str, Any]:
    """Give what the service says of a base model.

    Raises:
        NoTunableModelError: if it cannot be tuned there.
    """
    specs = {spec["model_id"]: spec for spec in tunable_models(client)}
    return specs[require_offered(base_model, list(specs))]


def _divide(rows: Any, held_back: Any, seed: int) -> tuple[list[Row], list[Row]]:
    """Give the rows to tune on, in an order whose beginnings can stand for all, and those to ask.

    Raises:
        DatasetError: if a row cannot be used.
        SearchError: if there are too few rows or outputs.
    """
    given = _as_rows(rows, say("the data"))
    outputs = [row["output"] for row in given]
    if held_back is not None:
        require_two_outputs(outputs)
        return [given[index] for index in stratified_order(outputs, seed)], _as_rows(held_back, say("the data"))
    training, asked = hold_back(outputs, seed)
    return [given[index] for index in training], [given[index] for index in asked]


def _as_rows(rows: Any, name: str) -> list[Row]:
    import pandas as pd

    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    require_usable_frame(frame, name)
    return [{"input": row["input"], "output": row["output"]} for row in frame.to_dict("records")]


def _text_of(rows: Sequence[Row]) -> str:
    return solved_examples([row["input"] for row in rows], [row["output"] for row in rows])


def _neutral_settings() -> PromptTuningSettings:
    """Give settings that belong to no task and no model."""
    return PromptTuningSettings(
        accumulate_steps=1,
        batch_size=8,
        learning_rate=STEP,  # replaced, like the epochs and the text
        max_input_tokens=256,
        max_output_tokens=128,
        num_epochs=1,
        init_text="",
        verbalizer="{{input}}",
    )


def _announce(rates: Sequence[float], plan: Sequence[Round], held_back: int, is_local: bool) -> None:
    """Say beforehand what the search will cost."""
    rounds = ", ".join(f"{each.candidates} × {each.rows * each.epochs}" for each in plan)  # noqa: RUF001
    runs = sum(each.candidates for each in plan)
    print(
        say(
            "The search makes {runs} short tuning runs (runs and rows: {rounds}), and asks {held_back} held-back rows "
            "after each. Learning rates: {rates}.",
            runs=runs,
            rounds=rounds,
            held_back=held_back,
            rates=", ".join(f"{rate:g}" for rate in rates),
        )
    )
    if not is_local:
        print(
            say(
                "On this service each of these runs, each deployment and each answer is charged to your account "
                "(capacity units or money). Interrupt now if you do not want that."
            )
        )
