"""The comparison computes what it says: exact losses and answers, a fair search, and a whole plan on a tiny model."""

import json
import random
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from prompt_tuning_helpers.comparison import __main__ as command
from prompt_tuning_helpers.comparison import hard_prompts, jobs, learners, plan, soft_prompts
from prompt_tuning_helpers.comparison.jobs import draw
from prompt_tuning_helpers.comparison.learners import LABELS, Learner, SoftPrompt, learn
from prompt_tuning_helpers.comparison.plan import FULL, METHODS, SMALL, Job, Method, Plan
from prompt_tuning_helpers.comparison.results import Store, load, missing
from prompt_tuning_helpers.datasets import load_rows, reviews_path
from prompt_tuning_helpers.engine import EngineError, models
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.general import GeneralForward
from prompt_tuning_helpers.engine.rows import TrainingRow, encode_inputs, read_rows, wrap

PEFT_METHODS = ("prefix-20", "lora-8", "full")
TRAIN = read_rows(reviews_path("train"))
LESSON: dict[str, Any] = plan.searches(SMALL)[0].settings["lesson"] | {"seed": 0}


def _adapted(name: str) -> tuple[Any, Any, GeneralForward]:
    """The tiny model, what PEFT puts around it, and the forward that the comparison trains by."""
    torch.manual_seed(0)
    network = learners._load_network("tiny")
    adapter = learners._adapt(network, FULL.method(name))
    for weights, parameter in adapter.named_parameters():
        if "lora_B" in weights:  # zeros at first, which would hide whatever is wrong with the other matrix
            torch.nn.init.normal_(parameter, std=0.3)
    shared_forward = learners._PrefixForward if name.startswith("prefix") else None
    return network, adapter, shared_forward(network, adapter) if shared_forward else GeneralForward(network)


ADAPTED = {name: _adapted(name) for name in PEFT_METHODS}

token = st.integers(3, 250)
row = st.tuples(st.lists(token, min_size=1, max_size=30), st.lists(token, min_size=1, max_size=3))


# --- exactness ---


@pytest.mark.parametrize("name", PEFT_METHODS)
@settings(max_examples=15, deadline=None)
@given(shared=st.lists(token, max_size=20), rows=st.lists(row, min_size=1, max_size=5))
def test_loss_and_gradients_are_those_of_pefts_own_forward(
    name: str, shared: list[int], rows: list[tuple[list[int], list[int]]]
) -> None:
    _, adapter, forward = ADAPTED[name]
    trained = [parameter for parameter in adapter.parameters() if parameter.requires_grad]
    packed = pack(rows)
    loss = cross_entropy(
        forward.label_logits(forward.embed(torch.tensor(shared, dtype=torch.long)), packed), packed.labels
    )
    losses = [_loss_of_row(adapter, shared + inputs, outputs) for inputs, outputs in rows]
    expected = torch.stack(losses).sum() / len(packed.labels)
    assert abs(loss - expected) <= 1e-4 * abs(expected)
    gradients, expected_gradients = (torch.autograd.grad(value, trained) for value in (loss, expected))
    scale = max(gradient.norm() for gradient in expected_gradients)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        # The floor is for matrices whose own gradient is as good as none: what is left of it is rounding.
        assert (gradient - wanted).norm() <= 1e-4 * wanted.norm() + 1e-6 * scale


def _loss_of_row(adapter: Any, inputs: list[int], outputs: list[int]) -> Tensor:
    """The summed cross-entropy of a row's labels, as the model itself gives it from labels and an attention mask."""
    tokens = torch.tensor([inputs + outputs])
    labels = torch.tensor([[-100] * len(inputs) + outputs])
    loss: Tensor = adapter(input_ids=tokens, attention_mask=torch.ones_like(tokens), labels=labels).loss
    return loss * len(outputs)


