"""What a text generation request may say, and how it is read."""

from pathlib import Path

from ...engine import GenerationParameters, GenerationRequest
from ...engine.epochs import MOST_KEPT
from ..catalogue import ServedModel
from ..http.errors import bad_request
from ..http.fields import Fields
from .answer_controls import STEERING, read_steering, value_or
from .inference import InferenceRequest, Shown
from .request_fields import LOCAL_RUNTIME, PROJECT, Declaration, honoured, ignored, warnings_of

LONGEST_INPUT = 1_000_000
DECODING_METHODS = ("greedy", "sample")
MOST_STOP_SEQUENCES = 6
MOST_TOP_TOKENS = 5
DEFAULT_NEW_TOKENS = 20
LEAST_TEMPERATURE = 0.05
LARGEST_SEED = 2**32 - 1

TEXT_FIELDS: Declaration = (
    *honoured("model_id", remark="a deployment knows its own, and its project"),
    *PROJECT,
    *honoured("input"),
    *honoured("decoding_method", within="parameters."),
    *honoured("temperature", within="parameters.", remark="0.05 to 2; greedy decoding takes 0, too"),
    *honoured("top_p", within="parameters.", remark="above 0 to 1; greedy decoding takes 0, too"),
    *honoured("top_k", within="parameters.", remark="1 to 100, when sampling"),
    *honoured("random_seed", within="parameters.", remark="1 to 4294967295, when sampling; the answer names the seed"),
    *honoured("repetition_penalty", within="parameters.", remark="1 to 2"),
    *honoured("length_penalty.decay_factor", "length_penalty.start_index", within="parameters."),
    *honoured("max_new_tokens", within="parameters.", remark="20 by default; 0 describes the input alone"),
    *honoured("min_new_tokens", within="parameters.", remark="holds back stop sequences, too"),
    *honoured("stop_sequences", within="parameters.", remark="6 at most"),
    *honoured("include_stop_sequence", within="parameters."),
    *honoured("time_limit", within="parameters.", remark="in milliseconds"),
    *honoured("truncate_input_tokens", within="parameters.", remark="0 cuts nothing"),
    *honoured(*STEERING, within="parameters.", remark="the hosted service documents it for chat alone"),
    *honoured("input_text", "input_tokens", "generated_tokens", within="parameters.return_options."),
    *honoured(
        "token_logprobs",
        "token_ranks",
        within="parameters.return_options.",
        remark="with input_tokens or generated_tokens; of the model's own distribution",
    ),
    *honoured("top_n_tokens", within="parameters.return_options.", remark="0 to 5, as token_logprobs; true is 5"),
    *honoured(
        f"{LOCAL_RUNTIME}.epoch",
        within="parameters.",
        remark="the local runtime's own: a deployment answers with its soft prompt as it was after this epoch, counted "
        "from 0; the deployment's details list those that are kept",
    ),
    *ignored("prompt_variables", within="parameters.", remark="there are no prompt templates"),
    *ignored("moderations"),
)


def read_text_request(body: Fields, card: ServedModel, soft_prompt: Path | None) -> InferenceRequest:
    """Read the body of a text generation request.

    Args:
        body: of the request.
        card: the base model that answers.
        soft_prompt: the folder of the deployment's soft prompt; ``None`` for the base model alone.

    Raises:
        ApiError: 400 for the first field that cannot be used.
    """
    prompt = body.text("input", LONGEST_INPUT)
    if prompt is None:  # an empty prompt is a prompt
        raise bad_request("input is missing: give it the prompt.")
    parameters = body.object("parameters")
    options = parameters.object("return_options")
    warnings = warnings_of(body, TEXT_FIELDS) + _warnings_of_options(options)
    shown = Shown(
        logprobs=options.flag("token_logprobs") is True,
        ranks=options.flag("token_ranks") is True,
        top=_read_top_tokens(options) > 0,
    )
    generation_parameters = _read_parameters(parameters, options, card.max_sequence_length)
    return InferenceRequest(
        generation=GenerationRequest(card.model_id, prompt, generation_parameters, soft_prompt),
        card=card,
        asked=prompt,
        input_text=prompt if options.flag("input_text") else None,
        shown=shown,
        warnings=warnings,
    )


