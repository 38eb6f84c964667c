"""Loading base models: the frozen network, its tokenizer and its configuration are checked as they are read.

A plain Llama, such as the default model, is read from its files. All others are read by transformers, which takes
seconds to import and holds the whole network beside what is made of it. Importing this module is cheap; torch and
transformers are imported when a model first needs them.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import model_files
from .errors import EngineError, UnavailableModel, UnusableModel, reason_of
from .sources import KNOWN_IDS, cached_folder, fetch, fetch_configuration, make_once, model_folder, quiet_libraries

if TYPE_CHECKING:
    import torch

    from .causal_model import CausalModel
    from .model_files import ModelFiles

logger = logging.getLogger(__name__)

SMALL = 1_000_000  # parameters
# Parameters, up to which a GPU computes in float32. On an H100, a training step of SmolLM2 took 0.15 s in float32 and
# 0.24 s in bfloat16, with a gradient 6 to 11 % off: its products take less time than it takes to start them.
FLOAT32_ON_GPU = 500_000_000
TOKENIZER_FILES = ("*token*", "*vocab*", "*.model")  # what tokenizers of all kinds are kept in

_LOADING = threading.Lock()
_UNUSABLE: dict[str, str] = {}  # why each source that failed cannot be loaded, so that nobody waits for it again

T = TypeVar("T")


@dataclass(frozen=True)
class LoadedModel:
    """A frozen model and its tokenizer.

    Args:
        model: the network, ready to tune on and to ask.
        tokenizer: of transformers, or a ``FileTokenizer``.
        max_length: the number of tokens that it can attend to.
        end_tokens: the ids of the tokens that end a text.
        parameters: the number of weights.
    """

    model: "CausalModel"
    tokenizer: Any
    max_length: int
    end_tokens: frozenset[int]
    parameters: int

    def check_tokens(self, tokens: Iterable[int]) -> None:
        """Refuse tokens that the model has no embedding for, for instance those of images.

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


def load(source: str) -> LoadedModel:
    """Load a base model and freeze it.

    The model runs on a GPU if there is one, a large one in bfloat16; otherwise on the CPU in float32.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.

    Raises:
        UnusableModel: if its files are damaged; the next call raises it at once, since a second try would take as long.
        EngineError: if the model is unavailable or of a kind that the engine cannot compute.
    """
    # transformers loads models one at a time only: two threads that did would find each other's empty tensors.
    with _LOADING:
        if source in _UNUSABLE:
            raise UnusableModel(_UNUSABLE[source])
        try:
            loaded = _load(source)
            _note_threads()
            return loaded
        except UnusableModel as error:
            _UNUSABLE[source] = error.message
            raise


def _note_threads() -> None:
    """Let the calling thread note how many threads it computes with, while no model that is being loaded changes that.

    A thread does so once, when it first computes something.
    """
    import torch

    torch.get_num_threads()


def check(source: str) -> None:
    """Make sure that a model is complete, without loading its weights; one of the hub is downloaded first.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.

    Raises:
        EngineError: saying what is wrong with it, where, and what to do.
    """
    with _LOADING:
        _mending(source, lambda: _check(source))


def blueprint(source: str) -> Any:
    """Build a base model on the meta device from its configuration alone: no weights are downloaded or read.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.

    Returns:
        The transformers model, with shapes and without weights.

    Raises:
        EngineError: if the model is unavailable or of a kind that the engine cannot compute.
    """
    import torch

    quiet_libraries()
    from transformers import AutoConfig, AutoModelForCausalLM

    from .path_choice import check_kind

    with _refusal(source):
        config = AutoConfig.from_pretrained(fetch_configuration(source), trust_remote_code=False)
        check_kind(config)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


@cache
def _load(source: str) -> LoadedModel:
    return _mending(source, lambda: _read(source))


def _check(source: str) -> "ModelFiles | None":
    """Check that a model can be prompt-tuned, and its weights and tokenizer, without loading the weights.

    Returns:
        The model's files, if it can be read without transformers.
    """
    from .weights import check_tokenizer

    files = model_files.read(Path(fetch(source)))
    if files is None:
        _check_kind(source)
    tokenizer = load_tokenizer(source)
    with _refusal(source):
        max_length, vocabulary = (files.max_length, files.vocabulary) if files else _check_weights(source)
        if max_length < 2:
            raise ValueError(f"config.json says that the model attends to {max_length} tokens")
        check_tokenizer(tokenizer, vocabulary)
    return files


def _check_kind(source: str) -> None:
    quiet_libraries()
    from transformers import AutoConfig

    from .path_choice import check_kind

    quiet_libraries()
    with _refusal(source):
        check_kind(AutoConfig.from_pretrained(fetch(source), trust_remote_code=False))


def _check_weights(source: str) -> tuple[int, int]:
    """Check the weights as transformers would load them; give the model's longest text and its vocabulary's size."""
    from .weights import check_weights

    network = check_weights(fetch(source))
    return max_length_of(network.config), network.get_input_embeddings().weight.shape[0]


def _read(source: str) -> LoadedModel:
    """Check a model, load its weights and tokenizer, and find the tokens that end a text."""
    files = _check(source)
    tokenizer = load_tokenizer(source)
    with _refusal(source):
        loaded = _of_files(files, tokenizer) if files else _of_transformers(source, tokenizer)
        _try_out(loaded.model)
    return loaded


