"""Plots: each function draws one picture, and returns a figure that notebooks show with its alternative text."""

from .card import CARD, CARD_EDGE
from .confusion import plot_confusion
from .loss import plot_loss
from .probabilities import plot_probabilities
from .scores import plot_comparison, plot_scores
from .search import plot_search
from .style import BASE, EDGE, LINES, QUIET, TUNED, finished, new_figure, new_grid

__all__ = [
    "BASE",
    "CARD",
    "CARD_EDGE",
    "EDGE",
    "LINES",
    "QUIET",
    "TUNED",
    "finished",
    "new_figure",
    "new_grid",
    "plot_comparison",
    "plot_confusion",
    "plot_loss",
    "plot_probabilities",
    "plot_scores",
    "plot_search",
]
