"""Serves a fake engine in a process of its own: the state folder is the first argument, the port may be the second."""

import sys
from pathlib import Path

from prompt_tuning_helpers.runtime.server import serve, write_logs
from prompt_tuning_helpers.runtime.store.state import State
from tests.support.fake_engine import FakeEngine, fake_tune_command

if __name__ == "__main__":
    state = State(Path(sys.argv[1]))
    write_logs(state)
    models = {"local/fake": "tiny", "local/tiny-random-llama": "tiny", "ibm/granite-13b-instruct-v2": "tiny"}
    engine = FakeEngine(models, frozenset({"ibm/granite-13b-instruct-v2"}))
    serve(state, engine, int(sys.argv[2]) if len(sys.argv) > 2 else 0, fake_tune_command)