def _of_files(files: "ModelFiles", tokenizer: Any) -> LoadedModel:
    """Load a model from its files, tensor by tensor."""
    from .llama import LlamaModel
    from .llama_architecture import LlamaArchitecture

    device = _device()
    tensors = files.tensors(device, _dtype(device, files.parameters))
    model = LlamaModel(LlamaArchitecture.of_llama(files.options), tensors)
    ends = _end_tokens(model, *files.end_tokens, tokenizer.eos_token_id)
    return LoadedModel(model, tokenizer, files.max_length, ends, files.parameters)


def _of_transformers(source: str, tokenizer: Any) -> LoadedModel:
    """Load a model by transformers."""
    quiet_libraries()
    from transformers import AutoModelForCausalLM

    from .llama import LlamaModel
    from .onednn import speed_up
    from .path_choice import choose_path

    device = _device()
    network = AutoModelForCausalLM.from_pretrained(
        fetch(source),
        dtype=_dtype(device, 0 if device == "cpu" else blueprint(source).num_parameters()),
        trust_remote_code=False,
        use_safetensors=True,  # a pickle could run code
    )
    network = network.eval().requires_grad_(False).to(device)
    if LlamaModel.supports(network.config):
        model: CausalModel = LlamaModel.of_network(network)
    else:
        speed_up(network)
        model = choose_path(network)
    ends = _end_tokens(
        model,
        network.generation_config.eos_token_id,
        getattr(network.config, "eos_token_id", None),
        tokenizer.eos_token_id,
    )
    return LoadedModel(model, tokenizer, max_length_of(network.config), ends, network.num_parameters())


def _device() -> str:
    """Say where models are computed."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _dtype(device: str, parameters: int) -> "torch.dtype":
    """Say in which numbers a model of so many parameters is computed."""
    import torch

    return torch.bfloat16 if device == "cuda" and parameters > FLOAT32_ON_GPU else torch.float32


def _end_tokens(model: "CausalModel", *named: int | list[int] | None) -> frozenset[int]:
    """Return those tokens that end a text that the model has."""
    tokens = [token for ends in named for token in (ends if isinstance(ends, list) else [ends]) if token is not None]
    # One beyond the vocabulary never comes up.
    return frozenset(token for token in tokens if 0 <= token < model.embedding.shape[0])


def _try_out(model: "CausalModel") -> None:
    """Compute one token, so that a model that cannot be computed is not found out by each request anew."""
    import torch

    token = torch.zeros(1, dtype=torch.long, device=model.embedding.device)
    scores = model.extend([model.new_cache()], [model.embed(token)])
    if not scores.max().isfinite():
        raise ValueError("its weights are damaged: it computes scores that are no numbers")


def max_length_of(config: Any) -> int:
    """Return the number of tokens that a model can attend to; families name it differently in their configuration."""
    text_config = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        length = getattr(text_config, name, None)
        if isinstance(length, int):
            return length
    return 2**20  # positions that are computed, not learnt, have no limit of their own


@cache
def load_tokenizer(source: str) -> Any:
    """Load the tokenizer of a base model, without its weights.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.

    Returns:
        A ``FileTokenizer``; transformers' own, which it stands for, where that does more with the files than to read
        them.

    Raises:
        EngineError: if the model is unavailable.
    """
    from . import tokenizer_file

    def read() -> Any:
        with _refusal(source, "The tokenizer of the model"):
            folder = model_folder(source)
            if folder and not any(path for name in TOKENIZER_FILES for path in folder.glob(name)):
                raise ValueError("there is none in the folder")
            return tokenizer_file.read(Path(fetch(source))) or _transformers_tokenizer(source)

    return _mending(source, read)


def _transformers_tokenizer(source: str) -> Any:
    quiet_libraries()
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(fetch(source), trust_remote_code=False)


@cache
def load_config(source: str) -> Any:
    """Load the transformers configuration of a base model.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.

    Raises:
        EngineError: if the model is unavailable.
    """
    quiet_libraries()
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
    """Make the error that says why a model could not be loaded, and what to do for a source of its kind."""
    from .path_choice import NotTunable

    if isinstance(error, NotTunable):
        return UnusableModel(
            f"The model {source!r} cannot be prompt-tuned: {error}. Use a causal language model, for instance of the "
            "Granite, Llama, Qwen or GPT-2 family."
        )
    message = f"{what} {source!r} could not be loaded: {reason_of(error).rstrip('.')}. "
    if isinstance(error, MemoryError) or "memory" in str(error):
        return UnavailableModel(f"{message}Free memory, or choose a smaller model.")
    if source in KNOWN_IDS:
        remedy = (
            f"Fetch it again: delete {cached_folder(source)}, then run python -m prompt_tuning_helpers.engine fetch"
        )
        return UnusableModel(f"{message}{remedy} {source}.")
    kind = "a causal language model in safetensors format, with its tokenizer"
    if model_folder(source):
        return UnusableModel(
            f"{message}The folder must hold {kind}, as transformers' save_pretrained writes them: save or copy the "
            "model there again, then start again."
        )
    message += f"It must be {kind}, on a hub that can be reached; or name a folder that holds one."
    return UnavailableModel(message) if isinstance(error, OSError) else UnusableModel(message)


def _mending(source: str, read: Callable[[], T]) -> T:
    """Read a base model; if its copy in the cache turns out to be damaged, make the copy again and read that."""
    if source not in KNOWN_IDS:
        return read()
    seen = Path(fetch(source)).stat().st_ino
    try:
        return read()
    except UnusableModel as error:
        logger.warning("The base model in %s is damaged and is made again: %s", cached_folder(source), error.message)
        try:
            make_once(source, damaged=seen)
        except EngineError as second:
            raise UnusableModel(f"{error.message} Doing so by itself failed: {second.message}") from second
        return read()
