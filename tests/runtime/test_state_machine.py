"""What a client may expect of the runtime, whatever is done to it and whatever happens to it, in whichever order.

Hypothesis drives a live server through the SDK, and kills it, sets its clock and fills its disk on the way. A run
that fails ends with the shortest sequence of steps that fails, too. ``chances.py`` says how to repeat one, or to have a
longer one.
"""

import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.support.chances import LONG, choose_seed
from tests.support.expectations import KINDS as ALL_KINDS
from tests.support.expectations import Thing
from tests.support.trouble import Kind
from tests.support.users import MANY, OTHER, OWN, Users, any_of_them
from tests.support.world import World

pytestmark = pytest.mark.slow

# After the first examples there are others until so many seconds are over.
SECONDS = 600 if LONG else 0
EXAMPLES, STEPS = 8, 25
PROJECTS = st.sampled_from((OWN, OTHER))
KINDS = st.sampled_from(ALL_KINDS)
WHICH = st.integers(0, MANY)
SIZES = st.sampled_from((10, 1000, 300_000))
TUNINGS = st.sampled_from(("well", "slow", "late", "fail", "crash", "full"))
TAGS = st.lists(st.sampled_from(("new", "two words")), unique=True)
MINUTES = st.sampled_from((-3 * 1440, -125, -25, 25, 125, 3 * 1440))
CHANGES = st.integers(0, 30)
CHANGES_OF_A_START = st.none() | st.integers(0, 60)
When = Callable[["Machine"], bool]


def always(machine: "Machine") -> bool:
    return True


def up(machine: "Machine") -> bool:
    return machine.world.is_up()


def down(machine: "Machine") -> bool:
    return not machine.world.is_up()


def well(machine: "Machine") -> bool:
    return machine.world.is_well()


def full(machine: "Machine") -> bool:
    return machine.world.may_fail()


def busy(machine: "Machine") -> bool:
    """Whether much has happened since everything came to rest, which takes long."""
    return len(machine.steps) >= machine.steps_at_rest + 10


def crowded(machine: "Machine") -> bool:
    """Whether the server is up, and there is more than there was at first."""
    return up(machine) and len(machine.users.expected.there) > 10


def have(kind: str, suits: Callable[[Thing], bool] = any_of_them) -> When:
    """Whether the server is up, and there is something to do something with."""
    return lambda machine: up(machine) and machine.users.have(kind, suits)


def trains(asset: Thing) -> bool:
    return asset.trains and asset.whole


def is_not_over(training: Thing) -> bool:
    return not training.state


def step(when: When, **strategies: Any) -> Callable[[Callable[..., None]], Any]:
    """Let Hypothesis take a step at certain times, and note that it was taken."""

    def decorate(function: Callable[..., None]) -> Any:
        @wraps(function)
        def take(machine: "Machine", **values: Any) -> None:
            told = ", ".join(f"{name}={value!r}" for name, value in values.items())
            machine.steps.append(f"{function.__name__}({told})")
            with machine.told_steps():
                function(machine, **values)

        return precondition(when)(rule(**strategies)(take))  # type: ignore[no-untyped-call]

    return decorate


