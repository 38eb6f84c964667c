"""Who uses a runtime that was started in the background, and that it ends with the last of them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from prompt_tuning_helpers.runtime.endpoint import read_record, running_endpoint
from prompt_tuning_helpers.runtime.process.users import UsersLock
from tests.support.environment import offline_environment
from tests.support.servers import fake_command, start_runtime, wait_until

pytestmark = pytest.mark.slow

USE = "from prompt_tuning_helpers import connect; connect(); print('ready', flush=True); input()"


@pytest.fixture
def user(state: Path, processes: list[subprocess.Popen[bytes]]) -> Callable[[], subprocess.Popen[bytes]]:
    """Starts a process that uses the runtime until its standard input ends."""
    environment = offline_environment(state.parent / "attempts")
    environment |= {"LOCAL_WATSONX_STATE": str(state), "LOCAL_WATSONX_MODEL": "tiny"}

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", USE]
        processes.append(
            subprocess.Popen(command, env=environment, cwd=state.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        return processes[-1]

    return start


def wait_until_ready(*users: subprocess.Popen[bytes]) -> None:
    for user in users:
        assert user.stdout is not None
        assert user.stdout.readline() == b"ready\n"


def leave(user: subprocess.Popen[bytes]) -> None:
    user.communicate(b"\n", timeout=30)
    assert user.returncode == 0


User = Callable[[], subprocess.Popen[bytes]]


def test_a_runtime_lasts_as_long_as_somebody_uses_it(state: Path, user: User) -> None:
    """Whoever started it."""
    first = user()
    wait_until_ready(first)
    endpoint = running_endpoint(state)
    second = user()
    wait_until_ready(second)
    leave(first)
    assert running_endpoint(state) == endpoint
    third = user()
    wait_until_ready(third)
    second.kill()
    assert running_endpoint(state) == endpoint
    third.kill()  # neither is waited for, as by a parent that does not care
    wait_until(lambda: read_record(state) is None, 20)


def test_the_only_user_takes_the_runtime_along(state: Path, user: User) -> None:
    only = user()
    wait_until_ready(only)
    leave(only)
    assert read_record(state) is None


def test_two_that_come_at_once_use_one_runtime(state: Path, user: User) -> None:
    both = user(), user()
    wait_until_ready(*both)
    record = read_record(state)
    assert record is not None
    for one in both:
        leave(one)
    wait_until(lambda: not record.process.is_alive(), 20)


def test_a_runtime_that_was_started_by_hand_does_not_end_with_its_users(state: Path, user: User) -> None:
    server, endpoint = start_runtime(state, fake_command(state))
    one = user()
    wait_until_ready(one)
    leave(one)
    with pytest.raises(subprocess.TimeoutExpired):
        server.wait(2)
    assert running_endpoint(state) == endpoint


def test_who_comes_while_the_runtime_ends_waits(tmp_path: Path) -> None:
    runtime, user = UsersLock(tmp_path / "users.lock"), UsersLock(tmp_path / "users.lock")
    assert runtime.try_alone()
    comes = threading.Thread(target=user.share)
    comes.start()
    comes.join(0.2)
    assert comes.is_alive()
    runtime.close()
    comes.join(10)
    assert not comes.is_alive()
    assert not UsersLock(tmp_path / "users.lock").try_alone()


def test_a_fork_counts_while_it_lives_and_a_program_does_not(tmp_path: Path) -> None:
    path = tmp_path / "users.lock"
    program = (
        "import os, subprocess; from pathlib import Path\n"
        "from prompt_tuning_helpers.runtime.process.users import UsersLock\n"
        f"lock = UsersLock(Path({str(path)!r})); lock.share()\n"
        "other = subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL)\n"
        "if os.fork(): print(other.pid, flush=True); os._exit(0)\n"
        "input()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin is not None
    assert parent.stdout is not None
    other = int(parent.stdout.readline())
    assert parent.wait(10) == 0
    try:
        assert not UsersLock(path).try_alone()
        parent.stdin.close()
        wait_until(lambda: UsersLock(path).try_alone(), 10)
        assert psutil.pid_exists(other)
    finally:
        os.kill(other, signal.SIGKILL)
