"""Serves the tiny model with the real engine, whose tuning jobs write a checkpoint every few updates."""

import os
import sys
from pathlib import Path

from prompt_tuning_helpers.engine import Engine
from prompt_tuning_helpers.runtime.server import serve, write_logs
from prompt_tuning_helpers.runtime.store.state import State

JOB = """
import sys
from pathlib import Path
from prompt_tuning_helpers.engine import job, tune
tune.CHECKPOINT_SECONDS = 0.2
sys.exit(job.run_job(Path(sys.argv[1]), parent=int(sys.argv[2])))
"""

if __name__ == "__main__":
    state = State(Path(sys.argv[1]))
    write_logs(state)

    def command(folder: Path) -> list[str]:
        return [sys.executable, "-c", JOB, str(folder), str(os.getpid())]

    serve(state, Engine({"local/tiny": "tiny"}), command=command)