class Machine(RuleBasedStateMachine):
    """Users of two projects, and a computer on which much goes wrong.

    Args:
        failures: is given those that are met.
    """

    failures: ClassVar[list[Exception]] = []

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []
        self.steps_at_rest = 0
        self.folder = Path(tempfile.mkdtemp())
        self.world = World(self.folder)
        with self.told_steps():
            self.users = Users(self.world, self.folder)

    def teardown(self) -> None:
        self.world.end()
        shutil.rmtree(self.folder)

    # What users do

    @step(up, project=PROJECTS, size=SIZES)
    def a_file_is_uploaded(self, project: str, size: int) -> None:
        if self.users.has_room(project, "asset"):
            self.users.upload([self.users.new_key(project, "asset")], size)

    @step(up, project=PROJECTS)
    def a_file_is_deleted_while_it_is_uploaded(self, project: str) -> None:
        announced = self.users.announce(project)
        if announced is None:
            return

        def halves() -> Iterator[bytes]:
            yield b"half a file"
            deleted = self.world.ask(lambda: self.world.send("DELETE", announced.path, announced.key.project))
            self.users.expected.remove(announced.key, deleted.done)
            yield b"the other half"

        self.world.ask(lambda: self.world.send("PUT", announced.link, announced.key.project, content=halves()), 404)

    @step(up, project=PROJECTS)
    def a_file_is_replaced_while_its_upload_is_completed(self, project: str) -> None:
        announced = self.users.announce(project)
        if announced is None:
            return
        of, thing = announced.key.project, self.users.expected.there[announced.key]

        def halves() -> Iterator[bytes]:
            yield b"half of another file"
            complete = f"{announced.path}/attachments/{announced.attachment}/complete"
            thing.whole = self.world.ask(lambda: self.world.send("POST", complete, of), 400, 409).done
            yield b"the other half" * 500

        if self.world.ask(lambda: self.world.send("PUT", announced.link, of, content=thing.content)).done:
            self.world.ask(lambda: self.world.send("PUT", announced.link, of, content=halves()), 409)

    @step(have("asset", trains), project=PROJECTS, how=TUNINGS, epochs=st.integers(1, 3), which=WHICH)
    def a_training_is_started(self, project: str, how: str, epochs: int, which: int) -> None:
        if self.users.has_room(project, "training"):
            self.users.train(self.users.one(project, "asset", which, trains), how, epochs)

    @step(have("training", is_not_over), project=PROJECTS, which=WHICH)
    def a_training_is_canceled(self, project: str, which: int) -> None:
        self.users.cancel(self.users.one(project, "training", which, is_not_over))

    @step(well)
    def all_trainings_are_awaited(self) -> None:
        self.users.await_trainings()
        self.world.assert_clean()

    @step(have("model"), project=PROJECTS, which=WHICH, tags=TAGS)
    def a_model_is_deployed(self, project: str, which: int, tags: list[str]) -> None:
        if self.users.has_room(project, "deployment"):
            self.users.deploy(self.users.one(project, "model", which), tags)

    @step(have("deployment"), project=PROJECTS, which=WHICH, of=PROJECTS, other=WHICH)
    def a_model_is_deployed_under_a_name_that_is_taken(self, project: str, which: int, of: str, other: int) -> None:
        taken = self.users.one(of, "deployment", other).name
        assert not self.users.deploy(self.users.one(project, "model", which), [], taken), f"{taken} serves twice"

    @step(have("deployment"), project=PROJECTS, which=WHICH)
    def a_deployment_is_asked(self, project: str, which: int) -> None:
        self.users.question(self.users.one(project, "deployment", which))

    @step(up, project=PROJECTS, kind=KINDS, which=WHICH)
    def something_is_deleted(self, project: str, kind: str, which: int) -> None:
        suits = self.users.is_not_deployed if kind == "model" else any_of_them
        if self.users.have(kind, suits):
            self.users.delete(self.users.one(project, kind, which, suits))

    @step(crowded, project=PROJECTS)
    def a_project_is_emptied(self, project: str) -> None:
        self.users.empty(project)

    @step(up, project=PROJECTS, files=st.integers(2, 5))
    def a_project_is_emptied_while_files_are_uploaded_to_another(self, project: str, files: int) -> None:
        another = OWN if project == OTHER else OTHER
        if self.users.has_room(another, "asset"):
            keys = [self.users.new_key(another, "asset") for _ in range(files)]
            # A server that looks at a folder for long does not know what was put there meanwhile.
            self.world.trouble.pause = 0.05
            self.users.upload(keys, 1000, meanwhile=lambda: self.users.empty(project))
            self.world.trouble.pause = 0

    @step(crowded)
    def a_project_is_deleted_and_another_made(self) -> None:
        self.users.make_another_project()

    # What happens to the computer

    @step(up, how=st.sampled_from(("killed", "terminated", "stopped")))
    def the_server_ends(self, how: str) -> None:
        {"killed": self.world.kill, "terminated": self.world.terminate, "stopped": self.world.stop}[how]()

    @step(well, after=CHANGES)
    def the_server_will_be_killed(self, after: int) -> None:
        self.world.order(Kind.KILLED, after)

    @step(up, project=PROJECTS)
    def the_server_is_terminated_during_an_upload(self, project: str) -> None:
        self.users.upload([self.users.new_key(project, "asset")], 300_000, meanwhile=self.world.terminate)

    @step(down, killed_after=CHANGES_OF_A_START)
    def the_server_starts(self, killed_after: int | None) -> None:
        self.world.start(killed_after)
        self.users.compare_again()

    @step(up)
    def a_tuning_process_is_killed(self) -> None:
        self.world.kill_tuning()

    @step(always, minutes=MINUTES)
    def the_clock_is_set(self, minutes: int) -> None:
        self.world.step_clock(60 * minutes)

    @step(well, kind=st.sampled_from((Kind.FULL, Kind.READ_ONLY)), after=CHANGES)
    def the_disk_will_take_no_more(self, kind: Kind, after: int) -> None:
        self.world.order(kind, after)

    @step(full)
    def the_disk_is_well_again(self) -> None:
        self.world.order(Kind.NONE)

    @step(busy)
    def everything_comes_to_rest(self) -> None:
        self.steps_at_rest = len(self.steps)
        self.world.order(Kind.NONE)
        if self.world.is_up():
            self.world.stop()
        self.world.start()
        self.users.compare_again()
        self.users.await_trainings()
        self.users.look()
        self.users.question_all()
        self.world.assert_clean()

    # What holds all the time

    @invariant()
    def everything_is_as_acknowledged(self) -> None:
        with self.told_steps():
            self.world.check_statuses()
            if self.world.is_up():
                self.users.look()

    @contextmanager
    def told_steps(self) -> Iterator[None]:
        """Say with which steps something failed, and keep it: one that depends on moments may not be found again."""
        try:
            yield
        except Exception as error:
            error.add_note("\n".join(["The steps were:", *self.steps]))
            self.failures.append(error)
            raise


def take_many_steps(number: int) -> None:
    """Take as many steps as the settings say, those that a seed gives."""
    machine: Any = seed(number)(type("Machine", (Machine,), {"failures": []}))
    limits = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        with redirect_stdout(io.StringIO()):  # the SDK tells much
            run_state_machine_as_test(machine, settings=limits)
    except Exception as error:
        raise error from machine.failures[0] if machine.failures else None


@pytest.mark.timeout(SECONDS + 900)
@pytest.mark.filterwarnings("ignore:`verify=<str>`:DeprecationWarning")  # the SDK's own
@pytest.mark.filterwarnings("ignore:Background mode is turned on:UserWarning")
def test_whatever_happens_what_was_acknowledged_holds() -> None:
    number, deadline = choose_seed(), time.monotonic() + SECONDS
    with mock.patch.dict(os.environ):  # the SDK writes into it
        take_many_steps(number)
        while time.monotonic() < deadline:
            number += 1
            print(f"TEST_SEED={number}")
            take_many_steps(number)
