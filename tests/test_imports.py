"""Importing the package takes milliseconds."""

import subprocess
import sys


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, prompt_tuning_helpers, prompt_tuning_helpers.datasets;"
        "heavy = {'torch', 'transformers', 'starlette', 'uvicorn', 'psutil', 'matplotlib', 'pandas', 'ibm_watsonx_ai'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
