"""What grows with the length of a prompt: the time and memory until its first token is answered."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from prompt_tuning_helpers.engine import Engine, GenerationParameters, GenerationRequest, loading
from prompt_tuning_helpers.engine.llama_attention import LlamaKVCache
from prompt_tuning_helpers.engine.rows import encode_inputs
from prompt_tuning_helpers.lesson import reviews_path

from .point import MIB, Point, memory_growth, timed

SIZES = (100, 500, 2_000, 8_000)
MODEL = "smollm2"
SOFT_PROMPT_TOKENS = 100


def measure(tokens: int) -> Iterator[Point]:
    """Measure a prompt on the default model, in a process of its own, since memory once taken is kept for reuse.

    Args:
        tokens: of the prompt.
    """
    command = [sys.executable, "-m", __name__, str(tokens)]
    for line in subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
        what, value, unit = line.split("\t")
        yield Point("prompt", what, tokens, float(value), unit)


def _measure(tokens: int) -> None:
    engine = Engine({MODEL: MODEL})
    parameters = GenerationParameters(max_new_tokens=1)

    def ask(prompt: str) -> None:
        engine.generate(GenerationRequest(MODEL, prompt, parameters)).result()

    ask("Hello")
    text = _text_of(tokens)
    with memory_growth() as memory:
        seconds = timed(lambda: ask(text))
    print(f"first token\t{seconds}\ts\nmemory of the first token\t{memory.mib}\tMiB")
    if tokens == SIZES[0]:
        print(f"memory of a cached soft prompt\t{_soft_prompt_memory()}\tMiB")
    engine.close()


def _text_of(tokens: int) -> str:
    """Cut the lesson's training file to so many tokens."""
    tokenizer = loading.load_tokenizer(MODEL)
    ids = encode_inputs([Path(reviews_path("train")).read_text(encoding="utf-8")], tokenizer)[0]
    assert len(ids) >= tokens
    return str(tokenizer.decode(ids[:tokens]))


def _soft_prompt_memory() -> float:
    """Measure what the keys and values of a soft prompt of the default length take, in MiB."""
    model = loading.load(MODEL).model
    cache = model.new_cache()
    model.extend([cache], [model.embedding[:SOFT_PROMPT_TOKENS]])
    assert isinstance(cache, LlamaKVCache)
    return float(cache.buffer.nbytes / MIB)


if __name__ == "__main__":
    _measure(int(sys.argv[1]))
