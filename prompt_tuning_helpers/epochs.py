"""What a tuned model could do after each epoch, measured on rows that it was not tuned on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .evaluation import Scores, TextScores, evaluate
from .i18n import say

if TYPE_CHECKING:
    from ibm_watsonx_ai.foundation_models import ModelInference


def accuracy_by_epoch(
    model: "ModelInference",
    prompts: Sequence[str],
    truth: Sequence[object],
    labels: Sequence[str] | None = None,
    *,
    task_id: object = "classification",
) -> dict[int, Scores | TextScores]:
    """Score the soft prompts that a tuning run had at the end of each of its epochs.

    The local runtime keeps them for as long as it keeps the run, 50 at most. No other service does: there, a sentence
    says so. The deployment is asked every prompt once for each epoch, with the parameters that ``model`` was made with,
    so a few dozen rows are enough.

    Args:
        model: of the SDK: a deployment of a tuned model.
        prompts: inputs of validation rows, which the model was not tuned on.
        truth: the right output of each; see :func:`evaluate`, also for the next two.
        labels: the labels.
        task_id: what the model was tuned for.

    Returns:
        What :func:`evaluate` gives, for each epoch, counted from 1; nothing where the service keeps no epochs.

    Raises:
        ValueError: if ``model`` is a base model, or if the rows cannot be scored; see :func:`evaluate`.
        WMLClientError: if the service cannot be asked.
    """
    if isinstance(prompts, str) or len(prompts) != len(truth):
        raise ValueError("prompts and truth must be lists of the same length: the inputs and the outputs of rows.")
    evaluate(truth, [""] * len(truth), labels, task_id=task_id)  # what cannot be scored is refused before it is asked
    details: Any = model.get_details()
    if "entity" not in details:
        raise ValueError("A base model has no epochs: give ModelInference the deployment_id of a tuned model.")
    epochs: list[int] = details["entity"].get("local_runtime", {}).get("epochs", [])
    if not epochs:
        print(say("This service keeps no soft prompts of single epochs, so what each was worth cannot be measured."))
    return {epoch + 1: evaluate(truth, _ask(model, list(prompts), epoch), labels, task_id=task_id) for epoch in epochs}


def _ask(model: "ModelInference", prompts: list[str], epoch: int) -> list[str]:
    """Ask a deployment with the soft prompt of an epoch, counted from 0."""
    own: Any = model.params or {}
    parameters = own if isinstance(own, dict) else own.to_dict()
    # Given here, not to ModelInference, which drops what the SDK does not know.
    answers: Any = model.generate_text(prompt=prompts, params={**parameters, "local_runtime": {"epoch": epoch}})
    return [str(answer) for answer in answers]
