"""A server that meets trouble, and the SDK's clients for it, which outlive its restarts."""

import contextlib
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import httpx
import jwt
import psutil
from ibm_watsonx_ai.experiment import TuneExperiment

from prompt_tuning_helpers.runtime.endpoint import stop_recorded
from prompt_tuning_helpers.runtime.jobs.folder import end_recorded_processes
from prompt_tuning_helpers.runtime.store.state import State
from tests.support.calls import add_version
from tests.support.servers import changed_command, start_runtime, wait_until
from tests.support.service import make_credentials
from tests.support.trouble import Kind, share, shift_starts_of_processes

ANSWERED = re.compile(rb"runtime\.app: (?:GET|POST|PUT|PATCH|DELETE) \S+ (\d{3}) ")
PATIENCE = 20.0
# OpenSSL looks at the real clock: a server may not make its certificate at a time for which that is too early.
EARLIEST, LATEST = -30 * 86400.0, 20 * 3600.0


class Outcome(Enum):
    """What a client knows after a request."""

    DONE = "done"
    REFUSED = "refused"
    UNSURE = "unsure"


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Args:
        value: what a call gave that is done.
        statuses: what the server answered meanwhile.
    """

    outcome: Outcome
    value: Any
    statuses: frozenset[int]

    @property
    def done(self) -> bool:
        """Whether it was acknowledged."""
        return self.outcome is Outcome.DONE

    @property
    def refused(self) -> bool:
        """Whether it surely did nothing."""
        return self.outcome is Outcome.REFUSED


class World:
    """A state folder with the server that runs on it.

    Args:
        folder: where everything is; the state is in it.
    """

    def __init__(self, folder: Path) -> None:
        self.state = State(folder / "state")
        self._order = folder / "trouble"
        self.trouble = share(self._order)
        self._undo_shift = shift_starts_of_processes(self.trouble)
        self._port = free_port()
        self._clients: dict[str, TuneExperiment] = {}
        self._checked = 0
        self._had_full_disk = False
        self._is_to_end = False
        self.start()
        context = ssl.create_default_context(cafile=self.endpoint.ca_bundle)
        self._plain = httpx.Client(base_url=self.endpoint.url, verify=context, trust_env=False, timeout=30)
        self._plain.event_hooks = {"request": [add_version]}

    def start(self, killed_after: int | None = None) -> None:
        """Start the server, which may be killed after so many changes, maybe before it answers."""
        self.order(Kind.NONE if killed_after is None else Kind.KILLED, killed_after or 0)
        self._had_full_disk = self._is_to_end = False
        install = "from pathlib import Path; from tests.support.trouble import install"
        change = f"{install}; install(Path({str(self._order)!r}), Path({str(self.state.root)!r}))"
        command = changed_command(self.state.root, change, self._port)
        try:
            self.process, self.endpoint = start_runtime(self.state.root, command)
        except RuntimeError:
            if killed_after is None or self.trouble.after:
                raise
            return
        self.renew_clients()

    def order(self, kind: Kind, after: int = 0) -> None:
        """Let something happen after so many changes of the disk."""
        self.trouble.kind = Kind.NONE
        self.trouble.after = after
        self.trouble.kind = kind
        self._had_full_disk = self._had_full_disk or self.may_fail()

    def is_up(self) -> bool:
        """Whether the server's process lives."""
        return self.process.poll() is None

    def is_well(self) -> bool:
        """Whether the server is up, and no trouble is on its way."""
        return self.is_up() and self.trouble.kind == Kind.NONE

    def may_fail(self) -> bool:
        """Whether the disk may refuse changes."""
        return self.trouble.kind in (Kind.FULL, Kind.READ_ONLY)

    def has_died(self) -> bool:
        """Whether the server is gone, or about to be."""
        if self._is_to_end or (self.trouble.kind == Kind.KILLED and self.trouble.after == 0):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
        return not self.is_up()

    def step_clock(self, seconds: float) -> None:
        """Set the clock; clients whose tokens are over then sign in again."""
        self.trouble.clock = min(max(self.trouble.clock + seconds, EARLIEST), LATEST)
        if self.is_up():
            self.renew_clients()

    def kill(self) -> None:
        """End the server without a chance to clean up."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def terminate(self) -> None:
        """Ask the server to end, as a shutdown of the machine does."""
        self._is_to_end = True
        self.process.send_signal(signal.SIGTERM)
        self._assert_ended()

    def stop(self) -> None:
        """End the server as `stop` does."""
        self._is_to_end = True
        stopped = stop_recorded(self.state.root, PATIENCE)
        assert stopped or not self.is_up(), f"it runs, and `stop` gives {stopped}"
        self._assert_ended()

    def _assert_ended(self) -> None:
        code = self.process.wait(PATIENCE)
        assert code == 0 or (code == -signal.SIGKILL and self.trouble.kind == Kind.KILLED), f"ended with {code}"

    def kill_tuning(self) -> None:
        """Kill the processes that the server has started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.process.pid).children():
                process.kill()

    def end(self) -> None:
        """End whatever still runs."""
        self.kill()
        end_recorded_processes(self.state.jobs)
        self._plain.close()
        self._undo_shift()

    def client(self, project: str) -> TuneExperiment:
        """A project's client, with all of the SDK."""
        if project not in self._clients:
            self._clients[project] = self._sign_in(project)
        return self._clients[project]

    def renew_clients(self) -> None:
        """Sign in again where a token is over by the server's clock; a client looks at the clock of the test."""
        for project, client in self._clients.items():
            claims = jwt.decode(client.client.token, options={"verify_signature": False})
            if claims["exp"] < time.time() + self.trouble.clock + 60:
                self._clients[project] = self._sign_in(project)

    def forget_client(self, project: str) -> None:
        """Drop the client of a project that is gone."""
        self._clients.pop(project, None)

    def send(self, method: str, path: str, project: str, **body: Any) -> httpx.Response:
        """Make a request that the SDK has no call for; an answer that is an error is raised."""
        headers = {"Authorization": f"Bearer {self.client(project).client.token}"}
        # Neither a link nor an operation on projects themselves reads the project from the query.
        reads_it = not path.startswith("https:") and "/projects" not in path
        params = {"project_id": project} if reads_it else None
        answer = self._plain.request(method, path, params=params, headers=headers, **body)
        return answer.raise_for_status()

    def ask(self, call: Callable[[], Any], *refusals: int) -> Answer:
        """Make a request.

        Args:
            call: raises an error if it does not get what it asks for.
            refusals: the statuses that may be the answer.

        Raises:
            Exception: the call's, if neither a refusal nor the server's trouble accounts for it.
        """
        before = self.state.log.stat().st_size
        try:
            value = call()
            return Answer(Outcome.DONE, value, self._statuses(before))
        except Exception:
            statuses = self._statuses(before)
            if statuses & set(refusals):
                return Answer(Outcome.REFUSED, None, statuses)
            if (507 in statuses and self.may_fail()) or self.has_died():
                return Answer(Outcome.UNSURE, None, statuses)
            raise

    def check_statuses(self) -> None:
        """See what the server has answered since the last time."""
        statuses = self._statuses(self._checked)
        self._checked = self.state.log.stat().st_size
        allowed = {507} if self._had_full_disk else set()
        wrong = {status for status in statuses if status >= 500} - allowed
        assert not wrong, f"answered with {wrong}"

    def _statuses(self, since: int) -> frozenset[int]:
        with self.state.log.open("rb") as log:
            log.seek(since)
            return frozenset(int(status) for status in ANSWERED.findall(log.read()))

    def assert_clean(self) -> None:
        """See that no file is left that no record names; what a full disk left is cleared at the next start."""
        assert self._had_full_disk or holds_soon(lambda: not self._unrecorded_files()), self._unrecorded_files()

    def _unrecorded_files(self) -> set[str]:
        """What lies in the folders of blobs, jobs and models, and no record names."""
        tables = {self.state.blobs: "attachments", self.state.jobs: "trainings", self.state.models: "models"}
        found = set()
        with contextlib.closing(sqlite3.connect(f"file:{self.state.database}?mode=ro", uri=True)) as database:
            for folder, table in tables.items():
                recorded = {str(row[0]) for row in database.execute(f"SELECT id FROM {table}")}
                found |= {f"{folder.name}/{path.name}" for path in folder.iterdir() if path.name not in recorded}
        return found

    def _sign_in(self, project: str) -> TuneExperiment:
        return TuneExperiment(make_credentials(self.endpoint), project_id=project)


def holds_soon(condition: Callable[[], bool]) -> bool:
    """Whether something becomes true within a few seconds."""
    try:
        wait_until(condition, 5)
    except AssertionError:
        return False
    return True


def free_port() -> int:
    """A port that nobody uses, of those that no system gives to clients."""
    for port in range(20000 + os.getpid() % 10000, 32000):
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise OSError("All ports are taken.")
