"""Models of the Hugging Face hub: what is downloaded, and what is said when nothing can be."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from prompt_tuning_helpers.engine import loading, sources
from prompt_tuning_helpers.engine.embedding_scale import embedding_rms
from prompt_tuning_helpers.engine.errors import EngineError, UnavailableModel
from prompt_tuning_helpers.engine.estimate import Estimate
from prompt_tuning_helpers.engine.hub import cached, download, download_configuration
from tests.support.environment import offline_environment
from tests.support.hub import serve_models

SMALL = "somebody/small"
NOWHERE = "http://127.0.0.1:9"  # nothing listens there
PICKLE, GATED, ENCODER = "somebody/pickle", "somebody/gated", "somebody/encoder"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    small = Path(shutil.copytree(sources.fetch("tiny"), folder / "small"))
    (small / "pytorch_model.bin").write_bytes(b"code")
    (small / "README.md").write_text("A model.")
    pickle = Path(shutil.copytree(small, folder / "pickle"))
    (pickle / "model.safetensors").unlink()
    encoder = folder / "encoder"
    encoder.mkdir()
    (encoder / "config.json").write_text(json.dumps({"model_type": "t5", "architectures": ["T5Model"]}))
    return {SMALL: small, PICKLE: pickle, GATED: small, ENCODER: encoder}


@pytest.fixture(scope="module")
def hub(models: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    with serve_models(models, gated=(GATED,)) as served:
        yield served


def at(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Give the hub's client another address; it reads the environment only when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def here(hub: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lets this process use the stand-in, with a cache of its own; gives the names of the files that are downloaded."""
    at(monkeypatch, hub[0])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    hub[1].clear()
    return hub[1]


def test_a_model_is_downloaded_once_without_what_could_run_code(
    here: list[str], models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = download_configuration(SMALL)
    assert "model.safetensors" not in here
    assert cached(SMALL) is None
    folder = download(SMALL)
    assert folder == configuration
    assert (folder / "model.safetensors").read_bytes() == (models[SMALL] / "model.safetensors").read_bytes()
    assert sorted(here) == sorted(path.name for path in folder.iterdir())
    assert not {"pytorch_model.bin", "README.md"} & set(here)
    here.clear()
    at(monkeypatch, NOWHERE)
    assert cached(SMALL) == folder
    assert sources.fetch(SMALL) == str(folder)
    assert here == []


def test_the_size_of_its_embeddings_is_known_once_it_is_here(here: list[str]) -> None:
    """Also where the hub has more files of it than are downloaded."""
    embedding_rms.cache_clear()
    download(SMALL)
    assert embedding_rms(SMALL) == pytest.approx(embedding_rms("tiny"), rel=1e-3)
    embedding_rms.cache_clear()


def test_a_download_that_was_interrupted_is_no_model(here: list[str]) -> None:
    folder = download(SMALL)
    (folder / "model.safetensors").unlink()
    assert cached(SMALL) is None
    assert download(SMALL) == folder
    assert cached(SMALL) == folder


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("somebody/nothing", "The Hugging Face hub has no model 'somebody/nothing', or it is private. Check its id"),
        (PICKLE, "The model 'somebody/pickle' has no weights in safetensors format. Choose one that has"),
        (GATED, "The model 'somebody/gated' is given only to those who accept its terms. Do so on its page"),
    ],
)
def test_what_the_hub_does_not_have_is_said_with_the_remedy(here: list[str], model: str, said: str) -> None:
    with pytest.raises(EngineError, match=re.escape(said)):
        download(model)


def test_without_a_network_the_way_out_is_named(here: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, NOWHERE)
    for fetch in (download, download_configuration):
        with pytest.raises(UnavailableModel, match=r"has not been downloaded yet, and .* or name a folder that holds"):
            fetch(SMALL)


def test_a_model_of_the_wrong_kind_is_refused_before_its_weights_come(here: list[str]) -> None:
    with pytest.raises(
        EngineError, match="The model 'somebody/encoder' cannot be prompt-tuned: 't5' models are encoder-decoders"
    ):
        loading.blueprint(ENCODER)
    assert here == ["config.json"]


@pytest.mark.slow
def test_the_command_line_says_what_a_model_takes_before_its_weights_come(
    hub: tuple[str, list[str]], tmp_path: Path
) -> None:
    environment = offline_environment(tmp_path / "attempts") | {
        "HF_HOME": str(tmp_path / "hub"),
        "HF_ENDPOINT": hub[0],
        "OMP_NUM_THREADS": "1",
    }
    for proxy in ("HTTP_PROXY", "http_proxy"):
        del environment[proxy]

    def engine(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "prompt_tuning_helpers.engine", *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)

    hub[1].clear()
    expected = Estimate.from_json(engine("estimate", SMALL, "--json").stdout)
    assert (expected.model, expected.parameters) == (SMALL, loading.load("tiny").parameters)
    assert "model.safetensors" not in hub[1]
    fetched = engine("fetch", SMALL)
    assert fetched.stdout == f"Base model ready: {SMALL}\n"
    assert "Fetching" in fetched.stderr or "Downloading" in fetched.stderr
