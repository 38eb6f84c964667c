"""``make bench``: measures, prints a table with the method in words, writes build/benchmarks.json.

    python -m benchmarks tuning_speed lesson

measures these parts alone.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from itertools import chain
from pathlib import Path

import torch

from prompt_tuning_helpers.engine import onednn
from prompt_tuning_helpers.engine.memory import keep_freed_memory
from prompt_tuning_helpers.engine.sources import quiet_libraries

from . import load, processes, quality, serving, tuning
from . import time_to_accuracy as accuracy_over_time
from .growth import parts as growing

# A name and its value, or several values by name; None for what a rival never reached.
Figures = Iterator[tuple[str, float | Mapping[str, float | None]]]

OUTPUT = Path(__file__).parents[1] / "build" / "benchmarks.json"

# What each figure means, and what it should be. A goal that is not reached stays in the table as what it is.
METHODS = {
    "tune_vs_peft_20": ("at least 4", "tuning, samples per second over PEFT's own at 20 virtual tokens"),
    "tune_vs_peft_100": ("at least 6", "the same at 100 virtual tokens"),
    "tune_vs_peft_32rows": ("", "the same at 100 virtual tokens and 32 rows a step in place of 8"),
    "bfloat16_speed_up": (
        "at least 1.2",
        "a step with products in bfloat16 over one in float32, where the processor can",
    ),
    "bfloat16_gradient": ("at most 0.1", "norm of the difference of their gradients, over the norm of float32's"),
    "onednn_speed_up": ("", "forward and gradient through transformers, by oneDNN over PyTorch's own products"),
    "gemm_fraction": (
        "at least 0.75",
        "useful operations per second while tuning, over a 2048-square float32 product's",
    ),
    "peak_memory_mb": ("at most 1600", "peak memory of a tuning process, base model included, MiB"),
    "rows_scaling": ("at most 1.05", "time per row at 5,000 rows over 500, tiny model"),
    "rows_memory": ("at most 1.05", "peak memory at 5,000 rows over 500, tiny model"),
    "two_processes_8rows": (
        "",
        "tuning at 8 rows a step, two processes of a thread each under torchrun, over one of one thread",
    ),
    "two_threads_8rows": ("", "the same, one process of two threads over one of one thread"),
    "two_processes_32rows": ("", "two processes over one, as above, at 32 rows a step"),
    "two_threads_32rows": ("", "two threads over one, as above, at 32 rows a step"),
    "serve_ready_s": ("at most 3", "seconds from process start to the first answer, warm cache"),
    "connect_s": ("at most 0.3", "seconds of connect() to a runtime that runs"),
    "import_s": ("at most 0.5", "seconds to import the helpers, beyond the SDK"),
    "load_requests_per_s": ("", "generation requests per second from 8 clients while a training runs, tiny model"),
    "load_p99_ms": ("", "milliseconds within which 99 % of these 4,000 requests were answered"),
    "load_errors": ("0", "requests among these that were not answered"),
    "load_mixed_up": ("0", "answers among these that differ from what the same prompt gets alone"),
    "load_memory": ("at most 1.05", "memory of the server after these requests over before"),
    "tuning_s": ("at most 240", "seconds to tune on the lesson's data, through the SDK"),
    "tuned_accuracy": ("at least 0.93", "accuracy on the test reviews, mean of 5 seeds"),
    "tuned_accuracy_plain": ("over 0.983", "the same on the reviews that nothing makes hard"),
    "score_tuned_vs_base": ("at most 1.1", "time to score the test file through the SDK, tuned over base"),
    "score_vs_peft": ("at least 6", "prompts per second over PeftModel.generate in batches of 8"),
    "few_shot_vs_transformers": (
        "at least 3",
        "the same for the base model over transformers' generate, ten solved examples before each prompt",
    ),
    "tuned_requests_per_s": ("", "requests per second from 8 clients to the lesson's tuned model, through HTTPS"),
    "tuned_p99_ms": ("", "milliseconds within which 99 % of these were answered"),
    "base_requests_per_s": ("", "the same to the base model, which answers with ten tokens"),
    "base_p99_ms": ("", "milliseconds within which 99 % of these were answered"),
    "clients_errors": ("0", "requests among these, tuned and base, that were not answered"),
    "clients_mixed_up": ("0", "answers among these that differ from what the same prompt gets alone"),
    "tutorial_s": ("at most 480", "seconds for the whole notebook"),
    "time_to_accuracy.prompt": (
        "at most LoRA's",
        "seconds of prompt tuning until 0.93 of held-back training rows are right, mean of 5 seeds",
    ),
    "time_to_accuracy.lora": ("", "the same of LoRA"),
    "time_to_accuracy.full": ("", "the same of full fine-tuning"),
    "growth.tuning": ("at most 1", "from 300 to 3,000 rows: the figure that grows most, over the growth of the rows"),
    "growth.runtime": ("at most 1", "the same from 10 trainings and deployments to 100"),
    "growth.prompt": ("at most 1", "the same from prompts of 100 tokens to 500"),
}


def tuning_speed() -> Figures:
    """Measure how fast the engine tunes."""
    yield "tune_vs_peft_20", tuning.tune_vs_peft(20)
    yield "tune_vs_peft_100", tuning.tune_vs_peft(100)
    yield "tune_vs_peft_32rows", tuning.tune_vs_peft(100, rows=32)
    if onednn.can_round():
        trial = tuning.bfloat16()
        yield "bfloat16_speed_up", trial.speed_up
        yield "bfloat16_gradient", trial.difference
    yield "onednn_speed_up", tuning.onednn_speed_up()
    yield "gemm_fraction", tuning.gemm_fraction()
    yield "rows_scaling", tuning.rows_scaling()


def several_processes() -> Figures:
    """Measure what a second process gains, and what a second thread does."""
    for rows in (8, 32):
        speed_up = processes.speed_up(rows)
        yield f"two_processes_{rows}rows", speed_up.processes
        yield f"two_threads_{rows}rows", speed_up.threads


def tuning_memory() -> Figures:
    """Measure what memory tuning takes."""
    yield "peak_memory_mb", tuning.tuning_memory_mb()
    yield "rows_memory", tuning.rows_memory()


def runtime() -> Figures:
    """Measure how soon the runtime answers, and how it bears a load."""
    yield "serve_ready_s", serving.serve_ready_s()
    yield "connect_s", serving.connect_s()
    yield "import_s", serving.import_s()
    borne = load.load()
    yield "load_requests_per_s", borne.requests_per_s
    yield "load_p99_ms", borne.percentile_ms(99)
    yield "load_errors", len(borne.errors)
    yield "load_mixed_up", borne.mixed_up
    yield "load_memory", borne.memory


def lesson() -> Figures:
    """Measure what the default settings give over five seeds, and how fast the lesson's reviews are answered.

    The first seed is that of the notebook, tuned and asked through the SDK as there.
    """
    others = quality.over_seeds(quality.SEEDS[1:])
    with serving.lesson() as tuned:
        results = quality.shown(chain([quality.judge(tuned.answers(), tuned.tuning_seconds)], others))
        yield "tuning_s", results[0].seconds
        yield "tuned_accuracy", quality.mean(results, "accuracy")
        yield "tuned_accuracy_plain", quality.mean(results, "plain")
        yield "score_tuned_vs_base", serving.score_tuned_vs_base(tuned)
        yield "score_vs_peft", serving.score_vs_peft(tuned.soft_prompt)
        of_tuned, of_base = serving.loads(tuned)
    yield "tuned_requests_per_s", of_tuned.requests_per_s
    yield "tuned_p99_ms", of_tuned.percentile_ms(99)
    yield "base_requests_per_s", of_base.requests_per_s
    yield "base_p99_ms", of_base.percentile_ms(99)
    yield "clients_errors", len(of_tuned.errors) + len(of_base.errors)
    yield "clients_mixed_up", of_tuned.mixed_up + of_base.mixed_up


def few_shot() -> Figures:
    """Measure how fast prompts are answered that share their examples."""
    yield "few_shot_vs_transformers", serving.few_shot_vs_transformers()


def tutorial() -> Figures:
    """Time the whole notebook."""
    yield "tutorial_s", serving.tutorial_s()


def time_to_accuracy() -> Figures:
    """Measure how long three methods take to the same accuracy."""
    yield "time_to_accuracy", accuracy_over_time.seconds_to_goal()


def growth() -> Figures:
    """Measure how time and memory grow, in brief; ``make growth`` does so at length."""
    yield "growth", growing.in_brief()


PARTS = {
    part.__name__: part
    for part in (
        *(tuning_speed, several_processes, tuning_memory, runtime),
        *(lesson, few_shot, tutorial, time_to_accuracy, growth),
    )
}


def main() -> None:
    """Measure part after part, so that the machine does one thing at a time."""
    parser = argparse.ArgumentParser(description="Measure; a part that is not named keeps its earlier figures.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is named")
    names = parser.parse_args().parts or list(PARTS)
    if unknown := set(names) - set(PARTS):
        parser.error(f"there is no part {unknown.pop()!r}; there are {', '.join(PARTS)}")
    quiet_libraries()
    keep_freed_memory()
    figures = json.loads(OUTPUT.read_text(encoding="utf-8")) if OUTPUT.exists() else {}
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("Rivals take turns in one run, and their ratio is the median of one to three rounds.\n")
    print("| figure | value | goal | method |\n|---|---|---|---|")
    OUTPUT.parent.mkdir(exist_ok=True)
    table = sys.stdout
    for part in names:
        began = time.monotonic()
        with redirect_stdout(sys.stderr):  # what the SDK tells while it works
            for figure, value in PARTS[part]():
                figures[figure] = value
                for name, number in _flat(figure, value):
                    target, method = METHODS[name]
                    shown = "not reached" if number is None else f"{number:.3g}"
                    print(f"| {name} | {shown} | {target} | {method} |", file=table, flush=True)
                OUTPUT.write_text(json.dumps(figures, indent=2), encoding="utf-8")
        print(f"{part} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _flat(figure: str, value: float | Mapping[str, float | None]) -> Iterator[tuple[str, float | None]]:
    if isinstance(value, Mapping):
        yield from ((f"{figure}.{name}", number) for name, number in value.items())
    else:
        yield figure, value


if __name__ == "__main__":
    main()
