"""How good the default settings are on the lesson's data, over several seeds, and how long tuning takes.

    python -m benchmarks.quality
    python -m benchmarks.quality --precision bfloat16 --seeds 20

A seed decides the order of the training rows. The test file is read here only; the settings were chosen without it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from prompt_tuning_helpers import datasets, evaluate
from prompt_tuning_helpers.engine import Engine, GenerationParameters, GenerationRequest, TuningSettings, tune_command
from prompt_tuning_helpers.engine.job_folder import SOFT_PROMPT, Job
from prompt_tuning_helpers.engine.settings import Precision
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS, reviews_path

from .measure import seconds

MODEL = "smollm2"
SEEDS = range(5)
AT_ONCE = 2  # jobs


@dataclass(frozen=True)
class Quality:
    """What one seed gave.

    Args:
        accuracy, f1: on all test reviews.
        plain: accuracy on the test reviews that nothing makes hard.
        seconds: of the tuning.
    """

    accuracy: float
    f1: float
    plain: float
    seconds: float


def over_seeds(seeds: Sequence[int], precision: Precision = Precision.AUTO) -> Iterator[Quality]:
    """Tune on the training reviews with the default settings and each seed, and ask about the test reviews.

    Two jobs share the processor, which takes less time than one after the other; so the seconds of each are more than
    it would take alone.

    Args:
        seeds: of the runs.
        precision: what the jobs multiply in.
    """
    threads = max(1, (os.cpu_count() or 1) // AT_ONCE)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:

        def tune(seed: int) -> float:
            settings = replace(LOCAL_SETTINGS, seed=seed)
            return tune_soft_prompt(reviews_path("train"), settings, Path(folder) / str(seed), precision, threads)

        for seed, took in zip(seeds, pool.map(tune, seeds), strict=True):
            yield judge(_answers(Path(folder) / str(seed) / SOFT_PROMPT), took)


def judge(answers: Sequence[str], took: float) -> Quality:
    """Score the answers to the test reviews.

    Args:
        answers: one for each, in the order of the file.
        took: seconds of the tuning.
    """
    test = datasets.load_rows(reviews_path("test"))
    scores = evaluate(test["output"].tolist(), answers)
    plain = test["phenomenon"].eq("plain").tolist()
    labels = [label for label, is_plain in zip(test["output"], plain, strict=True) if is_plain]
    plain_answers = [answer for answer, is_plain in zip(answers, plain, strict=True) if is_plain]
    return Quality(scores.accuracy, scores.f1, evaluate(labels, plain_answers).accuracy, took)


def tune_soft_prompt(
    file: Path, settings: TuningSettings, job: Path, precision: Precision = Precision.AUTO, threads: int | None = None
) -> float:
    """Tune a soft prompt for SmolLM2, by a job in a process of its own, as the runtime does.

    Args:
        file: of the training rows.
        settings: of the run.
        job: the job's folder; it has the soft prompt in ``SOFT_PROMPT`` afterwards.
        precision: what the job multiplies in.
        threads: that the job computes with; by default as many as PyTorch chooses.

    Returns:
        The seconds from the start of the process to its end.
    """
    Job(MODEL, MODEL, file.resolve(), settings).write(job)
    environment = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    command = tune_command(job, precision)
    return seconds(lambda: subprocess.run(command, check=True, stdout=sys.stderr, env=environment))


def mean(results: list[Quality], name: str) -> float:
    """Give the mean of one figure over the seeds."""
    return statistics.mean(float(getattr(result, name)) for result in results)


def _answers(soft_prompt: Path) -> list[str]:
    engine = Engine({MODEL: MODEL})
    prompts = datasets.load_rows(reviews_path("test"))["input"]
    parameters = GenerationParameters(max_new_tokens=10)
    requests = [GenerationRequest(MODEL, prompt, parameters, soft_prompt) for prompt in prompts]
    answers = [future.result().text for future in [engine.generate(request) for request in requests]]
    engine.close()
    return answers


def shown(results: Iterable[Quality]) -> list[Quality]:
    """Print a row for each result when it is there, and the means, to standard error.

    Args:
        results: of the seeds 0, 1, 2 and so on.
    """
    print("| seed | accuracy | F1 | accuracy on plain reviews | seconds |\n|---|---|---|---|---|", file=sys.stderr)
    known = []
    for seed, result in enumerate(results):
        known.append(result)
        _print_row(str(seed), [result])
    _print_row("mean", known)
    return known


def _print_row(name: str, results: list[Quality]) -> None:
    figures = [f"{mean(results, figure):.3f}" for figure in ("accuracy", "f1", "plain")]
    print(f"| {name} | {' | '.join(figures)} | {mean(results, 'seconds'):.0f} |", file=sys.stderr, flush=True)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many")
    parser.add_argument("--precision", type=Precision, choices=list(Precision), default=Precision.AUTO)
    options = parser.parse_args()
    shown(over_seeds(range(options.seeds), options.precision))


if __name__ == "__main__":
    main()
