"""Which models can be prompt-tuned, and on which path.

What a configuration says is enough to refuse encoders, encoder-decoders and whatever writes no text. Beyond that no
list of families decides, but a trial on a few tokens when the weights are loaded: the general path is taken if it
computes what the model's ordinary forward computes, the plain path otherwise.
"""

import inspect
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .causal_model import CausalModel, pack
from .errors import reason_of
from .general import TransformersModel
from .plain import PlainModel

logger = logging.getLogger(__name__)

TRIAL_PREFIX = 6  # tokens
TRIAL_ROWS = (5, 2)  # tokens in each row
# How far results may be apart, as a share of their norm. Where a path does not suit a model, it is 0.1 or more.
TOLERANCE = {torch.float32: 1e-3}
ROUGH_TOLERANCE = 0.05  # of bfloat16 and float16


class NotTunable(ValueError):
    """A model of a kind that no soft prompt can be trained for; the message says why, as a part of a sentence."""


def check_kind(config: Any) -> None:
    """Refuse what cannot be prompt-tuned as far as the configuration tells, without the weights.

    Args:
        config: of transformers.

    Raises:
        NotTunable: if the model is no causal language model, or one that does not work on embeddings alone.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    kind = f"{config.model_type!r} models"
    text = config.get_text_config(decoder=True)
    if config.is_encoder_decoder:
        raise NotTunable(f"{kind} are encoder-decoders")
    # The encoders that have a causal head, too: it is for those that were trained as decoders, and these say so.
    decoder = getattr(config, "is_decoder", False) or getattr(config, "causal", False)
    if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not decoder:
        raise NotTunable(f"{kind} are encoders, which fill gaps in a text but do not continue it")
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise NotTunable(f"{kind} are no causal language models")
    network_class: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    if "inputs_embeds" not in inspect.signature(network_class.forward).parameters:
        raise NotTunable(f"{kind} take no embeddings (inputs_embeds) in place of token ids")
    if getattr(text, "hidden_size_per_layer_input", 0):
        raise NotTunable(f"{kind} of this size look up the ids of tokens in each layer, and virtual tokens have no id")


def choose_path(network: Any) -> CausalModel:
    """Choose the path of a model by what it computes for a few tokens.

    Args:
        network: the transformers model, frozen, in evaluation mode.

    Returns:
        The general path if the model's cache can be shared by the rows of a batch, which a comparison of loss and
        gradient with the ordinary forward tells; otherwise the plain path.

    Raises:
        NotTunable: if embeddings alone do not give what token ids give, if tokens see later ones, or if rows see
            others.
    """
    trial = _Trial(network)
    try:
        expected = trial.of_ordinary_forward()
    except Exception as error:  # transformers raises all kinds of errors for what is missing
        raise NotTunable(f"{trial.kind} give no gradient from embeddings alone ({reason_of(error)})") from error
    if expected.isnan().any():
        raise ValueError("its weights are damaged: it computes scores that are no numbers")
    trial.check_embeddings()
    trial.check_causality()
    general = TransformersModel(network)
    if trial.agrees(lambda: trial.of_path(general), expected):
        return general
    if not trial.agrees(lambda: trial.of_path(PlainModel(network)), expected):
        raise NotTunable(f"{trial.kind} compute something else for a row once there are others beside it")
    stepping = PlainModel(network, steps=True)
    steps = trial.agrees(lambda: trial.step_by_step(stepping), trial.all_logits)
    logger.warning(
        "%s keep a state that the rows of a batch cannot share: each row%s is computed in full, which is exact but "
        "takes longer.",
        trial.kind.capitalize(),
        "" if steps else " and each step of an answer",
    )
    return PlainModel(network, steps)


class _Trial:
    """A prefix and two rows of a few tokens, and what is computed for them."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.kind = f"{network.config.model_type!r} models"
        self.embed = network.get_input_embeddings()
        vocabulary, device = self.embed.weight.shape[0], self.embed.weight.device
        # From the middle of the vocabulary: special tokens come first or last in it.
        count = 2 * TRIAL_PREFIX + sum(TRIAL_ROWS)
        tokens = vocabulary // 4 + torch.arange(count, device=device) * max(1, vocabulary // (2 * count))
        self.tokens = tokens % vocabulary
        vectors = self.embed(self.tokens).detach()
        # Vectors of no token, but as long as those of tokens.
        self.prefix = (vectors[:TRIAL_PREFIX] + vectors[TRIAL_PREFIX : 2 * TRIAL_PREFIX]) / 2  # [P, H]
        self.rows = self.tokens[2 * TRIAL_PREFIX :].split(TRIAL_ROWS)
        self.tolerance = TOLERANCE.get(vectors.dtype, ROUGH_TOLERANCE)

    def of_ordinary_forward(self) -> Tensor:
        """Return the last logits of each row, and the gradient of the prefix, one row at a time."""
        return self._with_gradient(lambda prefix: torch.cat([self._logits(prefix, row)[-1:] for row in self.rows]))

    def of_path(self, model: CausalModel) -> Tensor:
        """Return the same, on a path."""
        packed = pack([(row.tolist(), [0]) for row in self.rows], self.prefix.device)
        return self._with_gradient(lambda prefix: model.label_logits(prefix, packed))

    def step_by_step(self, model: CausalModel) -> Tensor:
        """Return the logits after each token of the first row, read token by token."""
        cache = model.new_cache()
        model.extend([cache], [self.prefix])
        steps = [model.extend([cache], [self.embed(token)]) for token in self.rows[0].split(1)]
        return torch.cat(steps)

    @property
    def all_logits(self) -> Tensor:
        """Return the logits after each token of the first row, by the ordinary forward."""
        with torch.no_grad():
            return self._logits(self.prefix, self.rows[0])[TRIAL_PREFIX:]

    @torch.no_grad()
    def check_embeddings(self) -> None:
        """Make sure that embeddings say all that token ids say.

        Raises:
            NotTunable: if they do not.
        """
        from_ids = self.network(input_ids=self.tokens[None], use_cache=False).logits[0].float()
        if not self._close(self._logits(self.prefix[:0], self.tokens), from_ids):
            raise NotTunable(
                f"{self.kind} read more of a token than its embedding, and virtual tokens have nothing more"
            )

    @torch.no_grad()
    def check_causality(self) -> None:
        """Make sure that no token sees what comes after it.

        Raises:
            NotTunable: if one does.
        """
        whole, row = self._logits(self.prefix, self.tokens), self.rows[0]
        if not self._close(self._logits(self.prefix, self.tokens[: len(row)]), whole[: TRIAL_PREFIX + len(row)]):
            raise NotTunable(f"the tokens of {self.kind} see those that come after them")

    def agrees(self, compute: Callable[[], Tensor], expected: Tensor) -> bool:
        """Tell whether a way to compute works, and gives what is expected."""
        try:
            return self._close(compute(), expected)
        except Exception:  # a cache of another kind may fail anywhere in the model's code
            return False

    def _logits(self, prefix: Tensor, tokens: Tensor) -> Tensor:
        embeddings = torch.cat([prefix, self.embed(tokens).to(prefix.dtype)])
        logits: Tensor = self.network(inputs_embeds=embeddings[None], use_cache=False).logits[0]
        return logits.float()

    def _with_gradient(self, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Return logits, and the gradient of the loss of a label, each scaled to a norm of 1, in one vector."""
        prefix = self.prefix.clone().requires_grad_()
        with torch.enable_grad():
            logits = compute(prefix)
            (gradient,) = torch.autograd.grad(-logits.log_softmax(-1)[:, 0].sum(), prefix)
        parts = [part.detach().float().flatten() for part in (logits, gradient)]
        return torch.cat([part / part.norm().clamp_min(1e-30) for part in parts])

    def _close(self, found: Tensor, expected: Tensor) -> bool:
        return bool((found - expected).norm() <= self.tolerance * expected.norm())
