"""Which base models can be tuned now, and which of them to take."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ._sdk import advised

if TYPE_CHECKING:
    from ibm_watsonx_ai import APIClient

# Which base models have been tuned with settings that are known to suit them, the best known first.
KNOWN_MODELS = (r"smollm", r"local/tiny", r"granite")


class NoTunableModelError(RuntimeError):
    """The service offers no base model, or not the one that was asked for, for prompt tuning."""


def choose_base_model(client: "APIClient", preferred: str | None = None) -> str:
    """Choose a base model among those that the service can prompt-tune now.

    Args:
        client: of the SDK, with its project set.
        preferred: id of the model wanted; when left out, the first model whose settings are known is taken.

    Returns:
        The model's id.

    Raises:
        NoTunableModelError: if there is none, or not the preferred one.
        WMLClientError: if the service does not answer the question.
    """
    offered = [spec["model_id"] for spec in tunable_models(client)]
    return require_offered(min(offered, key=_rank, default="") if preferred is None else preferred, offered)


def require_offered(base_model: str, offered: Sequence[str]) -> str:
    """Make sure that a base model can be tuned.

    Args:
        base_model: its id.
        offered: the ids of those that can.

    Returns:
        The id.

    Raises:
        NoTunableModelError: if there is none, or not this one.
    """
    if not offered:
        raise NoTunableModelError(
            "This service offers no base model for prompt tuning. IBM has deprecated prompt tuning and announced that "
            "tuning on the hosted service would end on 10 September 2026. To follow the lesson all the same, unset "
            "WATSONX_APIKEY and restart the kernel: it then runs on your own computer."
        )
    if base_model not in offered:
        raise NoTunableModelError(
            f"The service cannot prompt-tune {base_model!r} now. Choose one of: {', '.join(offered)}"
        )
    return base_model


def tunable_models(client: "APIClient") -> list[dict[str, Any]]:
    """Give what the service says of the base models that it can prompt-tune now.

    Args:
        client: of the SDK, with its project set.

    Raises:
        WMLClientError: if the service does not answer the question.
    """
    with advised():
        answer = client.foundation_models.get_model_specs_with_prompt_tuning_support()
    specs: list[dict[str, Any]] = (answer or {}).get("resources", [])
    return specs


def _rank(base_model: str) -> int:
    """Give the place of a base model among the known ones."""
    places = (place for place, pattern in enumerate(KNOWN_MODELS) if re.search(pattern, base_model, re.IGNORECASE))
    return next(places, len(KNOWN_MODELS))