@pytest.mark.parametrize("name", PEFT_METHODS)
@pytest.mark.parametrize("beginning", ["", "Comment: "])
def test_margins_are_those_of_one_text_at_a_time(name: str, beginning: str) -> None:
    _, adapter, forward = ADAPTED[name]
    # More than are asked together, of many lengths in no order, two of them alike.
    texts = [f"{beginning}{chr(97 + index % 26)}{'woof ' * (index * 7 % 11)}" for index in range(45)] * 2
    tokens = encode_inputs(texts, models.load_tokenizer("tiny"))
    margins = learners._margins(forward, learners._nothing(forward), tokens, (20, 30))
    with torch.no_grad():
        last = [adapter(input_ids=torch.tensor([sequence])).logits[0, -1] for sequence in tokens]
    assert margins == pytest.approx([(logits[30] - logits[20]).item() for logits in last], rel=1e-4, abs=1e-4)


def test_margins_after_a_soft_prompt_are_those_of_the_plain_forward() -> None:
    network = learners._load_network("tiny")
    forward = GeneralForward(network)
    prompt = torch.randn(7, forward.embedding.shape[1])
    tokens = encode_inputs(
        ["Comment: a lovely cut", "Comment: no", "Comment: never again"], models.load_tokenizer("tiny")
    )
    margins = learners._margins(forward, prompt, tokens, (20, 30))
    with torch.no_grad():
        embedded = [torch.cat([prompt, forward.embed(torch.tensor(sequence))]) for sequence in tokens]
        last = [network(inputs_embeds=sequence[None]).logits[0, -1] for sequence in embedded]
    assert margins == pytest.approx([(logits[30] - logits[20]).item() for logits in last], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("candidate", ["sentiment 0", "feeling 4", "chat 2"])
def test_a_hard_prompt_is_asked_as_it_is_written(candidate: str) -> None:
    learner = learn("tiny", FULL.method("few-shot"), TRAIN[:20], candidate, LESSON)
    name, examples = candidate.split()
    wording, tokenizer, network = (
        hard_prompts.WORDINGS[name],
        models.load_tokenizer("tiny"),
        learners._load_network("tiny"),
    )
    shown = [(row.input, row.output) for row in TRAIN[: int(examples)]]
    shown = random.Random(LESSON["seed"]).sample(shown, len(shown))
    prompts = [row.input for row in TRAIN[20:24]]
    negative, positive = (tokenizer(word)["input_ids"][0] for word in wording.words)
    expected = []
    for prompt in prompts:
        tokens = tokenizer(hard_prompts.write(wording, shown, prompt, tokenizer), return_tensors="pt")["input_ids"]
        logits = network(tokens).logits[0, -1]
        expected.append((logits[positive] - logits[negative]).item())
    assert learner.margins(prompts) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert (learner.trained_parameters, learner.tuning_seconds) == (0, 0)


def test_an_untouched_prefix_answers_as_the_text_it_starts_from() -> None:
    method = replace(FULL.method("prefix-20"), epochs=((20, 0),))
    learner = learn("tiny", method, TRAIN[:20], "0.01", LESSON)
    prompts = [row.input for row in TRAIN[20:24]]
    tokenizer, forward = models.load_tokenizer("tiny"), GeneralForward(learners._load_network("tiny"))
    start = tokenizer(LESSON["init_text"])["input_ids"][:20]
    tokens = [start + tokenizer(wrap(LESSON["verbalizer"], prompt))["input_ids"] for prompt in prompts]
    expected = learners._margins(forward, learners._nothing(forward), tokens, learners._first_tokens(LABELS, tokenizer))
    assert learner.margins(prompts) == pytest.approx(expected, rel=1e-4, abs=1e-4)


# --- learning ---


def _easy_rows(count: int) -> list[TrainingRow]:
    """Rows that one letter decides."""
    return [
        TrainingRow(f"Comment: {'no' if index % 2 else 'so'} {index}\nSatisfaction:\n", str(index % 2))
        for index in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "rate"),
    [("prompt-20", "0.3"), ("prefix-20", "0.1"), ("lora-8", "0.03"), ("full", "0.01"), ("tf-idf", "10")],
)
def test_every_method_learns_what_one_letter_decides(name: str, rate: str) -> None:
    rows = _easy_rows(24)
    method = replace(FULL.method(name), epochs=((24, 60),))
    learner = learn("tiny", method, rows, rate, LESSON)
    signs = [1 if row.output == "1" else -1 for row in rows]
    margins = learner.margins([row.input for row in rows])
    loss = np.logaddexp(0, -np.array(signs) * margins).mean()
    assert loss < 0.9 * np.log(2)  # of guessing


