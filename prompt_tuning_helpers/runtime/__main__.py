"""``python -m prompt_tuning_helpers.runtime``."""

from .cli import app

app(prog_name="python -m prompt_tuning_helpers.runtime")
