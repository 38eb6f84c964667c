"""Plots of the comparison: accuracy, little data, cost, an opened soft prompt, and what makes reviews hard."""

from .accuracy import plot_accuracy
from .cost import plot_cost
from .little_data import plot_little_data
from .phenomena import plot_phenomena
from .virtual_tokens import plot_virtual_tokens

__all__ = ["plot_accuracy", "plot_cost", "plot_little_data", "plot_phenomena", "plot_virtual_tokens"]
