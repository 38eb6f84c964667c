"""Tokenizers that a ``tokenizer.json`` describes completely: they are read without transformers."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from .sources import quiet_libraries

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER, SETTINGS, CHAT_TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
# These classes of transformers take the file as it is; others make a tokenizer of their own from parts of it.
_CLASSES = ("TokenizersBackend", "PreTrainedTokenizerFast")
_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")
_WITHOUT_BEARING = ("backend", "is_local", "local_files_only", "model_max_length", "tokenizer_class")
# Files with which transformers changes a tokenizer.
_CHANGES = ("added_tokens.json", "special_tokens_map.json", "additional_chat_templates")
# transformers looks into larger ones for a mistake that it mends.
_LARGEST = 100_000  # tokens


class FileTokenizer:
    """A tokenizer that does what transformers' would.

    What the engine needs for training and answering is here, by the same names. All else, a chat template for instance,
    is left to transformers' tokenizer, which is loaded when it is first needed.

    Args:
        folder: that it was read from.
        backend: turns texts into tokens and back.
        special_tokens: as texts, by their names: ``"eos_token"``, for instance.
        chat_template: the Jinja template that turns a conversation into a prompt, if there is one.
    """

    def __init__(
        self, folder: Path, backend: "Tokenizer", special_tokens: dict[str, str], chat_template: str | None
    ) -> None:
        self._folder, self._backend = folder, backend
        self.bos_token, self.eos_token, self.unk_token, self.pad_token = map(special_tokens.get, _SPECIAL_TOKENS)
        self.chat_template = chat_template

    def __getattr__(self, name: str) -> Any:
        """Return what only transformers' tokenizer has."""
        if name.startswith("_"):  # what Python asks of any object
            raise AttributeError(name)
        return getattr(self._complete, name)

    def __len__(self) -> int:
        """Count the tokens, added ones included."""
        size: int = self._backend.get_vocab_size(with_added_tokens=True)
        return size

    def __call__(self, texts: Any, add_special_tokens: bool = True, **options: Any) -> Any:
        """Return the token ids of texts, as ``"input_ids"``.

        Args:
            texts: a list of what to read; whatever else it is, transformers reads it.
            add_special_tokens: whether tokens are put around each text, if the model is used to that.
            options: of transformers, which then reads the texts.
        """
        if options or not isinstance(texts, list):
            return self._complete(texts, add_special_tokens=add_special_tokens, **options)
        encoded = self._backend.encode_batch(texts, add_special_tokens=add_special_tokens)
        return {"input_ids": [encoding.ids for encoding in encoded]}

    def decode(self, tokens: Sequence[int], skip_special_tokens: bool = False) -> str:
        """Return the text of token ids."""
        text: str = self._backend.decode([int(token) for token in tokens], skip_special_tokens=skip_special_tokens)
        return text

    @overload
    def convert_ids_to_tokens(self, ids: int) -> str | None: ...
    @overload
    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str | None]: ...
    def convert_ids_to_tokens(self, ids: int | Sequence[int]) -> str | list[str | None] | None:
        """Return tokens as the vocabulary writes them; ``None`` for one that it does not have."""
        if isinstance(ids, int):
            token: str | None = self._backend.id_to_token(ids)
            return token
        return [self._backend.id_to_token(token) for token in ids]

    def get_vocab(self) -> dict[str, int]:
        """Return the id of each token, added ones included."""
        vocabulary: dict[str, int] = self._backend.get_vocab(with_added_tokens=True)
        return vocabulary

    def get_added_vocab(self) -> dict[str, int]:
        """Return the ids of the tokens that were added to the tokenizer's own vocabulary."""
        return {token.content: number for number, token in self._backend.get_added_tokens_decoder().items()}

    @property
    def bos_token_id(self) -> int | None:
        """Return the id of the token that begins a text."""
        return self._id(self.bos_token)

    @property
    def eos_token_id(self) -> int | None:
        """Return the id of the token that ends a text."""
        return self._id(self.eos_token)

    @property
    def unk_token_id(self) -> int | None:
        """Return the id of the token that stands for what cannot be read."""
        return self._id(self.unk_token)

    def apply_chat_template(self, messages: Any, **options: Any) -> Any:
        """Return the prompt of a conversation, by transformers."""
        return self._complete.apply_chat_template(messages, **{"chat_template": self.chat_template, **options})

    def load_transformers(self) -> None:
        """Load transformers' tokenizer now, which takes seconds, rather than when it is first needed."""
        _ = self._complete

    def to_json(self) -> str:
        """Return the tokenizer as its file describes it."""
        text: str = self._backend.to_str()
        return text

    @cached_property
    def _complete(self) -> Any:
        quiet_libraries()
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._folder, trust_remote_code=False)

    def _id(self, token: str | None) -> int | None:
        return None if token is None else self._backend.token_to_id(token)


def read(folder: Path) -> FileTokenizer | None:
    """Read a tokenizer from a model's folder.

    Args:
        folder: as transformers' ``save_pretrained`` writes it.

    Returns:
        ``None`` if there is more to the tokenizer than its file says, or if anything about it is odd; transformers
        reads it then, and says what is wrong.
    """
    from tokenizers import Tokenizer

    try:
        settings = json.loads((folder / SETTINGS).read_bytes())
        model_type = json.loads((folder / "config.json").read_bytes())["model_type"]
        special_tokens = {name: settings[name] for name in _SPECIAL_TOKENS if settings.get(name) is not None}
        if (
            model_type != "llama"  # which has no tokenizer class that would be taken instead
            or settings["tokenizer_class"] not in _CLASSES
            or settings.keys() - {*_SPECIAL_TOKENS, *_WITHOUT_BEARING}
            or any((folder / name).exists() for name in _CHANGES)
        ):
            return None
        backend = Tokenizer.from_file(str(folder / TOKENIZER))
        added = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
        changed = backend.truncation or backend.padding or backend.get_vocab_size() > _LARGEST
        if changed or not added.issuperset(special_tokens.values()):
            return None
        template = folder / CHAT_TEMPLATE
        chat_template = template.read_text("utf-8") if template.exists() else None
        return FileTokenizer(folder, backend, special_tokens, chat_template)
    except Exception:  # the files may hold anything
        return None
