"""The runs of a search on a service, through the SDK: tune, deploy, ask, and remove all that this leaves there."""

import contextlib
import io
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._metrics import metrics_of
from ._outcome import how_it_failed
from ._sdk import add_advice, is_passing, quiet_sdk, status_code
from .datasets.check import estimate_tokens
from .deployment import clean_up, deployed, unique_serving_name
from .engine.search_plan import LAST_STEPS, Round, Trial, best_of, halve, interval_of
from .evaluation import parse_label
from .i18n import say
from .tuning import ConnectionLostError, PromptTuningSettings, TuningError, follow

if TYPE_CHECKING:
    from ibm_watsonx_ai import APIClient

Scoring = Callable[[Sequence[str], Sequence[str]], float]
Row = dict[str, str]

SHORTEST_ANSWER = (
    10  # tokens that a model may answer with, at least: one that has not learnt yet says more than a label
)
LONGEST_REASON = 300  # characters
FORBIDDEN = (401, 403)  # statuses that every further request would get, too


class _TimeIsUpError(Exception):
    """The search has used up the minutes that it may have."""


@dataclass(frozen=True)
class Candidate:
    """What is compared: a learning rate, with a start that is named by its number."""

    rate: float
    start: int


class Judge:
    """Scores answers to the held-back rows.

    Args:
        rows: the held-back rows.
        labels: the outputs to look for in an answer; empty where the outputs are texts.
        score: the user's own scoring, if any.
    """

    def __init__(self, rows: Sequence[Row], labels: Sequence[str], score: Scoring | None) -> None:
        self.prompts = [row["input"] for row in rows]
        self.truth = [row["output"] for row in rows]
        self.labels = labels
        self._score = score
        most_frequent = Counter(self.truth).most_common(1)[0][0]
        self._guessing = self.score([most_frequent] * len(rows))

    @property
    def longest_answer(self) -> int:
        """The number of tokens that the right answers have at most, by estimate."""
        return max(SHORTEST_ANSWER, 2 * max(map(estimate_tokens, self.truth)))

    def score(self, answers: Sequence[str]) -> float:
        """Give the score of the answers, from 0 to 1."""
        if self._score is not None:
            return float(self._score(self.truth, answers))
        right = sum(map(self._is_right, answers, self.truth))
        return right / len(answers)

    def _is_right(self, answer: object, truth: str) -> bool:
        if self.labels:
            return parse_label(answer, self.labels) == parse_label(truth, self.labels)
        return str(answer).strip() == truth.strip()

    def is_learnt(self, score: float) -> bool:
        """Tell whether a score is better than that of always giving the most frequent output."""
        return score > self._guessing


