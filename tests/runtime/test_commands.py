"""What ``local-watsonx`` shows of a runtime and of what it keeps, and what it says where there is nothing to show."""

import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from prompt_tuning_helpers.engine.settings import TuningSettings
from prompt_tuning_helpers.engine.soft_prompt import load, save
from prompt_tuning_helpers.runtime.commands.environment import for_docker, for_powershell
from prompt_tuning_helpers.runtime.commands.logs import new_lines
from prompt_tuning_helpers.runtime.endpoint import Endpoint
from prompt_tuning_helpers.runtime.store.database import VERSION
from prompt_tuning_helpers.runtime.store.state import State
from prompt_tuning_helpers.runtime.store.state_marker import claim
from tests.support.calls import BASE, open_fake
from tests.support.commands import invoke
from tests.support.servers import fake_command, start_runtime
from tests.support.state_folders import execute

SETTINGS = TuningSettings(3, "text", "Is it?", 0.1, 1, 2, 1, 16, 2, "Say: {{input}} =")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Endpoint]]:
    """The state folder and the endpoint of a running server."""
    state = tmp_path_factory.mktemp("served") / "the state"
    process, endpoint = start_runtime(state, fake_command(state))
    yield state, endpoint
    process.terminate()
    assert process.wait(30) == 0


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A state folder on which a runtime has run."""
    state = State(tmp_path / "state")
    claim(state)
    open_fake(state.root).close()
    return state.root


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A soft prompt as a run leaves it."""
    folder = tmp_path / "my adapter"
    save(folder, torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), BASE, SETTINGS)
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- env


def test_env_for_programs(served: tuple[Path, Endpoint]) -> None:
    state, endpoint = served
    variables = json.loads(invoke(state, "env", "--json").output)
    words = shlex.split(invoke(state, "env").output, comments=True)[1:]
    assert variables == dict(word.split("=", 1) for word in words)
    assert variables["WATSONX_APIKEY"] == endpoint.api_key
    assert variables["LOCAL_WATSONX_STATE"] == str(state)


def test_env_for_powershell() -> None:
    assert for_powershell({"A": "it's", "B": "$x `y`"}) == "$env:A = 'it''s'\n$env:B = '$x `y`'"


