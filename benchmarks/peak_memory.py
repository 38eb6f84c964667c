"""Runs a command and prints its peak resident memory in MiB, as the operating system accounts it.

    python -m benchmarks.peak_memory COMMAND...

A process of its own, since a command's account begins with the memory of whoever starts it: here, next to nothing.
"""

import os
import subprocess
import sys


def peak_memory_mb(command: list[str]) -> float:
    """Measure the peak resident memory of a command, its own child processes included, in MiB.

    Raises:
        CalledProcessError: if the command fails.
    """
    measured = [sys.executable, "-m", "benchmarks.peak_memory", *command]
    return float(subprocess.run(measured, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    """Run the command line's command."""
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"The command failed with status {status}.")
    print(usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))


if __name__ == "__main__":
    main()
