"""A stand-in for watsonx.ai, for tests of other programs: a local runtime that answers and fails as a test says."""

from .controls import Answer, Answers, Clock, Faults, Request
from .watsonx import Watsonx, local_watsonx

__all__ = ["Answer", "Answers", "Clock", "Faults", "Request", "Watsonx", "local_watsonx"]
