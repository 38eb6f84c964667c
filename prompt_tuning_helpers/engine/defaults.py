"""The tuning settings that a run gets when it leaves them out. Settings belong to a base model."""

from .settings import TuningSettings

# What serves small Llama-type models; a run on another model should choose its own on validation data.
_GENERIC = TuningSettings(
    num_virtual_tokens=50,
    init_method="random",
    init_text=None,
    learning_rate=0.01,
    num_epochs=5,
    batch_size=8,
    accumulate_steps=1,
    max_input_tokens=256,
    max_output_tokens=128,
    verbalizer="{{input}}",
)

# Chosen on validation parts of the lesson's training file, with tests/benchmarks/choose_settings.py.
_BY_SOURCE = {
    "smollm2": TuningSettings(
        num_virtual_tokens=50,
        init_method="text",
        init_text="Say whether the customer of the dog grooming salon is satisfied (1) or not satisfied (0).",
        learning_rate=0.02,
        num_epochs=4,
        batch_size=8,
        accumulate_steps=1,
        max_input_tokens=256,
        max_output_tokens=2,
        verbalizer="{{input}}Overall, the customer is",
    )
}


def default_settings(source: str) -> TuningSettings:
    """The settings of a run on this base model that leaves them out.

    Args:
        source: where the model comes from, for instance ``"smollm2"``.
    """
    return _BY_SOURCE.get(source, _GENERIC)
