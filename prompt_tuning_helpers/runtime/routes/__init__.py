"""The operations of the REST API, one module per resource family, named as in IBM's reference."""

from . import (
    assets,
    attachments,
    chat,
    controls,
    deployments,
    foundation_models,
    health,
    identity,
    models,
    not_offered,
    projects,
    text,
    tokenization,
    trainings,
)
from .operations import Operation

MODULES = (
    health,
    identity,
    projects,
    assets,
    attachments,
    foundation_models,
    trainings,
    models,
    deployments,
    text,
    chat,
    tokenization,
    not_offered,
    controls,
)
OPERATIONS: list[Operation] = [operation for module in MODULES for operation in module.OPERATIONS]
