"""Text generation, by base models and by prompt-tuned deployments, at once or as a stream."""

from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from ...engine import Generation, GenerationRequest
from ..catalogue import ServedModel
from ..http.errors import ApiError, bad_request, not_found
from ..http.fields import Fields, shorten
from ..store.deployments import Deployment
from .foundation_models import find_card, warnings_for
from .inference import InferenceRequest, answer, created_at, ignored_parts, read_generation_parameters, stream
from .operations import Operation, RequestContext

LONGEST_INPUT = 1_000_000


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
    result = _result(generation.text, generation)
    if request.input_text is not None:
        result["input_text"] = request.input_text
    return JSONResponse(_document(request, result))


async def _stream(context: RequestContext, request: InferenceRequest) -> Response:
    def event(piece: str, generation: Generation | None) -> dict[str, Any]:
        if generation is not None:
            return _document(request, _result(piece, generation))
        unfinished = Generation(piece, 0, 0, "not_finished")
        return _document(request, _result(piece, unfinished))

    return await stream(context, request, event)


def _result(text: str, generation: Generation) -> dict[str, Any]:
    return {
        "generated_text": text,
        "generated_token_count": generation.generated_token_count,
        "input_token_count": generation.input_token_count,
        "stop_reason": generation.stop_reason,
    }


def _document(request: InferenceRequest, result: dict[str, Any]) -> dict[str, Any]:
    system = warnings_for(request.card, request.ignored)
    return {"model_id": request.card.model_id, **created_at(), "results": [result], **system}


def _read_for_base_model(context: RequestContext) -> InferenceRequest:
    body = context.fields()
    card = find_card(context, body.required_text("model_id"))
    context.project_id(body)
    return _read(body, card, None)


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
    return _read(body, card, context.runtime.models.soft_prompt(model.id))


def _read(body: Fields, card: ServedModel, soft_prompt: Path | None) -> InferenceRequest:
    prompt = body.text("input", LONGEST_INPUT)
    if prompt is None:  # an empty prompt is a prompt
        raise bad_request("input is missing: give it the prompt.")
    parameters = body.object("parameters")
    wants_input = parameters.object("return_options").values.get("input_text")
    generation_parameters = read_generation_parameters(parameters, card.max_sequence_length)
    return InferenceRequest(
        generation=GenerationRequest(card.model_id, prompt, generation_parameters, soft_prompt),
        card=card,
        input_text=prompt if wants_input else None,
        ignored=ignored_parts(body),
    )


DEPLOYED = "/ml/v1/deployments/{id_or_name}/text/"
DIFFERS = "length_penalty, moderations and the return options but input_text are ignored with a warning"
OPERATIONS = [
    Operation("POST", "/ml/v1/text/generation", generate, "Generate text with a base model", differs=DIFFERS),
    Operation("POST", "/ml/v1/text/generation_stream", generate_stream, "The same as a stream", differs=DIFFERS),
    Operation("POST", f"{DEPLOYED}generation", generate_deployed, "Generate text with a deployment", differs=DIFFERS),
    Operation(
        "POST", f"{DEPLOYED}generation_stream", generate_deployed_stream, "The same as a stream", differs=DIFFERS
    ),
]
