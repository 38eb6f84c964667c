"""How likely a model finds tokens: their log-probabilities, their ranks, and what else it could have said."""

from torch import Tensor, tensor

from .loading import LoadedModel
from .settings import Token


def describe(loaded: LoadedModel, logits: Tensor, tokens: list[int], top: int) -> list[Token]:
    """Say how likely tokens were.

    The log-probabilities are those of the model's own distribution, the softmax of its logits: temperature, top k and
    top p, penalties, biases and guides choose from it, but do not change what is said of it. watsonx.ai documents them
    as "the natural log of probability for the token" and names none of these.

    Args:
        loaded: the model and its tokenizer.
        logits: the model's for the place of each token, ``[n, vocabulary]``.
        tokens: the id of the token that is there, n of them.
        top: the number of most likely tokens to give with each.
    """
    logprobs = logits.cpu().log_softmax(-1)  # [n, vocabulary]
    own = logprobs.gather(1, tensor(tokens)[:, None])  # [n, 1]
    ranks = 1 + (logprobs > own).sum(1)  # [n]
    values, places = logprobs.topk(min(top, logprobs.shape[1]))  # [n, top] each
    return [
        _token(
            loaded,
            token,
            logprob,
            rank,
            tuple(
                _token(loaded, other, value, 1 + place)
                for place, (other, value) in enumerate(zip(others, other_values, strict=True))
            ),
        )
        for token, logprob, rank, others, other_values in zip(
            tokens, own[:, 0].tolist(), ranks.tolist(), places.tolist(), values.tolist(), strict=True
        )
    ]


def name_only(loaded: LoadedModel, token: int) -> Token:
    """Give the first token of an input, which no distribution stands before."""
    return _token(loaded, token, None, None)


def _token(
    loaded: LoadedModel, token: int, logprob: float | None, rank: int | None, top: tuple[Token, ...] = ()
) -> Token:
    tokenizer = loaded.tokenizer
    # A vocabulary may be padded with rows that stand for no token.
    name = str(tokenizer.convert_ids_to_tokens(token) or "")
    return Token(name, tokenizer.decode([token]), logprob, rank, token in loaded.end_tokens, top)
