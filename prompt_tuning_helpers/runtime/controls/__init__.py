"""What tests of other programs set: canned answers, faults, the clock. Only a runtime with --test-controls has it."""

from .controls import Controls
from .exchange import Exchange

__all__ = ["Controls", "Exchange"]
