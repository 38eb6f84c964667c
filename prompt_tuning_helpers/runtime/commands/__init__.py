"""Commands of ``local-watsonx`` that look at a runtime or at what it keeps; ``cli.py`` runs and ends it."""