class Runs:
    """Makes the runs of a search, and removes what they leave on the service.

    Args:
        client: of the SDK.
        base_model: its id.
        base: the settings that are not searched.
        starts: template and initial text of each start.
        training: the rows to tune on.
        judge: of the answers.
        plan: the rounds.
        every: seconds between two requests.
        is_local: whether a local runtime does the work, whose time can be foreseen.
        minutes: after which no run is begun, nor one that would take longer; all are made if left out.
    """

    def __init__(
        self,
        client: "APIClient",
        base_model: str,
        base: PromptTuningSettings,
        starts: Sequence[tuple[str, str]],
        training: Sequence[Row],
        judge: Judge,
        plan: Sequence[Round],
        every: float,
        is_local: bool,
        minutes: float | None = None,
    ) -> None:
        from ibm_watsonx_ai.experiment import TuneExperiment

        self.trials: list[Trial] = []
        self._client = client
        self._experiment = TuneExperiment(
            client.credentials, project_id=client.default_project_id, space_id=client.default_space_id
        )
        self._base_model = base_model
        self._base = base
        self._starts = starts
        self._training = training
        self._judge = judge
        self._every = every
        self._is_local = is_local
        self._plan = plan
        self._minutes = minutes
        self._name = unique_serving_name("search")
        self._assets: dict[int, str] = {}  # by the number of rows in them
        self._training_ids: list[str] = []  # of the run that is going on
        self._model_ids: list[str] = []

    def make(self, candidates: Sequence[Candidate]) -> str | None:
        """Make the runs, as many as can be, and clean up.

        Returns:
            Why not all of them were made; ``None`` if all were.
        """
        self._began = time.monotonic()
        try:
            halve(candidates, self._plan, self._attempt)
        except (KeyboardInterrupt, Exception) as problem:
            self._remove_leftovers()
            if best_of(self.trials) is None:
                raise
            return say("it was interrupted.") if isinstance(problem, KeyboardInterrupt) else str(problem)
        finally:
            self._clean_up(asset_ids=self._assets.values())
        return None

    def _attempt(self, candidate: Candidate, plan: Round, number: int) -> Trial:
        """Make one run, note what it showed, and remove what it left behind."""
        self._require_time_for(plan)
        began = time.monotonic()
        trial = Trial(
            number, candidate.rate, num_virtual_tokens=None, start=candidate.start, rows=plan.rows, epochs=plan.epochs
        )
        try:
            trial = replace(self._tried(candidate, plan, trial), seconds=time.monotonic() - began)
            self.trials.append(trial)
            self._report(trial)
        finally:
            self._remove_run()
        return trial

    def _require_time_for(self, plan: Round) -> None:
        """End the search, by an error, where the next run would take it beyond the minutes that it may have."""
        if self._minutes is None or not self.trials:
            return
        last = self.trials[-1]
        needed = last.seconds * (plan.rows * plan.epochs) / (last.rows * last.epochs)
        if time.monotonic() - self._began + needed > 60 * self._minutes:
            raise _TimeIsUpError(say("it was allowed {minutes} minutes.", minutes=f"{self._minutes:g}"))

    def _tried(self, candidate: Candidate, plan: Round, trial: Trial) -> Trial:
        """Give what a run showed; that the service refuses it, or that it fails, is a result, too."""
        try:
            details, answers = self._tune_and_ask(candidate, plan)
        except ConnectionLostError:
            raise
        except Exception as problem:
            if is_passing(problem) or status_code(problem) in FORBIDDEN:
                add_advice(problem)
                raise
            return replace(trial, failure=_reason(problem))
        score = self._judge.score(answers)
        return replace(
            trial,
            num_virtual_tokens=_virtual_tokens(details),
            score=score,
            interval=interval_of(score, len(answers)),
            final_loss=_final_loss(details),
            learnt=self._judge.is_learnt(score),
        )

    def _report(self, trial: Trial) -> None:
        """Say in a line what a run showed and, after the first, how long the others will take."""
        count = sum(each.candidates for each in self._plan)
        print(
            say(
                "Run {number} of {count}: learning rate {rate:g}, {what}",
                number=len(self.trials),
                count=count,
                rate=trial.learning_rate,
                what=what_happened(trial),
            )
        )
        if len(self.trials) == 1 and self._is_local and trial.score is not None:
            left = trial.seconds * (sum(each.passes for each in self._plan) / (trial.rows * trial.epochs) - 1)
            print(say("The others will take at most about {minutes} min.", minutes=max(1, round(left / 60))))

    def _tune_and_ask(self, candidate: Candidate, plan: Round) -> tuple[dict[str, Any], list[str]]:
        """Tune, deploy and ask the held-back rows.

        Returns:
            The details of the run, and the answers.

        Raises:
            TuningError: if the run failed.
        """
        from ibm_watsonx_ai.foundation_models import ModelInference
        from ibm_watsonx_ai.helpers import DataConnection

        template, text = self._starts[candidate.start - 1]
        settings = replace(
            self._base, learning_rate=candidate.rate, num_epochs=plan.epochs, verbalizer=template, init_text=text
        )
        prefix = say("Run {number}: ", number=len(self.trials) + 1)
        tasks: Any = self._experiment.Tasks  # made from the service's answer
        with _silent():
            tuner = self._experiment.prompt_tuner(
                name=self._name,
                task_id=tasks.CLASSIFICATION if self._judge.labels else tasks.GENERATION,
                base_model=self._base_model,
                init_method=self._experiment.PromptTuningInitMethods.TEXT,
                tuning_type=self._experiment.PromptTuningTypes.PT,
                auto_update_model=True,
                **vars(settings),
            )
            data = DataConnection(data_asset_id=self._asset_of(plan.rows))
            tuner.run(training_data_references=[data], background_mode=True)
            self._training_ids.append(str(tuner.id))
        details = follow(tuner, every=self._every, prefix=prefix)
        if complaint := how_it_failed(details):
            raise TuningError(complaint)
        with _silent():
            model_id = str(tuner.get_model_id())
            self._model_ids.append(model_id)
            most = min(settings.max_output_tokens, self._judge.longest_answer)
            with deployed(self._client, model_id, name=self._name) as deployment_id:
                model = ModelInference(
                    deployment_id=deployment_id, api_client=self._client, params={"max_new_tokens": most}
                )
                answers: Any = model.generate_text(prompt=self._judge.prompts)
        return details, list(answers)

    def _asset_of(self, rows: int) -> str:
        """Give the data asset that holds the first so many training rows; upload it the first time."""
        if rows not in self._assets:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / f"{self._name}.json"
                file.write_text(json.dumps(self._training[:rows], ensure_ascii=False), encoding="utf-8")
                details = self._client.data_assets.create(name=file.name, file_path=str(file))
            self._assets[rows] = str(self._client.data_assets.get_id(details))
        return self._assets[rows]

    def _remove_run(self) -> None:
        """Remove what the last run left behind."""
        for training_id in self._training_ids:
            # Unlike clean_up this deletes the asset of the experiment, too. Where it fails, clean_up says why.
            with contextlib.suppress(Exception), _silent(), quiet_sdk():
                self._client.training.delete(training_id)
        self._clean_up(model_ids=self._model_ids, training_ids=self._training_ids)
        self._model_ids, self._training_ids = [], []

    def _remove_leftovers(self) -> None:
        """Remove what a request that was interrupted made without telling its id; by its name it is found."""
        deployments, models, trainings, assets = _found_by_name(self._client, self._name)
        self._model_ids, self._training_ids = models, trainings
        self._clean_up(deployment_ids=deployments)
        self._remove_run()
        self._clean_up(asset_ids=assets)

    def _clean_up(self, **ids: Iterable[str]) -> None:
        """Delete, and say what could not be deleted."""
        with _silent():
            report = clean_up(self._client, **ids)
        if not report.complete:
            print(replace(report, removed=(), gone=()))


