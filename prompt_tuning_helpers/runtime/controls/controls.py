"""All that a test can set, and what it can look at afterwards."""

from dataclasses import dataclass, field

from .answers import Answers
from .clock import SettableClock
from .faults import Faults
from .record import Record


@dataclass
class Controls:
    """The controls of one runtime; nothing of them outlasts its process.

    Args:
        answers: canned answers.
        faults: what goes wrong.
        record: what was asked.
        clock: the runtime's.
        token_seconds: how long tokens last that are issued from now on; ``None`` for as long as ever.
    """

    answers: Answers = field(default_factory=Answers)
    faults: Faults = field(default_factory=Faults)
    record: Record = field(default_factory=Record)
    clock: SettableClock = field(default_factory=SettableClock)
    token_seconds: int | None = None

    def reset(self, project_id: str | None) -> None:
        """Take back what is set for a project, and forget what it was asked; without one, all of it.

        The clock and the tokens belong to no project.
        """
        self.answers.forget(project_id)
        self.faults.forget(project_id)
        self.record.forget(project_id)
        if project_id is None:
            self.clock.reset()
            self.token_seconds = None