@pytest.mark.parametrize("name", ["prefix-20", "lora-8"])
def test_what_peft_trains_leaves_the_base_model_as_it_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = []

    def load_network(model: str) -> Any:
        networks.append(original(model))
        return networks[-1]

    original = learners._load_network
    monkeypatch.setattr(learners, "_load_network", load_network)
    learn("tiny", FULL.method(name), _easy_rows(8), "0.01", LESSON)
    trained = {key.replace(".base_layer", ""): value for key, value in networks[0].state_dict().items()}
    for key, value in original("tiny").state_dict().items():
        assert torch.equal(trained[key], value)


# --- drawing rows, and the search ---


def _half_of_each(rows: Sequence[TrainingRow]) -> bool:
    return sorted(row.output for row in rows) == ["0"] * (len(rows) // 2) + ["1"] * (len(rows) // 2)


@pytest.mark.parametrize("seed", range(4))
def test_more_rows_of_the_same_seed_begin_with_fewer(seed: int) -> None:
    drawn = [draw(TRAIN, count, seed) for count in (20, 80, 320)]
    assert drawn[0] == drawn[1][:20]
    assert drawn[1] == drawn[2][:80]
    assert all(_half_of_each(rows) and len(set(rows)) == len(rows) for rows in drawn)
    assert draw(TRAIN, 20, seed) == drawn[0]
    assert set(draw(TRAIN, 20, seed + 1)) != set(drawn[0])


@given(st.lists(st.sampled_from(LABELS), max_size=40), st.integers(0, 20), st.integers(0, 99))
def test_a_draw_is_balanced_or_refused(labels: list[str], pairs: int, seed: int) -> None:
    rows = [TrainingRow(str(index), label) for index, label in enumerate(labels)]
    if pairs > min(labels.count(label) for label in LABELS):
        with pytest.raises(ValueError, match=f"{2 * pairs} rows, half of each label, cannot be drawn"):
            draw(rows, 2 * pairs, seed)
    else:
        drawn = draw(rows, 2 * pairs, seed)
        assert _half_of_each(drawn)
        assert set(drawn) <= set(rows)
        assert len(set(drawn)) == 2 * pairs


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[TrainingRow], list[str]]]:
    """What each learner gets to learn from, and what it is asked; it answers by the length of the prompt."""
    seen: list[tuple[list[TrainingRow], list[str]]] = []

    def note(model: str, method: Method, rows: list[TrainingRow], candidate: str, lesson: dict[str, Any]) -> Learner:
        def margins(prompts: Sequence[str]) -> list[float]:
            seen.append((list(rows), list(prompts)))
            return [len(prompt) - 200.0 for prompt in prompts]

        return Learner(margins, 0, 0, 0.0, 0.0)

    monkeypatch.setattr(jobs, "learn", note)
    return seen


