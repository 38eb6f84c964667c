"""Serves a fake engine in a process of its own: the state folder is the first argument, the port may be the second."""

import sys
from pathlib import Path

from prompt_tuning_helpers.runtime.server import serve, write_logs
from prompt_tuning_helpers.runtime.store.state import State
from tests.support.fake_engine import FakeEngine, fake_tune_command

if __name__ == "__main__":
    state = State(Path(sys.argv[1]))
    write_logs(state)
    alias = "ibm/granite-13b-instruct-v2"
    engine = FakeEngine(["local/fake", "local/tiny-random-llama", alias])
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    serve(state, engine, port, fake_tune_command, aliases=[alias])
