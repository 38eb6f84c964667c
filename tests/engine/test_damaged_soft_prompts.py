"""A soft prompt whose files are damaged is told by name, and nothing else in the batch suffers for it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from prompt_tuning_helpers.engine import (
    Engine,
    EngineError,
    Generation,
    GenerationParameters,
    GenerationRequest,
    TuningSettings,
    UnusableModel,
)
from prompt_tuning_helpers.engine.soft_prompt import SETTINGS_FILE, WEIGHTS_FILE, save

MODEL = "tiny"
PARAMETERS = GenerationParameters(max_new_tokens=3, decoding_method="sample", random_seed=1)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine({MODEL: "tiny"})
    yield engine
    engine.close()


@pytest.fixture
def soft_prompt(tmp_path: Path, settings: TuningSettings) -> Path:
    folder = tmp_path / "my-model"
    save(folder, torch.randn(5, 16, generator=torch.Generator().manual_seed(2)), MODEL, settings)
    return folder


def weights(tensor: torch.Tensor, name: str = "prompt_embeddings") -> Callable[[Path], object]:
    return lambda folder: save_file({name: tensor}, folder / WEIGHTS_FILE)


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def verbalizer(value: object) -> Callable[[Path], object]:
    return written(SETTINGS_FILE, json.dumps({"verbalizer": value}).encode())


def truncate(folder: Path) -> None:
    path = folder / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-7])


def replace_by_folder(folder: Path) -> None:
    (folder / WEIGHTS_FILE).unlink()
    (folder / WEIGHTS_FILE).mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated weights": truncate,
    "empty weights": written(WEIGHTS_FILE, b""),
    "rubbish weights": written(WEIGHTS_FILE, b"\x01" * 500),
    "a folder for weights": replace_by_folder,
    "no weights": lambda folder: (folder / WEIGHTS_FILE).unlink(),
    "weights of another name": weights(torch.zeros(5, 16), "other"),
    "weights that are no numbers": weights(torch.full((5, 16), torch.nan)),
    "infinite weights": weights(torch.full((5, 16), torch.inf)),
    "integers": weights(torch.zeros(5, 16, dtype=torch.long)),
    "a vector": weights(torch.zeros(16)),
    "three dimensions": weights(torch.zeros(1, 5, 16)),
    "no tokens": weights(torch.zeros(0, 16)),
    "no width": weights(torch.zeros(5, 0)),
    "more tokens than the model attends to": weights(torch.zeros(2048, 16)),
    "no settings": lambda folder: (folder / SETTINGS_FILE).unlink(),
    "settings that are no JSON": written(SETTINGS_FILE, b'{"verbalizer": '),
    "settings that are no text": written(SETTINGS_FILE, b"\xff\xfe\x00"),
    "settings that are a list": written(SETTINGS_FILE, b"[1]"),
    "settings nested too deeply": written(SETTINGS_FILE, b"[" * 100_000),
    "settings without a verbalizer": written(SETTINGS_FILE, b"{}"),
    "a verbalizer without a field": verbalizer("Classify: "),
    "a verbalizer that is a number": verbalizer(5),
    "a verbalizer that is a list": verbalizer(["{{input}}"]),
    "a verbalizer with half a character": verbalizer("\ud800{{input}}"),
    "no folder": shutil.rmtree,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_soft_prompt_is_named(
    engine: Engine, soft_prompt: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    sound = Path(shutil.copytree(soft_prompt, tmp_path / "sound"))
    damage(soft_prompt)
    requests = [GenerationRequest(MODEL, "a dog", PARAMETERS, folder) for folder in (None, soft_prompt, sound, None)]
    before, broken, tuned, after = [engine.generate(request) for request in requests]
    with pytest.raises(UnusableModel, match=r"my-model has no usable soft prompt: .*Tune again, or restore"):
        broken.result(timeout=60)
    assert before.result(timeout=60) == after.result(timeout=60)
    assert tuned.result(timeout=60).generated_token_count


def test_a_restored_soft_prompt_is_used_again(engine: Engine, soft_prompt: Path) -> None:
    content = (soft_prompt / WEIGHTS_FILE).read_bytes()
    truncate(soft_prompt)
    request = GenerationRequest(MODEL, "a dog", PARAMETERS, soft_prompt)
    with pytest.raises(UnusableModel):
        engine.generate(request).result(timeout=60)
    (soft_prompt / WEIGHTS_FILE).write_bytes(content)
    assert engine.generate(request).result(timeout=60).generated_token_count


@given(
    name=st.sampled_from([WEIGHTS_FILE, SETTINGS_FILE]),
    flips=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=5),
    cut=st.integers(0, 20),
)
@hypothesis_settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_damage_is_an_answer_or_told(
    engine: Engine, soft_prompt: Path, tmp_path: Path, name: str, flips: list[tuple[int, int]], cut: int
) -> None:
    copy = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
    shutil.copytree(soft_prompt, copy)
    content = bytearray((copy / name).read_bytes())
    for place, value in flips:
        content[place % len(content)] = value
    (copy / name).write_bytes(content[: len(content) - cut])
    try:
        answer = engine.generate(GenerationRequest(MODEL, "a dog", PARAMETERS, copy)).result(timeout=60)
    except EngineError:
        return
    assert isinstance(answer, Generation)
