"""Prompts written by hand: ten wordings, with or without examples, and the words that they ask for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prompt_tuning_helpers.lesson import review_of

Example = tuple[str, str]  # a prompt of the lesson's files and its output, "0" or "1"


@dataclass(frozen=True)
class Wording:
    """One way to ask whether a customer is satisfied.

    Args:
        template: the question about one review; ``{review}`` is the field.
        words: what a model should say of an unsatisfied and of a satisfied customer.
        is_chat: whether question and answer are turns of a conversation.
    """

    template: str
    words: tuple[str, str]
    is_chat: bool = False


WORDINGS = {
    "instruction": Wording(
        "Decide whether the customer of a dog grooming business is satisfied. "
        "Answer 1 for satisfied and 0 for not satisfied.\nComment: {review}\nSatisfaction:\n",
        ("0", "1"),
    ),
    "sentiment": Wording("Review: {review}\nSentiment:", (" negative", " positive")),
    "question": Wording("{review}\nQuestion: Is this customer satisfied, yes or no?\nAnswer:", (" no", " yes")),
    "feeling": Wording("{review}\nOverall, the customer feels", (" disappointed", " happy")),
    "verdict": Wording(
        "Customer review: {review}\nIs this review positive or negative? It is", (" negative", " positive")
    ),
    "experience": Wording("{review}\nIn one word, the experience was", (" bad", " good")),
    "return": Wording(
        "A customer of a dog groomer wrote: {review}\nWill this customer come back? Yes or no:", (" No", " Yes")
    ),
    "chat": Wording(
        "Is the customer who wrote this review satisfied? Answer Yes or No.\n\n{review}", ("No", "Yes"), is_chat=True
    ),
    "chat-sentiment": Wording(
        "Is the sentiment of this review positive or negative? Answer with one word.\n\n{review}",
        ("Negative", "Positive"),
        is_chat=True,
    ),
    "chat-instruction": Wording(
        "Decide whether the customer of a dog grooming business is satisfied. "
        "Answer 1 for satisfied and 0 for not satisfied.\n\n{review}",
        ("0", "1"),
        is_chat=True,
    ),
}


def write(wording: Wording, examples: Sequence[Example], prompt: str, tokenizer: Any) -> str:
    """Write the whole hard prompt: the examples, then the question about a review.

    Args:
        wording: how to ask.
        examples: reviews with their answers, shown first.
        prompt: of the lesson's files.
        tokenizer: of the base model, whose chat template a conversation takes.
    """

    def ask(example: str) -> str:
        return wording.template.replace("{review}", review_of(example))

    if wording.is_chat:
        turns = [
            turn
            for example, output in examples
            for turn in (
                {"role": "user", "content": ask(example)},
                {"role": "assistant", "content": wording.words[int(output)]},
            )
        ]
        turns.append({"role": "user", "content": ask(prompt)})
        text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return text
    return "\n\n".join([*(ask(example) + wording.words[int(output)] for example, output in examples), ask(prompt)])