def test_env_for_docker_has_no_secret_and_needs_a_shell_that_has_it(
    served: tuple[Path, Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, endpoint = served
    monkeypatch.delenv("WATSONX_APIKEY", raising=False)
    refused = invoke(state, "env", "--docker")
    assert refused.exit_code == 1
    assert f'eval "$(local-watsonx env --state {shlex.quote(str(state))})"' in refused.output
    monkeypatch.setenv("WATSONX_APIKEY", endpoint.api_key)
    printed = invoke(state, "env", "--docker").output
    assert endpoint.api_key not in printed
    words = shlex.split(printed)
    assert words[:4] == ["--network", "host", "--volume", f"{endpoint.ca_bundle}:{endpoint.ca_bundle}:ro"]
    assert {"WATSONX_URL", "WATSONX_APIKEY", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"} <= set(words[5::2])


def test_env_for_docker_leaves_out_what_holds_on_this_computer_alone() -> None:
    named = {"SSL_CERT_FILE": "/ca", "NODE_EXTRA_CA_CERTS": "/ca", "LOCAL_WATSONX_STATE": "/state"}
    assert for_docker(named) == "--network host --volume /ca:/ca:ro --env SSL_CERT_FILE --env NODE_EXTRA_CA_CERTS"


def test_env_has_one_form_at_a_time(tmp_path: Path) -> None:
    done = invoke(tmp_path, "env", "--json", "--docker")
    assert done.exit_code == 1
    assert "give one of them" in done.output


# --- logs


def test_logs_of_the_runtime(served: tuple[Path, Endpoint]) -> None:
    state, _ = served
    (state / "runtime.log").write_text("one\ntwo\nthree\n")
    assert invoke(state, "logs", "--lines", "2").output == "two\nthree\n"
    assert invoke(state, "logs").output == "one\ntwo\nthree\n"
    assert invoke(state, "logs", "--lines", "0").output == ""


def test_logs_of_a_training(kept: Path) -> None:
    (kept / "jobs" / "a-training").mkdir(parents=True)
    (kept / "jobs" / "a-training" / "job.log").write_text("step 1\n")
    assert invoke(kept, "logs", "a-training").output == "step 1\n"
    for other in ("another", "../jobs/a-training", ".."):
        done = invoke(kept, "logs", other)
        assert done.exit_code == 1
        assert f"No training {other!r} has a log" in done.output


def test_new_lines_of_a_log_that_is_replaced(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\nha")
    lines = new_lines(log, 4)
    with log.open("a") as file:
        file.write("lf\n")
    assert next(lines) == "half\n"
    log.rename(tmp_path / "log.1")
    log.write_text("new\n")
    assert next(lines) == "new\n"
    lines.close()


# --- models, export, import


def test_an_adapter_comes_in_is_listed_and_goes_out_again(kept: Path, adapter: Path, tmp_path: Path) -> None:
    assert "There is no tuned model." in invoke(kept, "models").output
    done = invoke(kept, "import", str(adapter))
    assert done.exit_code == 0, done.output
    training, model = (done.output.split(f"{kind} ")[1][:36] for kind in ("training", "model"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in (kept / "models" / model).iterdir()} == {0o600}
    assert f"{model}  my adapter, tuned on {BASE} by training {training}" in invoke(kept, "models").output
    for number, known_by in enumerate((training, model)):
        out = tmp_path / f"out {number}"
        exported = invoke(kept, "export", known_by, str(out))
        assert exported.exit_code == 0
        assert exported.output.endswith(f"local-watsonx import '{out}'\n")
        there = files_in(out)
        assert {name: there.pop(name) for name in files_in(adapter)} == files_in(adapter)
        assert there.keys() == {"README.md", "tuned_model.json"}
        assert "Say: {{input}} =" in (out / "README.md").read_text()


def test_what_peft_saved_needs_no_settings(kept: Path, adapter: Path, tmp_path: Path) -> None:
    (adapter / "tuning_settings.json").unlink()
    for words, verbalizer in (((), "{{input}}"), (("--verbalizer", "Q: {{input}}"), "Q: {{input}}")):
        done = invoke(kept, "import", str(adapter), "--name", "other", *words)
        assert done.exit_code == 0, done.output
        model = done.output.split("model ")[1][:36]
        assert load(kept / "models" / model).verbalizer == verbalizer
        assert invoke(kept, "export", model, str(tmp_path / model)).exit_code == 0
        assert invoke(kept, "import", str(tmp_path / model)).output.startswith("Imported other:")


def change_config(**values: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def become_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


def written(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (shutil.rmtree, "there is no such folder"),
        (become_a_file, "it is a file, not an adapter's folder"),
        (lambda folder: (folder / "adapter_config.json").unlink(), "there is no adapter_config.json"),
        (written("adapter_config.json", "[]"), "adapter_config.json holds no object"),
        (change_config(peft_type="LORA"), "it is of kind LORA, not PROMPT_TUNING"),
        (change_config(num_transformer_submodules=2), "an encoder and a decoder"),
        (change_config(num_virtual_tokens=4), "tells of 4 virtual tokens of 4 numbers, and"),
        (change_config(base_model_name_or_path=7), "is no text"),
        (change_config(base_model_name_or_path=None), "name it with --base-model"),
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "weights in other formats are not read"),
        (written("adapter_model.safetensors", "rubbish"), "holds no soft prompt that can be used"),
        (written("tuning_settings.json", "{}"), "holds no soft prompt that can be used"),
        (written("tuned_model.json", '{"name": 7}'), "tuned_model.json is damaged: name is no text"),
        (written("tuned_model.json", "[]"), "tuned_model.json is damaged"),
    ],
)
def test_what_cannot_be_imported_changes_nothing(
    kept: Path, adapter: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(adapter)
    done = invoke(kept, "import", str(adapter))
    assert done.exit_code == 1, done.output
    assert done.output.count("\n") == 1
    assert said in done.output
    assert list((kept / "models").iterdir()) == []
    assert "There is no tuned model." in invoke(kept, "models").output


def test_a_template_must_have_a_field(kept: Path, adapter: Path) -> None:
    done = invoke(kept, "import", str(adapter), "--verbalizer", "no field")
    assert done.exit_code == 1
    assert "has no {{input}} field" in done.output


def test_a_project_must_be_there(kept: Path, adapter: Path) -> None:
    done = invoke(kept, "import", str(adapter), "--project", "nowhere")
    assert done.exit_code == 1
    assert "There is no project 'nowhere'" in done.output
    assert list((kept / "models").iterdir()) == []


def test_an_import_whose_record_fails_leaves_nothing(kept: Path, adapter: Path) -> None:
    execute(State(kept), "CREATE TRIGGER full BEFORE INSERT ON models BEGIN SELECT RAISE(FAIL, 'it is full'); END")
    done = invoke(kept, "import", str(adapter))
    assert done.exit_code == 1
    assert f"Cannot keep {adapter} in {kept}: it is full" in done.output
    assert list((kept / "models").iterdir()) == []


def test_what_is_there_already_is_not_written_over(kept: Path, adapter: Path, tmp_path: Path) -> None:
    model = invoke(kept, "import", str(adapter)).output.split("model ")[1][:36]
    before = files_in(adapter)
    done = invoke(kept, "export", model, str(adapter))
    assert done.exit_code == 1
    assert "is there already" in done.output
    assert files_in(adapter) == before
    done = invoke(kept, "export", model, str(tmp_path / "no" / "such" / "folder"))
    assert done.exit_code == 1
    assert f"Cannot write {tmp_path / 'no' / 'such' / 'folder'}: No such file or directory. Name a new" in done.output


def test_each_error_names_the_next_command(kept: Path, adapter: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    for words in (("logs",), ("export", "x", str(nothing)), ("import", str(adapter))):
        done = invoke(nothing, *words)
        assert done.exit_code == 1
        assert f"Start one with: local-watsonx serve --state {nothing}" in done.output
    assert not nothing.exists()
    assert "See: local-watsonx models" in invoke(kept, "export", "x", str(nothing)).output
    assert "See: local-watsonx models" in invoke(kept, "logs", "x").output


@pytest.mark.parametrize("words", [("status",), ("env",), ("logs",), ("models",), ("export", "x", "y")])
def test_no_start_is_advised_on_somebody_elses_folder(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    said = invoke(tmp_path, *words).output
    assert "Name a folder that is new or empty" in said
    assert "Start one with" not in said


def test_what_another_version_keeps_is_left_to_a_start(kept: Path, adapter: Path) -> None:
    execute(State(kept), f"PRAGMA user_version = {VERSION - 1}")
    done = invoke(kept, "import", str(adapter))
    assert done.exit_code == 1
    assert "is of an older version" in done.output
    assert f"local-watsonx serve --state {kept}" in done.output
    execute(State(kept), f"PRAGMA user_version = {VERSION + 1}")
    assert invoke(kept, "models").output.startswith(f"{kept / 'runtime.db'} was made by a newer version")


# --- the program


def test_a_shell_completes_commands_and_trainings(kept: Path, adapter: Path) -> None:
    training = invoke(kept, "import", str(adapter)).output.split("training ")[1][:36]

    def completed(line: str) -> str:
        asked = {"_LOCAL_WATSONX_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        environment = {**os.environ, **asked, "LOCAL_WATSONX_STATE": str(kept)}
        command = [sys.executable, "-m", "prompt_tuning_helpers.runtime"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    assert completed("local-watsonx re").split() == ["reset"]
    assert completed(f"local-watsonx export {training[:5]}").split()[0] == training


def test_without_the_extra_the_program_says_what_to_install() -> None:
    program = "import sys; sys.modules['typer'] = None; from prompt_tuning_helpers.runtime.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("local-watsonx needs typer, which is not installed. Install it with\n    pip install")
    assert "Traceback" not in done.stderr
