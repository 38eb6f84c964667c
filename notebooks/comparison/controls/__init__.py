"""Soft prompts of several seeds with a control beside each finding: what is special about them, and what only looks so.

A reader should leave with three pictures. ``plot_controls``: what the vectors' moves are worth, and what random moves
as long are. ``plot_geometry``: that a vector stays nearest to its word proves nothing. ``plot_between_seeds``: what the
seeds have in common, and what lies between them. ``plot_attention`` and ``plot_transfer`` are for those who want more.

Reading and showing results needs no torch.
"""
