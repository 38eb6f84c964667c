"""Soft prompts of several seeds with a control beside each finding: what is special about them, and what only looks so.

A reader should leave with two pictures, ``plot_controls`` (which way the vectors moved is what counts, not how far) and
``plot_between_seeds`` (what the seeds have in common, and what lies between them). ``plot_transfer`` may be a third.

Reading and showing results needs no torch.
"""
