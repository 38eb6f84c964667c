"""How good tuned soft prompts are on the support tickets, beside counting words and prompts written by hand.

    python -m benchmarks.tickets

Everything is chosen on the training and validation files: the settings of tuning, the best of fifteen prompts. The
test file is read once, for the scores. It takes an hour or more on two cores.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prompt_tuning_helpers import Scores, datasets, evaluate, word_counts_baseline
from prompt_tuning_helpers.engine import (
    Engine,
    GenerationParameters,
    GenerationRequest,
    TuningSettings,
)
from prompt_tuning_helpers.engine.job_folder import SOFT_PROMPT
from prompt_tuning_helpers.engine.memory import keep_freed_memory
from prompt_tuning_helpers.engine.rows import wrap
from prompt_tuning_helpers.engine.settings import Guide

from .quality import tune_soft_prompt

MODEL = "smollm2"
DATA = Path(__file__).parents[1] / "data"
LABELS = ("accounts", "billing", "bugs", "how_to", "sales")
SEEDS = (0, 1, 2)

# The base model's chat format: it was trained to answer there, and to end its answer with the token that ends a text.
CHAT = "<|im_start|>user\n{{input}}<|im_end|>\n<|im_start|>assistant\n"
# Made up for this purpose; none is a row of the files.
EXAMPLES = (
    ("How do I print one page?", "how_to"),
    ("The total is wrong since Monday.", "bugs"),
    ("You charged my card twice.", "billing"),
    ("I never got the login code.", "accounts"),
    ("Is there a discount for charities?", "sales"),
    ("Where is the export button?", "how_to"),
    ("The app crashes when I save.", "bugs"),
    ("Please refund last month.", "billing"),
    ("Remove Ann from our team.", "accounts"),
    ("We need a quote for 40 seats.", "sales"),
)

# Chosen on the validation file; data/SUPPORT_TICKETS.md tells how.
SETTINGS = TuningSettings(
    num_virtual_tokens=100,
    init_method="text",
    init_text="".join(f"{wrap(CHAT, message)}{team}\n" for message, team in EXAMPLES),
    learning_rate=0.02,
    num_epochs=16,
    batch_size=8,
    accumulate_steps=1,
    max_input_tokens=512,
    max_output_tokens=8,
    verbalizer=CHAT,
)

_TEAMS = (
    "how_to: the product works, and the customer needs to be told how\n"
    "bugs: the product does something wrong\n"
    "billing: charges, refunds, cards, bills, ending a plan\n"
    "accounts: passwords, codes, members, roles, who gets in\n"
    "sales: before buying or buying more: plans, quotes, discounts, demos\n"
)
_ASK = "Which team must act on this message: accounts, billing, bugs, how_to or sales?"
PROMPTS = (
    "{{input}}\nTeam:\n",
    "Message: {{input}}\nTeam: ",
    f"{_ASK}\n\n{{{{input}}}}\n\nTeam: ",
    f"{{{{input}}}}\n\n{_ASK}\nAnswer: ",
    f"Teams:\n{_TEAMS}\nMessage: {{{{input}}}}\nTeam: ",
    f"Classify the message.\n{_TEAMS}\n{{{{input}}}}\n\nThe right team is ",
    "A customer of a small software company wrote:\n{{input}}\n\nThis is a matter for the team ",
    "Sort the message into one of accounts, billing, bugs, how_to, sales.\nMessage: {{input}}\nCategory: ",
    wrap(CHAT, f"{_ASK} Answer with one word.\n\n{{{{input}}}}"),
    wrap(CHAT, f"{{{{input}}}}\n\n{_ASK} Answer with the name of the team only."),
    wrap(
        CHAT,
        f"Teams of a help desk:\n{_TEAMS}\nWhich one must act on this message?\n\n{{{{input}}}}",
    ),
    "".join(f"Message: {message}\nTeam: {team}\n\n" for message, team in EXAMPLES) + "Message: {{input}}\nTeam: ",
    f"Teams:\n{_TEAMS}\n"
    + "".join(f"Message: {message}\nTeam: {team}\n\n" for message, team in EXAMPLES)
    + "Message: {{input}}\nTeam: ",
    "".join(f"{wrap(CHAT, message)}{team}<|im_end|>\n" for message, team in EXAMPLES) + CHAT,
    "".join(f"{wrap(CHAT, f'{_ASK} {message}')}{team}<|im_end|>\n" for message, team in EXAMPLES[:5])
    + wrap(CHAT, f"{_ASK} {{{{input}}}}"),
)


def answers(engine: Engine, prompts: Sequence[str], free: bool, soft_prompt: Path | None = None) -> list[str]:
    """Ask for a label after each prompt.

    Args:
        engine: that serves the base model.
        prompts: whole texts; with a soft prompt, the messages alone.
        free: whether anything may be written, as by a deployment; otherwise one of the labels.
        soft_prompt: the folder of a tuned one.
    """
    guide = None if free else Guide("choice", LABELS)
    parameters = GenerationParameters(max_new_tokens=10 if free else 8, guide=guide)
    futures = [engine.generate(GenerationRequest(MODEL, prompt, parameters, soft_prompt)) for prompt in prompts]
    return [future.result().text for future in futures]


def best_prompt(engine: Engine) -> str:
    """Choose among the prompts by hand: the one after which most validation messages get the right label."""
    rows = datasets.load_rows(path_of("validation"))

    def accuracy(prompt: str) -> float:
        asked = [wrap(prompt, text) for text in rows["input"]]
        found = evaluate(rows["output"].tolist(), answers(engine, asked, free=False), LABELS).accuracy
        _say(f"{found:.3f} on the validation file: {prompt[-60:]!r}")
        return found

    return max(PROMPTS, key=accuracy)


def tuned(engine: Engine, seed: int, part: str) -> tuple[Scores, Scores, float]:
    """Tune on the training file with a seed, and ask about another.

    Returns:
        The scores of choosing a label and of writing freely, and the seconds that tuning took.
    """
    rows = datasets.load_rows(path_of(part))
    with tempfile.TemporaryDirectory() as folder:
        took = tune_soft_prompt(path_of("train"), replace(SETTINGS, seed=seed), Path(folder))
        soft_prompt = Path(folder) / SOFT_PROMPT
        chosen, written = (
            evaluate(rows["output"].tolist(), answers(engine, rows["input"].tolist(), free, soft_prompt), LABELS)
            for free in (False, True)
        )
    return chosen, written, took


def path_of(part: str) -> Path:
    """Give the path of a file of tickets: ``"train"``, ``"validation"`` or ``"test"``."""
    return DATA / f"support_tickets_{part}_data.json"


def main() -> None:
    """Measure all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("validation", "test"), default="test", help="what is asked about")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--only", choices=("tuned", "rivals"), help="leave the other out")
    options = parser.parse_args()
    keep_freed_memory()
    engine = Engine({MODEL: MODEL})
    train, rows = (datasets.load_rows(path_of(part)) for part in ("train", options.part))
    print("| | accuracy, choosing | macro F1 | accuracy, writing | seconds |\n|---|---|---|---|---|", flush=True)
    if options.only != "tuned":
        _print_row("counting words", word_counts_baseline(train, rows))
        prompt = best_prompt(engine)
        asked = [wrap(prompt, text) for text in rows["input"]]
        chosen, written = (
            evaluate(rows["output"].tolist(), answers(engine, asked, free), LABELS) for free in (False, True)
        )
        _print_row("best prompt by hand", chosen, written)
    for seed in options.seeds if options.only != "rivals" else ():
        _print_row(f"tuned, seed {seed}", *tuned(engine, seed, options.part))
    engine.close()


def _print_row(name: str, chosen: Scores, written: Scores | None = None, took: float | None = None) -> None:
    freely = f"{written.accuracy:.3f}" if written else "-"
    time = f"{took:.0f}" if took else "-"
    print(f"| {name} | {chosen.accuracy:.3f} | {chosen.macro_f1:.3f} | {freely} | {time} |", flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
