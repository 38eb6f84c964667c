"""A model that is read from its files computes what transformers makes of the same files."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from prompt_tuning_helpers.engine import (
    Engine,
    GenerationParameters,
    GenerationRequest,
    loading,
    model_files,
    sources,
)
from prompt_tuning_helpers.engine.causal_model import CausalModel, pack
from tests.support.networks import make_network, plain_logits

VOCABULARY = 259  # of the tokenizer
ROWS = [([3], [4, 5, 6]), ([7, 8, 9, 10, 11], [12]), (list(range(20, 90)), [1, 2, 3])]

OPTIONS: dict[str, dict[str, Any]] = {
    "as usual": {},
    "tied": {"tie_word_embeddings": True},
    "wide heads": {"head_dim": 20},
    "one head for keys": {"num_key_value_heads": 1},
    "one layer": {"num_hidden_layers": 1},
    "other angles": {"rope_parameters": {"rope_type": "default", "rope_theta": 123}},
    "another norm": {"rms_norm_eps": 0.1},
    "ends": {"eos_token_id": [5, 6]},
}


def save(network: Any, folder: Path, **options: Any) -> Path:
    """Save a network in a folder, with a tokenizer."""
    network.save_pretrained(folder, **options)
    for path in Path(sources.fetch("tiny")).glob("tokenizer*"):
        shutil.copy(path, folder)
    return folder


def loss_and_gradient(model: CausalModel) -> tuple[Tensor, Tensor]:
    prefix = torch.randn(9, model.embedding.shape[1], generator=torch.Generator().manual_seed(1)).requires_grad_()
    rows = pack(ROWS)
    loss = torch.nn.functional.cross_entropy(model.label_logits(prefix, rows), rows.labels)
    return loss.detach(), torch.autograd.grad(loss, prefix)[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_loss_gradient_and_facts_are_those_of_transformers(
    options: dict[str, Any], dtype: torch.dtype, tmp_path: Path
) -> None:
    network = make_network("llama", vocab_size=VOCABULARY, **options)
    source = str(save(network.to(dtype), tmp_path / "model"))
    assert model_files.read(Path(source)) is not None
    direct = loading.load(source)
    usual = loading._of_transformers(source, direct.tokenizer)
    for mine, theirs in zip(loss_and_gradient(direct.model), loss_and_gradient(usual.model), strict=True):
        assert torch.equal(mine, theirs)
    for name in ("max_length", "end_tokens", "parameters"):
        assert getattr(direct, name) == getattr(usual, name)


def test_the_tiny_model_computes_what_its_network_does(tiny_network: Any) -> None:
    model = loading.load("tiny").model
    prefix = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    expected = plain_logits(tiny_network, prefix, ROWS)
    assert (model.label_logits(prefix, pack(ROWS)) - expected).norm() <= 1e-5 * expected.norm()


def test_a_loaded_model_does_not_need_its_files(tmp_path: Path) -> None:
    folder = save(make_network("llama", vocab_size=VOCABULARY, tie_word_embeddings=True), tmp_path / "model")
    model = loading.load(str(folder)).model
    before = loss_and_gradient(model)
    with (folder / model_files.WEIGHTS).open("r+b") as file:
        file.truncate(0)
    assert all(map(torch.equal, loss_and_gradient(model), before))


def test_what_needs_no_weights_is_answered_while_they_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = str(shutil.copytree(sources.fetch("tiny"), tmp_path / "mine"))
    read, begun, go_on = loading._of_files, Event(), Event()

    def read_slowly(*arguments: Any) -> loading.LoadedModel:
        begun.set()
        assert go_on.wait(60)
        return read(*arguments)

    monkeypatch.setattr(loading, "_of_files", read_slowly)
    engine = Engine({"local/mine": source})
    warming = Thread(target=engine.warm_up)
    warming.start()
    try:
        assert begun.wait(60)
        answer = engine.generate(GenerationRequest("local/mine", "a dog", GenerationParameters(max_new_tokens=2)))
        assert engine.count_tokens("local/mine", "a dog") == 5
        assert engine.chat_prompt("local/mine", [{"role": "user", "content": "a dog"}]).count("a dog") == 1
        assert not answer.done()
        go_on.set()
        assert answer.result(timeout=60).generated_token_count == 2
    finally:
        go_on.set()
        warming.join()
        engine.close()


@pytest.fixture
def three_threads() -> Iterator[None]:
    """As on a processor of three cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_loading_leaves_the_number_of_threads_alone(tmp_path: Path) -> None:
    loading.load(str(save(make_network("llama", vocab_size=VOCABULARY), tmp_path / "model")))
    with ThreadPoolExecutor(1) as later:
        assert torch.get_num_threads() == later.submit(torch.get_num_threads).result() == 3


