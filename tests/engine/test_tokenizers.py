"""Tokenizers of all kinds: with and without tokens around a text, an end, a pad token, and a chat template."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from prompt_tuning_helpers.engine import Engine, GenerationParameters, GenerationRequest, NoChatTemplate, loading
from prompt_tuning_helpers.engine.rows import encode_inputs, encode_rows, read_rows
from prompt_tuning_helpers.engine.settings import TuningSettings

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789:. "
SPECIALS = ["<unk>", "<s>", "</s>", "<pad>"]
TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"


# In a process where nothing is imported yet.
AT_ONCE = """
import threading
from concurrent.futures import ThreadPoolExecutor
from prompt_tuning_helpers.engine import Engine

engine, gate = Engine({"tiny": "tiny"}), threading.Barrier(8)

def use(number):
    gate.wait()
    return engine.warm_up() if number == 0 else engine.count_tokens("tiny", "a dog")

with ThreadPoolExecutor(8) as threads:
    print({*threads.map(use, range(8))} - {None})
"""


@pytest.mark.slow
def test_the_first_requests_may_come_all_at_once() -> None:
    """transformers imports its parts when they are first used, and two threads can get in each other's way."""
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "{5}", done.stderr


def numbered(pieces: list[str]) -> dict[str, int]:
    return {piece: number for number, piece in enumerate(dict.fromkeys(SPECIALS + pieces))}


def byte_level_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab=numbered(sorted(pre_tokenizers.ByteLevel.alphabet())), merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def bpe_with_byte_fallback() -> Tokenizer:
    """As of Llama 2: spaces are ▁, and what is not in the vocabulary is spelt in bytes."""
    pieces = [*LETTERS, "▁", "▁d", "▁do", *[f"<0x{byte:02X}>" for byte in range(256)]]
    merges = [("▁", "d"), ("▁d", "o")]
    tokenizer = Tokenizer(models.BPE(vocab=numbered(pieces), merges=merges, byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def unigram() -> Tokenizer:
    pieces = [(piece, -float(number)) for piece, number in numbered([*LETTERS, "▁", "▁dog"]).items()]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def word_piece() -> Tokenizer:
    pieces = [piece for letter in LETTERS for piece in (letter, f"##{letter}")]
    tokenizer = Tokenizer(models.WordPiece(vocab=numbered([*pieces, "dog"]), unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


KINDS = {make.__name__: make for make in (byte_level_bpe, bpe_with_byte_fallback, unigram, word_piece)}


def write_model(folder: Path, kind: str, begins: bool, whole: bool) -> Any:
    """Write a tiny model with a tokenizer of a kind.

    Args:
        folder: to write to.
        kind: of tokenizer.
        begins: whether the tokenizer puts ``<s>`` before a text.
        whole: whether there are an end token, a pad token and a chat template.
    """
    tokenizer = KINDS[kind]()
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    given = {"eos_token": "</s>", "pad_token": "<pad>"} if whole else {}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", **given)
    if whole:
        fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
        initializer_range=0.4,
        bos_token_id=1,
        eos_token_id=2 if whole else None,
        pad_token_id=None,
    )
    network = LlamaForCausalLM(config).eval()
    network.save_pretrained(folder)
    return network


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "bare"])
@pytest.mark.parametrize("begins", [True, False], ids=["begins", "plain"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_serves_training_and_answers(
    tmp_path: Path, training_file: Path, settings: TuningSettings, kind: str, begins: bool, whole: bool
) -> None:
    network = write_model(tmp_path / "model", kind, begins, whole)
    tokenizer = loading.load_tokenizer(str(tmp_path / "model"))
    data = encode_rows(read_rows(training_file), tokenizer, replace(settings, max_output_tokens=8))
    assert ((data.shared + data.rows[0][0])[0] == 1) is begins
    assert all(1 not in inputs + outputs for inputs, outputs in data.rows)  # nothing begins in the middle
    assert all((outputs[-1] == 2) is whole for _, outputs in data.rows)
    engine = Engine({"local/model": str(tmp_path / "model")})
    try:
        for prompt in ("a dog: ", "ü 🐕", ""):
            request = GenerationRequest("local/model", prompt, GenerationParameters(max_new_tokens=8))
            answer = engine.generate(request).result(timeout=60)
            tokens = encode_inputs([prompt], tokenizer)[0] or [1]
            expected = network.generate(torch.tensor([tokens]), max_new_tokens=8, do_sample=False, pad_token_id=3)
            assert answer.input_token_count == len(tokens)
            assert answer.text == tokenizer.decode(expected[0, len(tokens) :], skip_special_tokens=True)
        messages = [{"role": "user", "content": "a dog"}]
        if whole:  # begun by the template or by the tokenizer, but not by both
            assert encode_inputs([engine.chat_prompt("local/model", messages)], tokenizer)[0].count(1) == 1
        else:
            with pytest.raises(NoChatTemplate, match="has no chat template"):
                engine.chat_prompt("local/model", messages)
    finally:
        engine.close()
