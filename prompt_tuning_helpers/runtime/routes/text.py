"""Text generation, by base models and by prompt-tuned deployments, at once or as a stream."""

from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from ...engine import Generation, Token
from ...engine.epochs import epoch_folder, kept_epochs
from ..http.errors import ApiError, bad_request, not_found
from ..http.fields import shorten
from ..store.deployments import Deployment
from ..store.models import Model
from .foundation_models import find_card, warnings_for
from .inference import InferenceRequest, Shown, answer, created_at, stream
from .operations import Operation, RequestContext
from .request_fields import LOCAL_RUNTIME, Declaration
from .text_request import TEXT_FIELDS, read_epoch, read_text_request

DECLARED: Declaration = TEXT_FIELDS
EPOCH = f"parameters.{LOCAL_RUNTIME}.epoch"


def find_deployment(context: RequestContext) -> Deployment:
    """Find the deployment that the path names, by id or serving name."""
    deployment = context.runtime.deployments.find(context.path("id_or_name"))
    if deployment is None:
        raise not_found(
            f"There is no deployment with the id or serving name {shorten(context.path('id_or_name'))}: "
            "client.deployments.list() shows those there are.",
            "deployment_not_found",
        )
    return deployment


async def generate(context: RequestContext) -> Response:
    """Give a base model's answer."""
    return await _generate(context, await context.prepare(_read_for_base_model))


async def generate_stream(context: RequestContext) -> Response:
    """Give a base model's answer as it is made."""
    return await _stream(context, await context.prepare(_read_for_base_model))


async def generate_deployed(context: RequestContext) -> Response:
    """Give a deployment's answer."""
    return await _generate(context, await context.prepare(_read_for_deployment))


async def generate_deployed_stream(context: RequestContext) -> Response:
    """Give a deployment's answer as it is made."""
    return await _stream(context, await context.prepare(_read_for_deployment))


async def _generate(context: RequestContext, request: InferenceRequest) -> Response:
    generation = await answer(context, request)
    return JSONResponse(_document(context, request, generation, first=True))


async def _stream(context: RequestContext, request: InferenceRequest) -> Response:
    return await stream(context, request, lambda part, first: _document(context, request, part, first))


def _document(
    context: RequestContext, request: InferenceRequest, generation: Generation, first: bool
) -> dict[str, Any]:
    """Show an answer, or a part of one; the first alone tells of the input."""
    parameters = request.generation.parameters
    result: dict[str, Any] = {
        "generated_text": generation.text,
        "generated_token_count": generation.generated_token_count,
        "input_token_count": generation.input_token_count,
        "stop_reason": generation.stop_reason,
    }
    if generation.seed is not None:
        result["seed"] = generation.seed
    if request.input_text is not None and first:
        result["input_text"] = request.input_text
    if parameters.describe_input and first:
        result["input_tokens"] = [_token(token, request.shown) for token in generation.input_tokens]
    if parameters.describe_generated:
        result["generated_tokens"] = [_token(token, request.shown) for token in generation.tokens]
    system = warnings_for(request.card, request.warnings)
    return {"model_id": request.card.model_id, **created_at(context), "results": [result], **system}


def _token(token: Token, shown: Shown) -> dict[str, Any]:
    """Show a token; the first of a base model's input has neither log-probability nor rank."""
    document: dict[str, Any] = {"text": token.name}
    if shown.logprobs and token.logprob is not None:
        document["logprob"] = token.logprob
    if shown.ranks and token.rank is not None:
        document["rank"] = token.rank
    if shown.top and token.logprob is not None:
        document["top_tokens"] = [{"text": other.name, "logprob": other.logprob} for other in token.top]
    return document


def _read_for_base_model(context: RequestContext) -> InferenceRequest:
    body = context.fields()
    card = find_card(context, body.required_text("model_id"))
    context.project_id(body)
    if read_epoch(body) is not None:
        raise bad_request(f"{EPOCH} asks for a soft prompt, and a base model has none: ask a deployment.")
    return read_text_request(body, card, None)


def _read_for_deployment(context: RequestContext) -> InferenceRequest:
    body = context.fields()
    deployment = find_deployment(context)
    model = context.runtime.models.get(deployment.project_id, deployment.model_id)
    if model is None:
        raise not_found("This deployment was deleted with its model.", "deployment_not_found")
    card = context.runtime.cards.get(model.base_model_id)
    if card is None:
        raise ApiError(
            409,
            "model_not_supported",
            f"This deployment's base model, {model.base_model_id}, is not served now: start the runtime with it.",
        )
    return read_text_request(body, card, _soft_prompt(context, model, read_epoch(body)))


def _soft_prompt(context: RequestContext, model: Model, epoch: int | None) -> Path:
    """Find a model's soft prompt, or that of an epoch of its training, which is kept as long as the training."""
    if epoch is None:
        return context.runtime.models.soft_prompt(model.id)
    job = context.runtime.jobs.folder(model.training_id)
    kept = kept_epochs(job)
    if epoch not in kept:
        listed = ", ".join(map(str, kept)) or "none"
        raise bad_request(
            f"{EPOCH} is {epoch}, and the epochs that are kept of this deployment's training are: {listed}. Leave it "
            "out to ask the tuned model."
        )
    return epoch_folder(job, epoch)


DEPLOYED = "/ml/v1/deployments/{id_or_name}/text/"
DIFFERS = "moderations are ignored with a warning"
OPERATIONS = [
    Operation("POST", "/ml/v1/text/generation", generate, "Generate text with a base model", differs=DIFFERS),
    Operation("POST", "/ml/v1/text/generation_stream", generate_stream, "The same as a stream", differs=DIFFERS),
    Operation("POST", f"{DEPLOYED}generation", generate_deployed, "Generate text with a deployment", differs=DIFFERS),
    Operation(
        "POST", f"{DEPLOYED}generation_stream", generate_deployed_stream, "The same as a stream", differs=DIFFERS
    ),
]