def changed_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def without_option(folder: Path, name: str) -> None:
    path = folder / "config.json"
    options = json.loads(path.read_text())
    del options[name]
    path.write_text(json.dumps(options))


def with_tensors(folder: Path, **more: Tensor) -> None:
    tensors = load_file(folder / model_files.WEIGHTS)
    save_file({**tensors, **more}, folder / model_files.WEIGHTS, {"format": "pt"})


UNUSUAL: dict[str, Callable[[Path], None]] = {
    "another family": lambda folder: changed_config(folder, model_type="mistral"),
    "biases": lambda folder: changed_config(folder, attention_bias=True),
    "another activation": lambda folder: changed_config(folder, hidden_act="gelu"),
    "scaled angles": lambda folder: changed_config(
        folder, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    ),
    "an option of later": lambda folder: changed_config(folder, something_new=1),
    "quantised": lambda folder: changed_config(folder, quantization_config={"bits": 4}),
    "an option that is not set": lambda folder: without_option(folder, "rope_parameters"),
    "a size that is a text": lambda folder: changed_config(folder, hidden_size="32"),
    "a size that is a truth": lambda folder: changed_config(folder, num_key_value_heads=True),
    "heads that do not fit": lambda folder: changed_config(folder, num_attention_heads=5),
    "an end that is a text": lambda folder: changed_config(folder, eos_token_id="x"),
    "a tensor more": lambda folder: with_tensors(folder, extra=torch.zeros(2)),
    "another shape": lambda folder: with_tensors(folder, **{"model.norm.weight": torch.zeros(31)}),
    "whole numbers": lambda folder: with_tensors(folder, **{"model.norm.weight": torch.ones(32, dtype=torch.int8)}),
    "no weights": lambda folder: (folder / model_files.WEIGHTS).unlink(),
    "generation's settings that are broken": lambda folder: (
        (folder / "generation_config.json").write_bytes(b"{"),
        None,
    )[1],
}


@pytest.mark.parametrize("change", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_unusual_is_left_to_transformers(change: Callable[[Path], None], tmp_path: Path) -> None:
    folder = save(make_network("llama", vocab_size=VOCABULARY), tmp_path / "model")
    assert model_files.read(folder) is not None
    change(folder)
    assert model_files.read(folder) is None


def test_neither_training_nor_answering_imports_transformers_or_peft(tmp_path: Path, training_file: Path) -> None:
    sources.fetch("tiny")  # which transformers makes
    code = f"""
import sys
from pathlib import Path
from prompt_tuning_helpers.engine import Engine, GenerationParameters, GenerationRequest
from prompt_tuning_helpers.engine.__main__ import new_job
from prompt_tuning_helpers.engine.job import run_job
folder = Path({str(tmp_path / "job")!r})
new_job(folder, Path({str(training_file)!r}), "tiny", ["num_epochs=1"])
assert run_job(folder) == 0
engine = Engine({{"tiny": "tiny"}})
engine.list_base_models()
engine.warm_up()
for soft_prompt in (None, folder / "soft_prompt"):
    request = GenerationRequest("tiny", "a dog", GenerationParameters(max_new_tokens=3), soft_prompt)
    assert engine.generate(request).result(timeout=60).generated_token_count == 3
engine.close()
print(sorted({{"transformers", "peft"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("device", "parameters", "dtype"),
    [
        ("cpu", 10 * loading.FLOAT32_ON_GPU, torch.float32),
        ("cuda", loading.FLOAT32_ON_GPU, torch.float32),
        ("cuda", loading.FLOAT32_ON_GPU + 1, torch.bfloat16),
    ],
)
def test_only_large_models_on_a_gpu_are_computed_in_bfloat16(device: str, parameters: int, dtype: torch.dtype) -> None:
    assert loading._dtype(device, parameters) == dtype
