"""What grows with the rows of a tuning: all that happens to them from the file to the tuned model."""

import json
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from ibm_watsonx_ai.helpers import DataConnection

from prompt_tuning_helpers import connect, datasets, watch
from prompt_tuning_helpers.engine import loading
from prompt_tuning_helpers.engine.defaults import default_settings
from prompt_tuning_helpers.engine.rows import encode_rows, read_rows
from prompt_tuning_helpers.engine.tune import minibatches
from prompt_tuning_helpers.lesson import reviews_path
from prompt_tuning_helpers.runtime.endpoint import recorded_endpoint, stop_recorded

from ..peak_memory import peak_memory_mb
from .point import Point, memory_growth, timed
from .tuner import client_and_tuner

SIZES = (300, 3_000, 30_000)
BATCH_SIZE = 8
CALLS = 50  # where one takes milliseconds
WORDS = (8, 30)  # of a row, the fewest and the most


def measure(rows: int) -> Iterator[Point]:
    """Measure a tuning of one epoch on the tiny model, where what the rows cost is not hidden behind the model's work.

    Args:
        rows: how many.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = write_rows(Path(folder) / "rows.json", rows)
        yield from _alone(file, rows)
        yield from _through_the_sdk(file, rows)


def _alone(file: Path, rows: int) -> Iterator[Point]:
    """Measure the helpers and the engine by themselves."""
    frame = datasets.load_rows(file)
    datasets.check(frame.head(50))  # imports what it needs, which is not to count
    with memory_growth() as memory:
        yield Point("tuning", "check", rows, timed(lambda: datasets.check(frame)), "s")
    yield Point("tuning", "memory of check", rows, memory.mib, "MiB")
    alike = frame.assign(input=[f"The dog came home clean and happy, visit {number}." for number in range(rows)])
    yield Point("tuning", "check, rows nearly alike", rows, timed(lambda: datasets.check(alike)), "s")
    yield Point("tuning", "load_rows", rows, timed(lambda: datasets.load_rows(file)), "s")
    tokenizer, settings = loading.load_tokenizer("tiny"), replace(default_settings("tiny"), num_epochs=1)
    read = read_rows(file)
    yield Point("tuning", "encode", rows, timed(lambda: encode_rows(read, tokenizer, settings)), "s")
    yield Point("tuning", "order of an epoch", rows, timed(lambda: list(minibatches(rows, settings))), "s")
    command = [sys.executable, "-m", "prompt_tuning_helpers.engine", "tune", str(file.parent / "job")]
    command += ["--model", "tiny", "--data", str(file), "--setting", "num_epochs=1"]
    memory_of_job = 0.0

    def run() -> None:
        nonlocal memory_of_job
        memory_of_job = peak_memory_mb(command)

    yield Point("tuning", "job", rows, timed(run), "s")
    yield Point("tuning", "memory of the job", rows, memory_of_job, "MiB")


def _through_the_sdk(file: Path, rows: int) -> Iterator[Point]:
    """Measure what a client waits for, and what the server takes meanwhile."""
    state = file.parent / "state"
    connection = connect(model="tiny", state=state)
    endpoint = recorded_endpoint(state)
    assert endpoint is not None
    pid = endpoint.pid
    try:
        client, tuner = client_and_tuner(connection, num_epochs=1, batch_size=BATCH_SIZE)
        with memory_growth(pid) as memory:
            assets: list[str] = []
            yield Point(
                "tuning", "upload", rows, timed(lambda: assets.append(datasets.upload(client, file)), server=pid), "s"
            )
            data = [DataConnection(data_asset_id=assets[0])]
            yield Point("tuning", "start", rows, timed(lambda: tuner.run(data, background_mode=True), server=pid), "s")
            watch(tuner, every=1)
            details = tuner.get_run_details(include_metrics=True)
            reported = len(json.dumps(details))
            ask = timed(lambda: tuner.get_run_details(include_metrics=True), calls=CALLS, server=pid)
        yield Point("tuning", "details with metrics", rows, ask, "s")
        yield Point("tuning", "size of these details", rows, reported / 1024, "KiB")
        yield Point("tuning", "memory of the runtime", rows, memory.mib, "MiB")
    finally:
        stop_recorded(state, 30)


def write_rows(file: Path, rows: int) -> Path:
    """Write rows that read like the lesson's reviews and hardly repeat: a Markov chain over the words of these."""
    reviews = datasets.load_rows(reviews_path("train"))
    followers: dict[str, list[str]] = defaultdict(list)
    for review in reviews["input"]:
        words = review.split()
        for word, following in pairwise(words):
            followers[word].append(following)
    chance, starts = random.Random(0), sorted(followers)

    def text() -> str:
        words = [chance.choice(starts)]
        for _ in range(chance.randint(*WORDS)):
            words.append(chance.choice(followers.get(words[-1]) or starts))
        return " ".join(words)

    content = [{"input": text(), "output": chance.choice("01")} for _ in range(rows)]
    file.write_text(json.dumps(content), encoding="utf-8")
    return file
