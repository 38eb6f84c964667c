"""Text generation, by base models and by prompt-tuned deployments, at once or as a stream."""

from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from ...engine import Generation, GenerationRequest
from ..catalogue import ServedModel
from ..http.errors import ApiError, bad_request, not_found
from ..http.fields import read_object, read_text, required, show
from ..store.deployments import Deployment
from .foundation_models import find_card, warnings_for
from .inference import Question, answer, created_at, ignored_parts, read_generation_parameters, stream
from .operations import Call, Operation

LONGEST_INPUT = 1_000_000


def find_deployment(call: Call) -> Deployment:
    """The deployment that the path names, by id or serving name."""
    deployment = call.runtime.deployments.find(call.path("id_or_name"))
    if deployment is None:
        raise not_found(
            f"There is no deployment with the id or serving name {show(call.path('id_or_name'))}: "
            "client.deployments.list() shows those there are.",
            "deployment_not_found",
        )
    return deployment


async def generate(call: Call) -> Response:
    """A base model's answer."""
    return await _generate(call, await call.prepare(_base_question))


async def generate_stream(call: Call) -> Response:
    """A base model's answer as it is made."""
    return await _stream(call, await call.prepare(_base_question))


async def generate_deployed(call: Call) -> Response:
    """A deployment's answer."""
    return await _generate(call, await call.prepare(_deployed_question))


async def generate_deployed_stream(call: Call) -> Response:
    """A deployment's answer as it is made."""
    return await _stream(call, await call.prepare(_deployed_question))


async def _generate(call: Call, question: Question) -> Response:
    generation = await answer(call, question)
    result = _result(generation.text, generation)
    if question.input_text is not None:
        result["input_text"] = question.input_text
    return JSONResponse(_document(question, result))


async def _stream(call: Call, question: Question) -> Response:
    def event(piece: str, generation: Generation | None) -> dict[str, Any]:
        if generation is not None:
            return _document(question, _result(piece, generation))
        unfinished = Generation(piece, 0, 0, "not_finished")
        return _document(question, _result(piece, unfinished))

    return await stream(call, question, event)


def _result(text: str, generation: Generation) -> dict[str, Any]:
    return {
        "generated_text": text,
        "generated_token_count": generation.generated_token_count,
        "input_token_count": generation.input_token_count,
        "stop_reason": generation.stop_reason,
    }


def _document(question: Question, result: dict[str, Any]) -> dict[str, Any]:
    system = warnings_for(question.card, question.ignored)
    return {"model_id": question.card.model_id, **created_at(), "results": [result], **system}


def _base_question(call: Call) -> Question:
    body = call.json()
    card = find_card(call, required(read_text(body, "model_id"), "model_id"))
    call.project_id(body)
    return _question(body, card, None)


def _deployed_question(call: Call) -> Question:
    body = call.json()
    deployment = find_deployment(call)
    model = call.runtime.models.get(deployment.project_id, deployment.model_id)
    if model is None:
        raise not_found("This deployment was deleted with its model.", "deployment_not_found")
    card = call.runtime.cards.get(model.base_model_id)
    if card is None:
        raise ApiError(
            409,
            "model_not_supported",
            f"This deployment's base model, {model.base_model_id}, is not served now: start the runtime with it.",
        )
    return _question(body, card, call.runtime.models.soft_prompt(model.id))


def _question(body: dict[str, Any], card: ServedModel, soft_prompt: Path | None) -> Question:
    prompt = read_text(body, "input", longest=LONGEST_INPUT)
    if prompt is None:  # an empty prompt is a prompt
        raise bad_request("input is missing: give it the prompt.")
    parameters = read_object(body, "parameters") or {}
    options = read_object(parameters, "return_options", "parameters.") or {}
    return Question(
        request=GenerationRequest(card.model_id, prompt, read_generation_parameters(parameters, card), soft_prompt),
        card=card,
        input_text=prompt if options.get("input_text") else None,
        ignored=ignored_parts(body, parameters),
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
