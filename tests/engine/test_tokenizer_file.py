"""A tokenizer that is read from its file does what transformers makes of the same file."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from prompt_tuning_helpers.engine import loading, sources, tokenizer_file
from prompt_tuning_helpers.engine.tokenizer_file import FileTokenizer

SOURCES = ("tiny", "smollm2")
PAIRS = {
    source: (loading.load_tokenizer(source), AutoTokenizer.from_pretrained(sources.fetch(source))) for source in SOURCES
}
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")

# Whatever a person or a program may send: any character, and special tokens in the middle of it, whole or in part.
wild = st.lists(st.text() | st.sampled_from([*SPECIAL, "<|im_", "\r\n", " ", "  ", "'s", "\uff11"])).map("".join)


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=300, deadline=None)
@given(texts=st.lists(wild, min_size=1, max_size=4), special=st.booleans())
@example(texts=["", "e\u0301 \U0001f415\u200d\U0001f9ba \x00\ufeff", "a<|im_end|>b <|im_start|>"], special=True)
def test_tokens_and_texts_are_those_of_transformers(source: str, texts: list[str], special: bool) -> None:
    mine, theirs = PAIRS[source]
    tokens = mine(texts, add_special_tokens=special)["input_ids"]
    assert tokens == theirs(texts, add_special_tokens=special)["input_ids"]
    for sequence in tokens:
        assert mine.convert_ids_to_tokens(sequence) == theirs.convert_ids_to_tokens(sequence)
        for skip in (True, False):
            assert mine.decode(sequence, skip_special_tokens=skip) == theirs.decode(sequence, skip_special_tokens=skip)


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_tokens_are_the_text_that_transformers_makes_of_them(source: str, data: st.DataObject) -> None:
    mine, theirs = PAIRS[source]
    tokens = data.draw(st.lists(st.integers(0, len(theirs) - 1), max_size=20))
    assert mine.decode(tokens) == theirs.decode(tokens)
    assert mine.decode(tokens, skip_special_tokens=True) == theirs.decode(tokens, skip_special_tokens=True)
    assert [mine.convert_ids_to_tokens(token) for token in tokens] == theirs.convert_ids_to_tokens(tokens)


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=50, deadline=None)
@given(
    messages=st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": wild}), min_size=1)
)
def test_chat_prompts_are_those_of_transformers(source: str, messages: list[dict[str, str]]) -> None:
    mine, theirs = PAIRS[source]
    for asked in (True, False):
        prompts = {
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=asked)
            for tokenizer in (mine, theirs)
        }
        assert len(prompts) == 1


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_known_of_tokens_is_what_transformers_knows(source: str) -> None:
    mine, theirs = PAIRS[source]
    assert isinstance(mine, FileTokenizer)
    assert mine.get_vocab() == theirs.get_vocab()
    assert mine.get_added_vocab() == theirs.get_added_vocab()
    assert len(mine) == len(theirs)
    assert mine.convert_ids_to_tokens(len(theirs)) is theirs.convert_ids_to_tokens(len(theirs)) is None
    for name in ("bos_token", "eos_token", "unk_token", "pad_token", "chat_template"):
        assert getattr(mine, name) == getattr(theirs, name)
    for name in ("bos_token_id", "eos_token_id", "unk_token_id", "pad_token_id"):
        assert getattr(mine, name) == getattr(theirs, name)


def test_what_only_transformers_can_do_it_does() -> None:
    mine, theirs = PAIRS["tiny"]
    texts = ["a", "longer"]
    padded = mine(texts, return_tensors="pt", padding=True)
    assert padded["input_ids"].tolist() == theirs(texts, return_tensors="pt", padding=True)["input_ids"].tolist()
    assert mine("one")["input_ids"] == theirs("one")["input_ids"]
    assert mine.convert_tokens_to_ids("a") == theirs.convert_tokens_to_ids("a")
    assert copy.deepcopy(mine)(texts) == mine(texts)
    with pytest.raises(AttributeError):
        _ = mine.no_such_thing


def settings_file(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / tokenizer_file.SETTINGS
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def tokenizer_json(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / tokenizer_file.TOKENIZER
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def written(name: str, content: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(content)

    return write


TRUNCATION = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
UNUSUAL: dict[str, Callable[[Path], None]] = {
    "a class of its own": settings_file(tokenizer_class="GPT2Tokenizer"),
    "a new token": settings_file(eos_token="<|new|>"),
    "a token with properties": settings_file(eos_token={"content": "<|im_end|>", "lstrip": True}),
    "a token of the text": settings_file(eos_token="a"),
    "another setting": settings_file(split_special_tokens=True),
    "more tokens": settings_file(extra_special_tokens=["<|tool|>"]),
    "a template in the settings": settings_file(chat_template="{{ messages }}"),
    "tokens in a file of their own": written("added_tokens.json", '{"<|more|>": 259}'),
    "names of tokens in a file of their own": written("special_tokens_map.json", '{"eos_token": "<|im_start|>"}'),
    "inputs that are cut off": tokenizer_json(truncation=TRUNCATION),
    "broken": written("tokenizer.json", "{"),
    "settings that are a list": written("tokenizer_config.json", "[]"),
}


@pytest.mark.parametrize("change", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_unusual_is_left_to_transformers(change: Callable[[Path], None], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sources.fetch("tiny"), tmp_path / "mine"))
    assert tokenizer_file.read(folder) is not None
    change(folder)
    assert tokenizer_file.read(folder) is None
