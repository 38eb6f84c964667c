"""``local-watsonx``, and ``python -m prompt_tuning_helpers.runtime``, which is the same."""

import sys

from .._installation import install_command
from .program import PROGRAM


def main() -> None:
    """Run the command line."""
    try:
        from .cli import app
    except ModuleNotFoundError as error:  # the package has this command without its extra, too
        sys.exit(f"{PROGRAM} needs {error.name}, which is not installed. Install it with\n    {install_command()}")
    app(prog_name=PROGRAM)


if __name__ == "__main__":
    main()
