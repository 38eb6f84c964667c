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

# A few examples of the task, made up for this purpose: a soft prompt that starts from them starts from a model that
# already has a hint of the task, where one that starts from an instruction has to find it first.
_EXAMPLES = "".join(
    f"Comment: {comment}\nSatisfaction:\n{label}\n"
    for comment, label in (
        ("I love this place!", 1),
        ("They hurt my dog.", 0),
        ("Happy with the cut.", 1),
        ("Never again.", 0),
        ("Not bad at all, really.", 1),
        ("Great, another missed spot.", 0),
        ("Long wait, but worth it.", 1),
        ("Cheap, and you can tell.", 0),
    )
)

# Chosen on validation parts of the lesson's training file, with benchmarks/choose_settings.py.
_BY_SOURCE = {
    "smollm2": TuningSettings(
        num_virtual_tokens=100,
        init_method="text",
        init_text=_EXAMPLES,
        learning_rate=0.02,
        num_epochs=3,
        batch_size=8,
        accumulate_steps=1,
        max_input_tokens=256,
        max_output_tokens=2,
        verbalizer="{{input}}Overall, the customer feels ",
    )
}


def default_settings(source: str) -> TuningSettings:
    """The settings of a run on this base model that leaves them out.

    Args:
        source: where the model comes from, for instance ``"smollm2"``.
    """
    return _BY_SOURCE.get(source, _GENERIC)
