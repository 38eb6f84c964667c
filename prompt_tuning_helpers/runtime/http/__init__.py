"""HTTP as every route needs it: bodies, fields, errors, bounds. Knows nothing of projects, models or trainings."""