@pytest.mark.parametrize("job", plan.searches(FULL), ids=lambda job: job.name)
def test_a_search_is_measured_on_rows_that_were_held_back_and_never_sees_the_test(
    job: Job, taught: list[tuple[list[TrainingRow], list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_train(split: str) -> Path:
        assert split == "train"
        return reviews_path(split)

    monkeypatch.setattr(jobs, "reviews_path", only_train)
    jobs.run(job)
    assert len(taught) == len(job.settings["method"]["candidates"])
    assert all(again == taught[0] for again in taught)
    training, asked = taught[0]
    outputs = {row.input: row.output for row in TRAIN}
    assert not {row.input for row in training} & set(asked)
    assert len(set(training)) == len(set(asked)) == FULL.search_rows
    assert _half_of_each(training)
    assert _half_of_each([TrainingRow(prompt, outputs[prompt]) for prompt in asked])


def test_all_searches_hold_back_the_same_rows(taught: list[tuple[list[TrainingRow], list[str]]]) -> None:
    for job in plan.searches(FULL):
        jobs.run(job)
    assert len({tuple(asked) for _, asked in taught}) == 1


def test_the_better_candidate_is_chosen_and_of_equal_ones_the_surer(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {row.input: row.output for row in TRAIN}
    # How sure, and how many of the answers are wrong.
    candidates = {"bold": (0.5, 1), "sure": (2.0, 0), "unsure": (0.1, 0)}

    def pretend(model: str, method: Method, rows: Any, candidate: str, lesson: Any) -> Learner:
        size, wrong = candidates[candidate]

        def margins(prompts: Sequence[str]) -> list[float]:
            signs = [1 if outputs[prompt] == "1" else -1 for prompt in prompts]
            return [size * (-sign if index < wrong else sign) for index, sign in enumerate(signs)]

        return Learner(margins, 0, 0, 0.0, 0.0)

    monkeypatch.setattr(jobs, "learn", pretend)
    method = Method("any", "any", plan.LORA, candidates=tuple(candidates))
    result = jobs.run(plan.searches(Plan(methods=(method,)))[0])
    assert result["chosen"] == "sure"
    assert [score["accuracy"] for score in result["scores"].values()] == [79 / 80, 1.0, 1.0]
    assert result["scores"]["sure"]["loss"] == pytest.approx(np.log1p(np.exp(-2)))


@pytest.mark.parametrize("rows", FULL.rows)
def test_a_measurement_learns_from_the_rows_it_names_and_is_asked_about_the_test(
    rows: int, taught: list[tuple[list[TrainingRow], list[str]]]
) -> None:
    result = jobs.run(plan.measurement(FULL, FULL.method("lora-8"), rows, 1, "0.001"))
    test = load_rows(reviews_path("test"))
    training, asked = taught[0]
    assert training == draw(TRAIN, rows, 1)
    assert asked == test["input"].tolist()
    assert result["truth"] == "".join(test["output"])
    assert result["answers"] == "".join("1" if len(prompt) > 200 else "0" for prompt in asked)


@pytest.mark.parametrize("seed", FULL.seeds)
def test_a_few_shot_prompt_is_measured_with_the_examples_that_it_was_chosen_with(
    seed: int, taught: list[tuple[list[TrainingRow], list[str]]]
) -> None:
    method = FULL.method("few-shot")
    jobs.run(plan.search_of(FULL, method, seed))
    (searched, _), *_ = taught
    taught.clear()
    jobs.run(plan.measurement(FULL, method, 320, seed, "sentiment 8"))
    ((measured, _),) = taught
    assert measured == searched


# --- the whole of a small plan ---


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """All results of the small plan, truly computed; not to be written to."""
    store = Store(tmp_path_factory.mktemp("computed"))
    while lacking := missing(SMALL, store):
        for job in lacking:
            store.put(job, jobs.run(job))
    return store


def _result(store: Store, method: str) -> dict[str, Any]:
    chosen = (store.get(plan.search_of(SMALL, SMALL.method(method), 0)) or {})["chosen"]
    result = store.get(plan.measurement(SMALL, SMALL.method(method), 20, 0, chosen))
    assert result is not None
    return result


def test_a_small_plan_measures_each_method_once(computed: Store) -> None:
    comparison = load(computed.folder, SMALL)
    assert [(found.method, found.rows) for found in comparison.measured] == [(method, 20) for method in METHODS]
    for search in plan.searches(SMALL):
        found = computed.get(search) or {}
        scores = found["scores"]
        assert list(scores) == search.settings["method"]["candidates"]
        assert scores[found["chosen"]]["accuracy"] == max(score["accuracy"] for score in scores.values())


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_results_are_well_formed(computed: Store, method: str) -> None:
    result = _result(computed, method)
    assert result["truth"] == "".join(load_rows(reviews_path("test"))["output"][:12])
    assert len(result["answers"]) == 12
    assert set(result["answers"]) <= set(LABELS)
    assert (result["tuning_seconds"] > 0) == (SMALL.method(method).family != plan.HARD_PROMPT)
    assert result["scoring_ms"] > 0
    assert result["peak_memory_mb"] > 10
    assert ("opened" in result) == (method == "prompt-20")
    assert set(result["versions"]) == {"torch", "transformers", "peft", "scikit-learn"}


def test_parameters_and_sizes_are_those_of_what_is_trained(computed: Store) -> None:
    network = learners._load_network("tiny")
    shape = network.config
    keys = shape.num_key_value_heads * shape.hidden_size // shape.num_attention_heads
    expected = {
        "zero-shot": 0,
        "few-shot": 0,
        "prompt-20": 20 * shape.hidden_size,
        "prompt-50": 50 * shape.hidden_size,
        "prompt-100": 100 * shape.hidden_size,
        "prompt-50-random": 50 * shape.hidden_size,
        "prefix-20": 20 * shape.num_hidden_layers * 2 * keys,
        # Two matrices each beside those of queries and values.
        "lora-8": shape.num_hidden_layers * 8 * (2 * shape.hidden_size + shape.hidden_size + keys),
        "full": sum(parameter.numel() for parameter in network.parameters()),
    }
    found = {name: _result(computed, name) for name in expected}
    assert {name: result["trained_parameters"] for name, result in found.items()} == expected
    for name in expected.keys() - {"zero-shot", "few-shot"}:
        size = found[name]["saved_bytes"]
        assert 0 < size - 4 * expected[name] < 5000, name  # in float32, and the names of the tensors
    assert found["few-shot"]["saved_bytes"] > found["zero-shot"]["saved_bytes"] > 0


def test_a_job_gives_the_same_again_and_reads_only_its_settings(computed: Store) -> None:
    for method in ("prompt-20", "lora-8", "tf-idf"):
        result = _result(computed, method)
        chosen = (computed.get(plan.search_of(SMALL, SMALL.method(method), 0)) or {})["chosen"]
        again = jobs.run(plan.measurement(SMALL, SMALL.method(method), 20, 0, chosen))
        assert again["answers"] == result["answers"]
        assert again.get("opened") == result.get("opened")


def test_the_opened_soft_prompt_is_the_one_that_answered(computed: Store) -> None:
    result = _result(computed, "prompt-20")
    right = [answer == label for answer, label in zip(result["answers"], result["truth"], strict=True)]
    assert result["opened"]["accuracy"] == pytest.approx(np.mean(right))
    assert len(result["opened"]["tokens"]) == 20


# --- computing what is lacking ---


def _put_back_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo at the end of a test what ``compute`` sets."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


class Here:
    """Lets jobs run in this process, and notes which."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, run: Callable[[Job], dict[str, Any]]) -> None:
        self.ran: list[str] = []

        def note(job: Job) -> dict[str, Any]:
            self.ran.append(job.name)
            return run(job)

        _put_back_environment(monkeypatch)
        monkeypatch.setattr(command, "run", note)
        monkeypatch.setattr(command, "ProcessPoolExecutor", lambda processes, **options: ThreadPoolExecutor(processes))


def _look_up(computed: Store) -> Callable[[Job], dict[str, Any]]:
    """The result that a job of the small plan had, whatever its settings are now."""
    everything = {path.stem: path for path in computed.folder.iterdir()}

    def run(job: Job) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(everything[job.name].read_text())["result"]
        return result

    return run


@pytest.fixture
def copied(computed: Store, tmp_path: Path) -> Store:
    """The results of the small plan, to write to."""
    return Store(Path(shutil.copytree(computed.folder, tmp_path / "results")))


def test_computing_again_runs_nothing(copied: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Here(monkeypatch, _look_up(copied))
    before = {path: path.read_bytes() for path in copied.folder.iterdir()}
    command.compute(SMALL, copied, 2)
    assert here.ran == []
    assert {path: path.read_bytes() for path in copied.folder.iterdir()} == before


def test_only_what_is_missing_is_computed(copied: Store, computed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Here(monkeypatch, _look_up(computed))
    (copied.folder / "lora-8-20-rows-seed-0.json").unlink()
    command.compute(SMALL, copied, 2)
    assert here.ran == ["lora-8-20-rows-seed-0"]
    assert _result(copied, "lora-8") == _result(computed, "lora-8")


def test_a_changed_setting_computes_what_depends_on_it(
    copied: Store, computed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Here(monkeypatch, _look_up(computed))
    changed = replace(
        SMALL,
        methods=tuple(replace(method, rank=4) if method.name == "lora-8" else method for method in METHODS),
    )
    command.compute(changed, copied, 2)
    assert here.ran == ["search-lora-8-seed-0", "lora-8-20-rows-seed-0"]
    assert missing(changed, copied) == []


def test_searches_run_before_what_they_allow_to_measure(
    computed: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Here(monkeypatch, _look_up(computed))
    command.compute(SMALL, Store(tmp_path), 1)
    assert len(here.ran) == len(set(here.ran)) == 18
    assert [name.startswith("search-") for name in here.ran] == [True] * 8 + [False] * 10
    assert load(tmp_path, SMALL) == load(computed.folder, SMALL)


def test_an_error_ends_the_run_without_the_jobs_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_at_first(job: Job) -> dict[str, Any]:
        if here.ran == [job.name]:
            raise EngineError("no such model")
        time.sleep(0.3)
        return {"chosen": "1"}

    here = Here(monkeypatch, fail_at_first)
    with pytest.raises(EngineError, match="no such model"):
        command.compute(SMALL, Store(tmp_path), 1)
    assert len(here.ran) < 4  # of 8


def test_jobs_run_in_processes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put_back_environment(monkeypatch)
    store = Store(tmp_path)
    few = replace(SMALL, methods=(SMALL.method("tf-idf"), SMALL.method("zero-shot")))
    command.compute(few, store, 2)
    assert missing(few, store) == []
    assert len(list(tmp_path.iterdir())) == 4


# --- inside a soft prompt ---


def test_an_untouched_soft_prompt_is_the_text_it_starts_from() -> None:
    method = replace(FULL.method("prompt-20"), epochs=((20, 0),))
    learner = learn("tiny", method, TRAIN[:20], "0.01", LESSON)
    asked = TRAIN[20:26]
    opened = soft_prompts.open_up(learner, [row.input for row in asked], [row.output for row in asked])
    written = LESSON["init_text"][:20]  # a token a letter
    assert "".join(token["before"][0]["token"] for token in opened["tokens"]) == written
    assert "".join(token["after"][0]["token"] for token in opened["tokens"]) == written
    for token in opened["tokens"]:
        assert token["after"][0]["cosine"] == pytest.approx(1, abs=1e-5)
        assert token["after"][1]["cosine"] < 1 - 1e-5
        assert token["moved"] == 0
    assert opened["accuracy"] == opened["accuracy_before"] == opened["accuracy_as_words"]


def test_words_distances_and_what_each_token_is_worth() -> None:
    asked = []

    def margins(prompt: Tensor, prompts: Sequence[str]) -> list[float]:
        asked.append(prompt)
        return [1.0] * len(prompts) if len(prompt) == 2 else [1.0, -1.0]  # right only with both tokens gone

    soft = SoftPrompt(
        initial=torch.tensor([[2.0, 0, 0], [0, 2, 0]]),
        tuned=torch.tensor([[2.0, 0, 0], [0, 0, 6]]),
        embedding=2 * torch.eye(3),
        tokenizer=SimpleNamespace(decode=lambda ids: "abc"[ids[0]], convert_ids_to_tokens=lambda token: "?"),
        margins=margins,
    )
    learner = Learner(lambda prompts: [], 0, 0, 0.0, 0.0, soft)
    opened = soft_prompts.open_up(learner, ["first", "second"], ["1", "0"])
    first, second = opened["tokens"]
    assert [word["token"] for word in (*first["before"], first["after"][0])] == ["a", "a"]
    assert [word["token"] for word in (*second["before"], second["after"][0])] == ["b", "c"]
    assert second["after"][0]["cosine"] == pytest.approx(1)
    assert (first["moved"], second["moved"]) == pytest.approx((0, 40**0.5 / 2))
    assert (opened["accuracy"], opened["accuracy_before"], opened["accuracy_as_words"]) == (0.5, 0.5, 0.5)
    assert (first["accuracy_without"], second["accuracy_without"]) == (1, 1)
    dropped = [prompt.tolist() for prompt in asked if len(prompt) == 1]
    assert dropped == [[[0, 0, 6]], [[2, 0, 0]]]  # each without the other
    assert any(torch.equal(prompt, soft.embedding[[0, 2]]) for prompt in asked)


def test_only_a_soft_prompt_can_be_opened() -> None:
    with pytest.raises(ValueError, match="prompt tuning"):
        soft_prompts.open_up(Learner(lambda prompts: [], 0, 0, 0.0, 0.0), [], [])