def read_epoch(body: Fields) -> int | None:
    """Read the epoch, counted from 0, whose soft prompt is asked for; ``None`` for the one that was deployed.

    Raises:
        ApiError: 400 if it is none.
    """
    return body.object("parameters").object(LOCAL_RUNTIME).integer("epoch", 0, MOST_KEPT - 1)


def _read_parameters(parameters: Fields, options: Fields, longest: int) -> GenerationParameters:
    """Read the parameters of ``text/generation``, with the hosted service's defaults.

    Args:
        parameters: the request's.
        options: what its answer is to say.
        longest: tokens that the model can attend to.

    Raises:
        ApiError: 400 for the first that is out of range.
    """
    method = parameters.choice("decoding_method", DECODING_METHODS) or "greedy"
    least, most = _read_lengths(parameters, longest)
    temperature, top_p = _read_spread(parameters, method)
    length_penalty = parameters.object("length_penalty")
    return GenerationParameters(
        max_new_tokens=most,
        min_new_tokens=least,
        decoding_method=method,
        temperature=temperature,
        top_k=parameters.integer("top_k", 1, 100),
        top_p=top_p,
        random_seed=parameters.integer("random_seed", 1, LARGEST_SEED),
        decay_factor=value_or(length_penalty.number("decay_factor", 100, least=1), 1.0),
        decay_start=length_penalty.integer("start_index", 0, longest) or 0,
        stop_sequences=_read_stop_sequences(parameters),
        include_stop_sequence=parameters.flag("include_stop_sequence") is not False,
        truncate_input_tokens=parameters.integer("truncate_input_tokens", 0, 2**31 - 1),
        describe_input=options.flag("input_tokens") is True,
        describe_generated=options.flag("generated_tokens") is True,
        top_tokens=_read_top_tokens(options),
        **read_steering(parameters),
    )


def _read_lengths(parameters: Fields, longest: int) -> tuple[int, int]:
    """Read how many tokens an answer has at least and at most."""
    wanted = parameters.integer("max_new_tokens", 0, longest)
    most = DEFAULT_NEW_TOKENS if wanted is None else wanted
    least = parameters.integer("min_new_tokens", 0, longest) or 0
    if least > most:
        raise bad_request(f"{parameters.where}min_new_tokens, {least}, may not be above max_new_tokens, {most}.")
    return least, most


def _read_spread(parameters: Fields, method: str) -> tuple[float, float]:
    """Read temperature and top p; other clients set them to 0 for greedy decoding, which needs neither."""
    if method == "greedy":
        parameters.number("temperature", 2, least=0)
        parameters.number("top_p", 1, least=0)
        return 1.0, 1.0
    temperature = parameters.number("temperature", 2, least=0)
    if temperature is not None and temperature < LEAST_TEMPERATURE:
        raise bad_request(
            f"{parameters.where}temperature must be from {LEAST_TEMPERATURE} to 2 when sampling; it is "
            f'{temperature:g}. For answers without chance, set decoding_method to "greedy".'
        )
    return value_or(temperature, 1.0), value_or(parameters.number("top_p", 1), 1.0)


def _read_stop_sequences(parameters: Fields) -> tuple[str, ...]:
    stop_sequences = parameters.texts("stop_sequences", MOST_STOP_SEQUENCES)
    if "" in stop_sequences:
        raise bad_request(f"{parameters.where}stop_sequences may not have an empty one.")
    return tuple(stop_sequences)


def _read_top_tokens(options: Fields) -> int:
    """Read how many of the likeliest tokens are wanted; the SDK's schema has a boolean where the API has a number."""
    if isinstance(options.values.get("top_n_tokens"), bool):
        return MOST_TOP_TOKENS if options.values["top_n_tokens"] else 0
    return options.integer("top_n_tokens", 0, MOST_TOP_TOKENS) or 0


def _warnings_of_options(options: Fields) -> tuple[str, ...]:
    """Say which return options ask for nothing, as they describe tokens and no tokens are wanted."""
    if options.values.get("input_tokens") or options.values.get("generated_tokens"):
        return ()
    details = [name for name in ("token_logprobs", "token_ranks", "top_n_tokens") if options.values.get(name)]
    return tuple(
        f"{options.where}{name} was ignored: it describes tokens, so set input_tokens or generated_tokens, too."
        for name in details
    )
