"""The files for clusters are what ``docs/cluster.md`` says of them, and their commands are those of the engine."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch.distributed.run import get_args_parser
from typer.main import get_command

from prompt_tuning_helpers.engine.__main__ import app, read_given

FOLDER = Path(__file__).parents[1] / "docs" / "cluster"
PAGE = FOLDER.with_suffix(".md").read_text(encoding="utf-8")
MANIFEST = FOLDER / "pytorchjob.yaml"
SLURM = FOLDER / "tune.sbatch"
RAY = FOLDER / "ray_train.py"
# What the operator sets in each pod.
POD_VARIABLES = {"RANK": "1", "MASTER_ADDR": "prompt-tuning-master-0", "MASTER_PORT": "23456"}
# Of its manual; those that the script uses.
SBATCH_OPTIONS = {"job-name", "nodes", "ntasks-per-node", "cpus-per-task", "mem", "time", "requeue"}


def torchrun(arguments: list[str]) -> tuple[Any, list[str]]:
    """Read the arguments of torchrun with its own parser; give them and those of the engine."""
    parsed = get_args_parser().parse_args(arguments)
    assert parsed.module
    assert parsed.training_script == "prompt_tuning_helpers.engine"
    return parsed, parsed.training_script_args


def engine(arguments: list[str]) -> dict[str, Any]:
    """Read the arguments of the engine with its own parser, without running it."""
    name, *rest = arguments
    assert name == "tune"
    commands: Any = get_command(app)
    values: dict[str, Any] = commands.commands["tune"].make_context("tune", rest).params
    assert values["data"]
    assert read_given(values["model"], values["setting"])
    return values


def filled_in(argument: str) -> str:
    """Put variables into an argument as Kubernetes does."""
    return re.sub(r"\$\((\w+)\)", lambda found: POD_VARIABLES[found[1]], argument)


def test_the_manifest_has_what_the_operator_requires() -> None:
    manifest = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    assert (manifest["apiVersion"], manifest["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", manifest["metadata"]["name"])
    replicas = manifest["spec"]["pytorchReplicaSpecs"]
    assert replicas.keys() == {"Master", "Worker"}
    assert replicas["Master"]["replicas"] == 1
    for replica in replicas.values():
        assert replica["restartPolicy"] in ("Always", "OnFailure", "Never", "ExitCode")
        (container,) = replica["template"]["spec"]["containers"]
        assert container["name"] == "pytorch"
        assert container["image"]
        assert all(isinstance(variable["value"], str) for variable in container["env"])
        volumes = {volume["name"] for volume in replica["template"]["spec"]["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        program, *arguments = container["command"]
        assert program == "torchrun"
        options, rest = torchrun([filled_in(argument) for argument in arguments])
        assert int(options.nnodes) == sum(spec["replicas"] for spec in replicas.values())
        assert (options.node_rank, options.master_port) == (1, 23456)
        values = engine(rest)
        mounted = container["volumeMounts"][0]["mountPath"]
        assert all(str(values[path]).startswith(f"{mounted}/") for path in ("folder", "data"))


def test_the_slurm_script_starts_the_engine_on_each_node(tmp_path: Path) -> None:
    subprocess.run(["bash", "-n", SLURM], check=True)
    script = SLURM.read_text(encoding="utf-8")
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(.+))?$", script, re.MULTILINE))
    assert len(options) == script.count("#SBATCH")
    assert options.keys() <= SBATCH_OPTIONS
    # In place of Slurm's programs stand functions that say what they were called with.
    stand_ins = """
    scontrol() { [ "$*" = "show hostnames node-[7-8]" ] && printf 'node-7\\nnode-8\\n'; }
    srun() { for argument in "$@"; do printf '%s\\0' "$argument"; done; }
    """
    variables = {
        "SLURM_CPUS_PER_TASK": options["cpus-per-task"],
        "SLURM_JOB_ID": "42",
        "SLURM_JOB_NODELIST": "node-[7-8]",
        "SLURM_NNODES": options["nodes"],
        "PATH": "/usr/bin:/bin",
    }
    called = subprocess.run(
        ["bash", "-c", f"{stand_ins}\nsource {SLURM}"], env=variables, cwd=tmp_path, check=True, capture_output=True
    )
    program, *arguments = called.stdout.decode().rstrip("\0").split("\0")
    assert program == "torchrun"
    read, rest = torchrun(arguments)
    assert (read.nnodes, read.nproc_per_node) == ("2", options["ntasks-per-node"])
    assert (read.rdzv_backend, read.rdzv_endpoint, read.rdzv_id) == ("c10d", "node-7:29500", "42")
    engine(rest)


def test_a_worker_of_ray_starts_the_engine_with_its_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("ray_train", RAY)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    module, name, *arguments = script.COMMAND
    assert (module, name) == ("-m", "prompt_tuning_helpers.engine")
    engine(arguments)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    shown = "import json, os; print(json.dumps([os.environ[n] for n in ('RANK', 'MASTER_PORT', 'OMP_NUM_THREADS')]))"
    monkeypatch.setattr(script, "COMMAND", ["-c", shown])
    run = subprocess.run
    printed: list[str] = []

    def captured(command: list[str], **options: Any) -> None:
        assert command[0] == sys.executable
        printed.append(run(command, **options, stdout=subprocess.PIPE, text=True).stdout)

    monkeypatch.setattr(subprocess, "run", captured)
    script.tune()
    assert json.loads(printed[0]) == ["1", "29501", str(script.CORES)]


def test_the_page_names_all_files_and_its_commands_are_the_engines() -> None:
    assert set(re.findall(r"\(cluster/([\w.]+)\)", PAGE)) == {path.name for path in FOLDER.iterdir() if path.is_file()}
    commands = [line.split() for line in PAGE.splitlines() if "prompt_tuning_helpers.engine tune" in line]
    assert [command[0] for command in commands] == ["python", "torchrun"]
    engine(commands[0][3:])
    engine(torchrun(commands[1][1:])[1])
