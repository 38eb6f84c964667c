"""The comparison of methods: what it measures, its stored results, and what the notebook shows of them.

Reading and showing results needs no torch.
"""

from .against import show_accuracy_against, show_files, show_phenomena
from .claims import describe_answers, show_claims
from .plots import plot_accuracy, plot_cost, plot_little_data, plot_phenomena, plot_virtual_tokens
from .results import load
from .sentences import describe_choice, describe_machines, describe_opened, describe_share
from .tables import (
    show_cost_against,
    show_costs,
    show_little_data,
    show_methods,
    show_searches,
    show_templates,
    show_virtual_tokens,
    show_wordings,
)

__all__ = [
    "describe_answers",
    "describe_choice",
    "describe_machines",
    "describe_opened",
    "describe_share",
    "load",
    "plot_accuracy",
    "plot_cost",
    "plot_little_data",
    "plot_phenomena",
    "plot_virtual_tokens",
    "show_accuracy_against",
    "show_claims",
    "show_cost_against",
    "show_costs",
    "show_files",
    "show_little_data",
    "show_methods",
    "show_phenomena",
    "show_searches",
    "show_templates",
    "show_virtual_tokens",
    "show_wordings",
]
