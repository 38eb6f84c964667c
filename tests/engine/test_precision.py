"""Products in bfloat16: what they change, and when a tuning job takes them."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.multiprocessing.spawn import spawn

from prompt_tuning_helpers.engine import TuningSettings, loading, onednn, precision, tune_command
from prompt_tuning_helpers.engine.errors import UnusableSettings
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.job import run_job
from prompt_tuning_helpers.engine.job_folder import JobFailure
from prompt_tuning_helpers.engine.linear import FrozenLinear
from prompt_tuning_helpers.engine.llama import LlamaModel
from prompt_tuning_helpers.engine.loading import SMALL
from prompt_tuning_helpers.engine.precision import TOLERANCE, Trial, choose, try_bfloat16
from prompt_tuning_helpers.engine.rows import encode_rows, read_rows
from prompt_tuning_helpers.engine.settings import Precision
from prompt_tuning_helpers.engine.soft_prompt import initialise
from prompt_tuning_helpers.engine.trainer import Trainer
from tests.support.networks import make_network

NEEDED = pytest.mark.skipif(not onednn.can_multiply(torch.empty(1)), reason="PyTorch has no oneDNN here")
FAST = Trial(2.0, 0.05)
LONG = 40  # epochs: enough steps for a trial to be worth it


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def product(inputs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return FrozenLinear(weight)(inputs)


def rounded_result(result: torch.Tensor) -> torch.Tensor:
    """Round what a product gives, where the processor does."""
    return result if onednn._HAS_AMX else result.bfloat16().float()


def test_rounded_products_are_near_the_exact_ones_and_end_with_the_block() -> None:
    inputs, weight = numbers(64, 96), numbers(160, 96)
    exact = product(inputs, weight)
    with onednn.rounded_products():
        rounded = product(inputs, weight)
    assert rounded.dtype == torch.float32
    if onednn.can_round():
        expected = rounded_result(F.linear(inputs.bfloat16().float(), weight.bfloat16().float()))
        torch.testing.assert_close(rounded, expected, rtol=2**-8, atol=1e-5)
        assert not torch.allclose(rounded, exact, atol=1e-4)
    else:
        assert torch.equal(rounded, exact)
    assert torch.equal(product(inputs, weight), exact)


@NEEDED
@pytest.mark.parametrize("is_frozen", [True, False])
def test_layers_of_transformers_have_gradients_of_rounded_products(is_frozen: bool) -> None:
    layer = onednn.Linear(96, 160)
    layer.weight.data = numbers(160, 96)
    layer.weight.requires_grad_(not is_frozen)
    inputs, gradient = numbers(64, 96).requires_grad_(), numbers(64, 160)
    exact = layer(inputs)
    wanted = [inputs, layer.bias] if is_frozen else [inputs, layer.bias, layer.weight]
    expected = torch.autograd.grad(exact, wanted, gradient)
    for _ in range(2):  # a frozen weight is rounded once
        with onednn.rounded_products():
            output = layer(inputs)
            found = torch.autograd.grad(output, wanted, gradient)
        for rounded, close_to in zip((output, *found), (exact, *expected), strict=True):
            assert (rounded - close_to).norm() <= 0.01 * close_to.norm()
        assert torch.equal(output, exact) is not onednn.can_round()
    if onednn.takes_rounded_weights():
        assert layer._rounded is not None
    with torch.no_grad():
        layer.weight.mul_(2)  # as a step of an optimizer does
    with onednn.rounded_products():
        torch.testing.assert_close(layer(inputs) - layer.bias, 2 * (output - layer.bias), rtol=0.01, atol=0.01)


def test_some_weights_are_not_rounded_where_results_would_be() -> None:
    inputs, weight = numbers(64, 96), numbers(160, 96)
    exact = product(inputs, weight)
    with onednn.rounded_products():
        rounded = FrozenLinear(weight, is_exact=True)(inputs)
    assert torch.equal(rounded, exact) is not onednn._HAS_AMX


@NEEDED
def test_queries_keys_and_logits_of_transformers_are_not_rounded_where_results_would_be() -> None:
    class Network(torch.nn.ModuleDict):
        def get_output_embeddings(self) -> torch.nn.Module:
            return self["lm_head"]

    network = Network({name: torch.nn.Linear(96, 160) for name in ("q_proj", "up_proj", "lm_head")})
    onednn.speed_up(network)
    inputs = numbers(64, 96)
    before = {name: layer(inputs) for name, layer in network.items()}
    with onednn.rounded_products():
        same = {name: torch.equal(layer(inputs), before[name]) for name, layer in network.items()}
    exact = not (onednn._HAS_AMX and onednn.can_round())
    assert same == {"q_proj": exact, "up_proj": not onednn.can_round(), "lm_head": exact}


def test_a_weight_is_kept_in_the_numbers_that_a_run_needs() -> None:
    inputs, weight, bias = numbers(64, 96), numbers(160, 96), numbers(160)
    linear = FrozenLinear(weight, bias)
    exact = linear(inputs)
    with onednn.rounded_products():
        rounded = linear(inputs)
    linear.keep_only_in_use()
    assert linear._rounded is None
    torch.testing.assert_close(linear(inputs), exact)
    with onednn.rounded_products():
        torch.testing.assert_close(linear(inputs), rounded)
        linear.keep_only_in_use()
    torch.testing.assert_close(linear(inputs), exact if onednn._HAS_AMX else rounded, rtol=1e-5, atol=1e-4)


def test_other_products_than_the_layers_own_are_never_rounded() -> None:
    inputs, weight = torch.randn(64, 96), torch.randn(96, 160)
    exact = inputs @ weight
    with onednn.rounded_products():
        product(inputs, weight.t())
        assert torch.equal(inputs @ weight, exact)


def test_the_fast_path_keeps_what_a_run_needs(request: pytest.FixtureRequest) -> None:
    request.addfinalizer(loading._load.cache_clear)
    loading._load.cache_clear()
    model = loading.load("tiny").model
    assert isinstance(model, LlamaModel)
    for rounded in (False, True):
        with onednn.rounded_products() if rounded else nullcontext():
            taken = onednn.takes_rounded_weights()
            model.keep_only_in_use()
        for layer in model.layers:
            kept = [linear._weight.dtype for linear in (layer.output, layer.gate_up, layer.down)]
            assert kept == 3 * [torch.bfloat16 if taken else torch.float32]
            assert layer.query_key_value._weight.dtype == torch.float32
        assert model.head._weight.dtype == torch.float32


@NEEDED
def test_the_general_path_lets_go_of_rounded_weights_that_no_run_needs() -> None:
    network = make_network("llama")
    onednn.speed_up(network)
    model = TransformersModel(network)
    layers = [module for module in network.modules() if isinstance(module, onednn.Linear)]
    with onednn.rounded_products():
        model.extend([model.new_cache()], [model.embedding[:4]])
        model.keep_only_in_use()
        assert any(layer._rounded is not None for layer in layers) is onednn.takes_rounded_weights()
    model.keep_only_in_use()
    assert all(layer._rounded is None for layer in layers)


@pytest.mark.parametrize(
    ("speed_up", "difference", "passed"),
    [
        (1.5, 0.05, True),
        (1.1, 0.0, False),  # hardly faster
        (3.0, TOLERANCE + 0.01, False),  # too rough
        (3.0, float("nan"), False),
    ],
)
def test_bfloat16_has_to_be_faster_and_close_enough(speed_up: float, difference: float, passed: bool) -> None:
    assert Trial(speed_up, difference).passed is passed


def test_a_trial_leaves_the_soft_prompt_as_it_is(training_file: Path, settings: TuningSettings) -> None:
    loaded = loading.load("tiny")
    data = encode_rows(read_rows(training_file), loaded.tokenizer, settings)
    start = initialise(loaded.model, loaded.tokenizer, settings)
    trainer = Trainer(loaded.model, start, data, settings)
    trial = try_bfloat16(trainer, [0, 1])
    assert torch.equal(trainer.prompt, start)
    assert trial.speed_up > 0
    assert (0 < trial.difference < 1) if onednn.can_round() else (0 <= trial.difference < 1)


@pytest.fixture
def rounded_in(
    training_file: Path, settings: TuningSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[bool, list[str]]]]:
    """Choose for a run; tell whether its products are rounded, and what was said."""

    def choose_for(
        asked: Precision,
        trial: Trial | None = None,
        can_round: bool = True,
        parameters: int = SMALL,
        epochs: int = LONG,
    ) -> tuple[bool, list[str]]:
        def try_it(*_: object) -> Trial:
            assert trial, "there should be no trial"
            return trial

        monkeypatch.setattr(precision, "try_bfloat16", try_it)
        monkeypatch.setattr(onednn, "can_round", lambda: can_round)
        loading._load.cache_clear()  # what a run has chosen stays with its model
        loaded = replace(loading.load("tiny"), parameters=parameters)
        run = replace(settings, num_epochs=epochs)
        data = encode_rows(read_rows(training_file), loaded.tokenizer, run)
        said: list[str] = []
        with choose(loaded, initialise(loaded.model, loaded.tokenizer, run), data, run, asked, said.append):
            return onednn._rounds, said

    yield choose_for
    loading._load.cache_clear()


def test_a_run_takes_bfloat16_if_its_trial_says_so(rounded_in: Callable[..., tuple[bool, list[str]]]) -> None:
    assert rounded_in(Precision.AUTO, FAST) == (
        True,
        [
            "With products in bfloat16 a step is 2.00 times as fast, and its gradient 5.0% away from that in float32. "
            "The run uses it."
        ],
    )
    rounded, (said,) = rounded_in(Precision.AUTO, Trial(1.0, 0.05))
    assert not rounded
    assert said.endswith("The run stays with float32.")


@pytest.mark.parametrize("because", [{"can_round": False}, {"parameters": SMALL - 1}, {"epochs": 1}])
def test_there_is_no_trial_where_nothing_is_to_be_gained(
    because: dict[str, int], rounded_in: Callable[..., tuple[bool, list[str]]]
) -> None:
    assert rounded_in(Precision.AUTO, **because) == (False, [])


def test_what_is_asked_for_is_taken_without_a_trial(rounded_in: Callable[..., tuple[bool, list[str]]]) -> None:
    assert rounded_in(Precision.FLOAT32) == (False, [])
    assert rounded_in(Precision.BFLOAT16) == (True, [])
    with pytest.raises(UnusableSettings, match="no instructions for bfloat16"):
        rounded_in(Precision.BFLOAT16, can_round=False)


def test_a_job_says_what_precision_it_cannot_have(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "can_round", lambda: False)
    assert run_job(job, precision=Precision.BFLOAT16) != 0
    failure = JobFailure.read(job)
    assert failure is not None
    assert "Choose the precision auto" in failure.message


def test_a_runtimes_jobs_are_told_its_precision() -> None:
    assert tune_command(Path("job"), Precision.FLOAT32)[-2:] == ["--precision", "float32"]
    assert tune_command(Path("job"))[-2:] == ["--precision", "auto"]


def choose_in_group(rank: int, store: Path, training_file: Path, settings: TuningSettings) -> None:
    """Choose as one of two processes, of which the second finds bfloat16 no faster."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    loaded = replace(loading.load("tiny"), parameters=SMALL)
    run = replace(settings, num_epochs=LONG)
    data = encode_rows(read_rows(training_file), loaded.tokenizer, run)
    start = initialise(loaded.model, loaded.tokenizer, run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onednn, "can_round", lambda: True)
        patch.setattr(precision, "try_bfloat16", lambda *_: FAST if rank == 0 else Trial(1.0, 0.05))
        with choose(loaded, start, data, run, Precision.AUTO, lambda message: None):
            rounded = onednn._rounds
    (store.parent / f"rounded-{rank}").write_text(str(rounded))
    dist.destroy_process_group()


def test_processes_of_one_job_all_stay_with_float32_if_one_of_them_does(
    tmp_path: Path, training_file: Path, settings: TuningSettings
) -> None:
    spawn(choose_in_group, (tmp_path / "store", training_file, settings), nprocs=2)
    assert [(tmp_path / f"rounded-{rank}").read_text() for rank in range(2)] == ["False", "False"]
