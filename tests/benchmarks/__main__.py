"""``make bench``: measures, prints a table with the method in words, writes build/benchmarks.json."""

import json
import platform
from pathlib import Path

import torch

from prompt_tuning_helpers.engine.models import quiet_libraries

from . import serving, tuning

OUTPUT = Path(__file__).parents[2] / "build" / "benchmarks.json"

# What each figure means, and what it should be. A goal that is not reached stays in the table as what it is.
METHODS = {
    "tune_vs_peft_20": ("at least 4", "tuning, samples per second over PEFT's own at 20 virtual tokens"),
    "tune_vs_peft_100": ("at least 6", "the same at 100 virtual tokens"),
    "gemm_fraction": (
        "at least 0.75",
        "useful operations per second while tuning, over a 2048-square float32 product's",
    ),
    "peak_memory_mb": ("", "peak memory of a tuning process, base model included, MiB"),
    "rows_scaling": ("at most 1.05", "time per row at 5,000 rows over 500, tiny model"),
    "rows_memory": ("at most 1.05", "peak memory at 5,000 rows over 500, tiny model"),
    "runtime_ready_s": ("at most 5", "seconds from process start to the first answer, warm cache"),
    "tuning_s": ("at most 240", "seconds to tune on the lesson's data, through the SDK"),
    "tuned_accuracy": ("", "accuracy of that soft prompt on the test reviews"),
    "score_tuned_vs_base": ("at most 1.1", "time to score the test file through the SDK, tuned over base"),
    "score_vs_peft": ("at least 3", "prompts per second over PeftModel.generate in batches of 8"),
    "tutorial_s": ("at most 480", "seconds for the whole notebook"),
}


def main() -> None:
    """Measure everything, in an order that keeps the machine to one thing at a time."""
    quiet_libraries()
    figures: dict[str, float] = {}

    def note(name: str, value: float) -> None:
        figures[name] = value
        print(f"{name:20} {value:8.3g}   {METHODS[name][0]:14} {METHODS[name][1]}", flush=True)

    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("Rivals take turns in one run; each figure is the median of 5 rounds or more.\n")
    note("tune_vs_peft_20", tuning.tune_vs_peft(20))
    note("tune_vs_peft_100", tuning.tune_vs_peft(100))
    note("gemm_fraction", tuning.gemm_fraction())
    note("peak_memory_mb", tuning.peak_memory_mb())
    note("rows_scaling", tuning.rows_scaling())
    note("rows_memory", tuning.rows_memory())
    note("runtime_ready_s", serving.runtime_ready_s())
    with serving.lesson() as lesson:
        note("tuning_s", lesson.tuning_s)
        note("tuned_accuracy", serving.accuracy_of(lesson))
        note("score_tuned_vs_base", serving.score_tuned_vs_base(lesson))
        note("score_vs_peft", serving.score_vs_peft(lesson.soft_prompt))
    note("tutorial_s", serving.tutorial_s())
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    print(f"\nWritten to {OUTPUT.relative_to(Path.cwd()) if OUTPUT.is_relative_to(Path.cwd()) else OUTPUT}")


if __name__ == "__main__":
    main()
