"""Deployments: a unique serving name, a deployment that ends by itself, and cleaning up all that a lesson created."""

import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ._sdk import advised, quiet_sdk
from .i18n import say

if TYPE_CHECKING:
    from ibm_watsonx_ai import APIClient

SERVING_NAME_LENGTH = 36


def unique_serving_name(prefix: str = "prompt_tuning") -> str:
    """Make a serving name that nobody else has: it is part of an address, so it must be unique in its region.

    Args:
        prefix: how it starts; what a serving name may not contain becomes ``_``.

    Returns:
        The prefix, the time (UTC) and four random characters, with lower-case letters, digits and ``_`` only.
    """
    ending = f"_{datetime.now(UTC):%y%m%d%H%M%S}_{secrets.token_hex(2)}"
    start = re.sub(r"[^a-z0-9]+", "_", prefix.lower()).strip("_")
    return start[: SERVING_NAME_LENGTH - len(ending)].rstrip("_") + ending if start else "s" + ending


@contextmanager
def deployed(
    client: "APIClient", model_id: str, *, name: str = "prompt tuning", serving_name: str | None = None
) -> Iterator[str]:
    """Deploy a tuned model for as long as a ``with`` block lasts.

    Args:
        client: of the SDK, with its project set.
        model_id: what ``get_model_id()`` of the tuner gives.
        name: what the deployment is called in lists.
        serving_name: a unique one by default.

    Yields:
        The deployment's id, for ``ModelInference(deployment_id=...)``.

    Raises:
        WMLClientError: if the service does not deploy it. The deployment is removed also when the block fails.
    """
    names = client.deployments.ConfigurationMetaNames
    with advised():
        details = client.deployments.create(
            artifact_id=model_id,
            meta_props={
                names.NAME: name,
                names.ONLINE: {},
                names.SERVING_NAME: serving_name or unique_serving_name(name),
            },
        )
    deployment_id: str = client.deployments.get_id(details)
    try:
        yield deployment_id
    finally:
        client.deployments.delete(deployment_id)


@dataclass(frozen=True)
class CleanUpReport:
    """What a clean-up did; printed, one line per kind of thing.

    Args:
        removed: ``(kind, id)`` of each thing that was removed.
        gone: of each thing that was not there any more.
        failed: of each thing that is still there, with the reason.
    """

    removed: tuple[tuple[str, str], ...]
    gone: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str, str], ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is left."""
        return not self.failed

    def __str__(self) -> str:
        """Say in a line per kind what was removed and what was not."""
        lines = []
        for kind in dict.fromkeys(kind for kind, _ in self.removed):
            count = sum(1 for other, _ in self.removed if other == kind)
            lines.append(say("Removed {kind}: {count}", count=count, kind=say(kind)))
        for kind in dict.fromkeys(kind for kind, _ in self.gone):
            count = sum(1 for other, _ in self.gone if other == kind)
            lines.append(say("Already gone {kind}: {count}", count=count, kind=say(kind)))
        for kind, name, reason in self.failed:
            lines.append(say("STILL THERE: {kind} {name}: {reason}", kind=say(kind), name=name, reason=reason))
        return "\n".join(lines) or say("There was nothing to remove.")

    __repr__ = __str__


def clean_up(
    client: "APIClient",
    *,
    deployment_ids: Iterable[str] = (),
    model_ids: Iterable[str] = (),
    training_ids: Iterable[str] = (),
    asset_ids: Iterable[str] = (),
) -> CleanUpReport:
    """Remove what a lesson created, in the order in which the service allows it.

    One failure does not keep the rest from being removed, and what is gone already is no failure: the function can be
    called again until the report is complete.

    Args:
        client: of the SDK, with its project set.
        deployment_ids: deployments; they go first, since a deployed model cannot be removed.
        model_ids: tuned models.
        training_ids: tuning runs; one that is still running is stopped.
        asset_ids: uploaded data.

    Returns:
        What was removed, what was gone, and what is still there.
    """
    removed: list[tuple[str, str]] = []
    gone: list[tuple[str, str]] = []
    failed: list[tuple[str, str, str]] = []
    steps: tuple[tuple[str, Iterable[str], Callable[[str], Any]], ...] = (
        ("deployment", deployment_ids, client.deployments.delete),
        ("tuned model", model_ids, client.repository.delete),
        ("tuning run", training_ids, lambda name: client.training.cancel(name, hard_delete=True)),
        ("data asset", asset_ids, lambda name: client.data_assets.delete(name, purge_on_delete=True)),
    )
    for kind, names, delete in steps:
        for name in names:
            try:
                with quiet_sdk():
                    delete(name)
            except Exception as problem:  # whatever stops one removal, the others must be tried
                if _says_gone(str(problem)):
                    gone.append((kind, name))
                else:
                    failed.append((kind, name, str(problem)))
            else:
                removed.append((kind, name))
    return CleanUpReport(tuple(removed), tuple(gone), tuple(failed))


def _says_gone(message: str) -> bool:
    """Tell whether an error says that a thing does not exist; the SDK has no error class for it."""
    return re.search(r"\b404\b|not[ _]?found|does not exist|no such", message, re.IGNORECASE) is not None
