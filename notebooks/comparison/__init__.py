"""The comparison of methods: what it measures, its stored results, and what the notebook shows of them.

Reading and showing results needs no torch.
"""

from .against import show_accuracy_against, show_files, show_phenomena
from .claims import describe_answers, show_claims
from .controls.plots import plot_attention, plot_between_seeds, plot_controls, plot_geometry, plot_transfer
from .controls.results import load_controls
from .controls.sentences import (
    describe_attention,
    describe_between_seeds,
    describe_controls,
    describe_geometry,
    describe_transfer,
    describe_variants,
)
from .controls.tables import show_geometry, show_transfer, show_variants
from .plots import plot_accuracy, plot_cost, plot_little_data, plot_phenomena, plot_virtual_tokens
from .results import load
from .sentences import describe_choice, describe_machines, describe_opened
from .tables import (
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
    "describe_attention",
    "describe_between_seeds",
    "describe_choice",
    "describe_controls",
    "describe_geometry",
    "describe_machines",
    "describe_opened",
    "describe_transfer",
    "describe_variants",
    "load",
    "load_controls",
    "plot_accuracy",
    "plot_attention",
    "plot_between_seeds",
    "plot_controls",
    "plot_cost",
    "plot_geometry",
    "plot_little_data",
    "plot_phenomena",
    "plot_transfer",
    "plot_virtual_tokens",
    "show_accuracy_against",
    "show_claims",
    "show_costs",
    "show_files",
    "show_geometry",
    "show_little_data",
    "show_methods",
    "show_phenomena",
    "show_searches",
    "show_templates",
    "show_transfer",
    "show_variants",
    "show_virtual_tokens",
    "show_wordings",
]