def _found_by_name(client: "APIClient", name: str) -> list[list[str]]:
    """Find deployments, tuned models, trainings and data assets by the beginning of their names."""
    lists: tuple[Callable[[], Any], ...] = (
        lambda: client.deployments.get_details(get_all=True),
        lambda: client.repository.get_model_details(get_all=True),
        lambda: client.training.get_details(get_all=True),
        lambda: client.data_assets.get_details(get_all=True),
    )
    found: list[list[str]] = []
    for ask in lists:
        ids: list[str] = []
        with contextlib.suppress(Exception), _silent(), quiet_sdk():
            described = [item["metadata"] for item in ask()["resources"]]
            ids = [item.get("asset_id") or item["id"] for item in described if str(item.get("name")).startswith(name)]
        found.append(ids)
    return found


def _reason(problem: Exception) -> str:
    """Give what the service says of a request that it refuses, or else what the SDK says."""
    try:
        text = problem.response.json()["errors"][0]["message"]  # type: ignore[attr-defined]
    except Exception:  # without a response, or with one of another shape
        text = problem
    return " ".join(str(text).split())[:LONGEST_REASON]


def _virtual_tokens(details: Mapping[str, Any]) -> int | None:
    """Read the length of the soft prompt, which a service may tell."""
    length = details["entity"].get("prompt_tuning", {}).get("num_virtual_tokens")
    return length if isinstance(length, int) else None


def _final_loss(details: Mapping[str, Any]) -> float | None:
    """Give the mean of the last losses that a run reported."""
    losses = [metric.loss for metric in metrics_of(details) if metric.loss is not None][-LAST_STEPS:]
    return sum(losses) / len(losses) if losses else None


def what_happened(trial: Trial, chosen: bool = False) -> str:
    """Say in a few words what a run showed."""
    if trial.failure is not None:
        return say("failed: {why}", why=trial.failure)
    what = say("score {score:.3f}", score=trial.score)
    if not trial.learnt:
        what = say("score {score:.3f}, learnt nothing yet", score=trial.score)
    return say("{what}, chosen", what=what) if chosen else what


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep what the SDK prints to itself: the search has a line of its own for each run."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
