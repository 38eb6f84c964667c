"""Base models from the Hugging Face hub: downloaded once, with progress, then read without the network."""

from pathlib import Path

from .errors import EngineError, UnavailableModel, UnusableModel, reason_of

# What transformers reads of a model: its configuration, its tokenizer and chat template; never a pickle. Files in
# subfolders are the same model once more, in formats of other programs.
SMALL_FILES = ("*.json", "*.txt", "*.model", "*.jinja")
WEIGHTS = ("*.safetensors",)
_ELSEWHERE = ("*/*", "consolidated*")


def cached(model_id: str) -> Path | None:
    """Find a model that was downloaded before, without asking the hub.

    Args:
        model_id: for instance ``"ibm-granite/granite-4.0-350m"``.

    Returns:
        The folder in the hub's own cache; ``None`` if anything of the model is missing there.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(
                model_id,
                allow_patterns=[*SMALL_FILES, *WEIGHTS],
                ignore_patterns=list(_ELSEWHERE),
                local_files_only=True,
            )
        )
    except (LocalEntryNotFoundError, OSError):
        return None
    return folder if any(folder.glob("*.safetensors")) else None


def download(model_id: str) -> Path:
    """Download a model, with a progress bar; what an interrupted download has is not fetched again.

    Args:
        model_id: for instance ``"ibm-granite/granite-4.0-350m"``.

    Returns:
        The folder in the hub's own cache.

    Raises:
        UnavailableModel: if the hub has no such model, does not give it away, or cannot be reached.
        UnusableModel: if the model has no weights in safetensors format.
    """
    folder = _snapshot(model_id, (*SMALL_FILES, *WEIGHTS))
    if not any(folder.glob("*.safetensors")):
        raise UnusableModel(
            f"The model {model_id!r} has no weights in safetensors format. Choose one that has: other formats can run "
            "code when they are opened."
        )
    return folder


def download_configuration(model_id: str) -> Path:
    """Download all of a model but its weights: what tells its kind and its size.

    Args:
        model_id: for instance ``"ibm-granite/granite-4.0-350m"``.

    Returns:
        The folder in the hub's own cache.

    Raises:
        UnavailableModel: if the hub has no such model, does not give it away, or cannot be reached.
    """
    return _snapshot(model_id, SMALL_FILES)


def _snapshot(model_id: str, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(model_id, allow_patterns=list(patterns), ignore_patterns=list(_ELSEWHERE), max_workers=2)
        )
    except Exception as error:  # of the hub's client, of its HTTP client, of the disk
        raise _refused(model_id, error) from error


def _refused(model_id: str, error: Exception) -> EngineError:
    """Say why the hub gives no model, and what to do."""
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return UnavailableModel(
            f"The model {model_id!r} is given only to those who accept its terms. Do so on its page, "
            f"https://huggingface.co/{model_id}, then sign in on this computer with: hf auth login"
        )
    if isinstance(error, RepositoryNotFoundError):
        return UnavailableModel(
            f"The Hugging Face hub has no model {model_id!r}, or it is private. Check its id; for a private one sign "
            "in with: hf auth login"
        )
    if isinstance(error, LocalEntryNotFoundError):
        cause = error.__cause__ or error
        return UnavailableModel(
            f"The model {model_id!r} has not been downloaded yet, and the Hugging Face hub cannot be reached "
            f"({reason_of(cause).rstrip('.')}). Connect this computer to the network once, or name a folder that holds "
            "the model."
        )
    return UnavailableModel(
        f"The model {model_id!r} could not be downloaded: {reason_of(error).rstrip('.')}. Try again: what has been "
        "downloaded is kept."
    )
