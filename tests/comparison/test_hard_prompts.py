"""Prompts written by hand say what they should, in words that the base model reads as it should."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparison.hard_prompts import WORDINGS, Example, Wording, write
from comparison.plan import FULL
from prompt_tuning_helpers.datasets import load_rows
from prompt_tuning_helpers.engine.loading import load_tokenizer
from prompt_tuning_helpers.lesson import HAND_WRITTEN, prompt_of, review_of, reviews_path

INSTRUCTION = (
    "Decide whether the customer of a dog grooming business is satisfied. "
    "Answer 1 for satisfied and 0 for not satisfied.\nComment: {review}\nSatisfaction:\n"
)
EXAMPLES: list[Example] = [
    (INSTRUCTION.replace("{review}", "Lovely."), "1"),
    (INSTRUCTION.replace("{review}", "Awful."), "0"),
]
ASKED = INSTRUCTION.replace("{review}", "So fluffy now.")
WITHOUT_CHAT = [name for name, wording in WORDINGS.items() if not wording.is_chat]


class Chat:
    """A tokenizer that only writes conversations, and notes how it was asked to."""

    def apply_chat_template(self, turns: list[dict[str, str]], **options: bool) -> str:
        self.turns, self.options = turns, options
        return "".join(f"<{turn['role']}>{turn['content']}" for turn in turns) + "<assistant>"


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_review_is_found_in_its_prompt(split: str) -> None:
    for prompt in load_rows(reviews_path(split))["input"]:
        assert INSTRUCTION.replace("{review}", review_of(prompt)) == prompt


@given(st.text())
def test_any_review_is_found_in_its_prompt(review: str) -> None:
    assert review_of(INSTRUCTION.replace("{review}", review)) == review


@pytest.mark.parametrize("prompt", ["", "Lovely.", "Comment: Lovely.", "Comment: Lovely.\nSatisfaction: ", "\n"])
def test_prompts_of_another_form_are_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(prompt))):
        review_of(prompt)


def test_the_instruction_is_the_lessons_own() -> None:
    assert write(WORDINGS["instruction"], [], ASKED, Chat()) == ASKED
    assert WORDINGS["instruction"].words == ("0", "1")


def test_examples_come_first_and_say_what_is_wanted() -> None:
    assert write(WORDINGS["sentiment"], EXAMPLES, ASKED, Chat()) == (
        "Review: Lovely.\nSentiment: positive\n\nReview: Awful.\nSentiment: negative\n\n"
        "Review: So fluffy now.\nSentiment:"
    )


@pytest.mark.parametrize("name", WITHOUT_CHAT)
def test_with_examples_or_without_the_end_is_the_question_about_the_review(name: str) -> None:
    wording = WORDINGS[name]
    question = wording.template.replace("{review}", "So fluffy now.")
    alone, after = (write(wording, examples, ASKED, Chat()) for examples in ([], EXAMPLES))
    assert alone == question
    assert after.endswith(f"\n\n{question}")
    assert after.count("So fluffy now.") == after.count(f"Lovely.{_tail(wording)}{wording.words[1]}\n\n") == 1
    assert after.count(f"Awful.{_tail(wording)}{wording.words[0]}\n\n") == 1
    # A space belongs to the word, as in running text; a prompt that ends in one would ask for a word in two pieces.
    assert question.endswith("\n") != wording.words[0].startswith(" ")


def _tail(wording: Wording) -> str:
    return wording.template.partition("{review}")[2]


def test_a_conversation_takes_turns_and_ends_where_the_model_answers() -> None:
    chat = Chat()
    text = write(WORDINGS["chat"], EXAMPLES, ASKED, chat)
    assert [turn["role"] for turn in chat.turns] == ["user", "assistant", "user", "assistant", "user"]
    assert [turn["content"] for turn in chat.turns[1::2]] == ["Yes", "No"]
    assert ["Lovely." in chat.turns[0]["content"], "Awful." in chat.turns[2]["content"]] == [True, True]
    assert chat.turns[-1]["content"].count("So fluffy now.") == text.count("So fluffy now.") == 1
    assert chat.options == {"tokenize": False, "add_generation_prompt": True}


@given(st.text())
def test_a_review_stays_as_it_is_whatever_it_says(review: str) -> None:
    wording = WORDINGS["feeling"]
    text = write(wording, [], INSTRUCTION.replace("{review}", review), Chat())
    assert text == review + "\nOverall, the customer feels"


@pytest.mark.parametrize("wording", WORDINGS.values(), ids=WORDINGS)
def test_the_base_model_reads_each_word_as_a_token_after_the_prompt(wording: Wording) -> None:
    tokenizer = load_tokenizer(FULL.model)
    for examples in ([], EXAMPLES):
        text = write(wording, examples, ASKED, tokenizer)
        asked = tokenizer(text)["input_ids"]
        for word in wording.words:
            answered = tokenizer(text + word)["input_ids"]
            assert answered == asked + tokenizer(word, add_special_tokens=False)["input_ids"]
    negative, positive = tokenizer(list(wording.words), add_special_tokens=False)["input_ids"]
    assert negative[0] != positive[0]


def test_a_conversation_is_written_in_the_base_models_own_way() -> None:
    text = write(WORDINGS["chat"], EXAMPLES, ASKED, load_tokenizer(FULL.model))
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert text.count("<|im_start|>assistant\n") == 3
    assert text.count("So fluffy now.") == 1


def test_the_lessons_best_words_are_one_of_the_wordings_with_training_rows_as_examples() -> None:
    rows = load_rows(reviews_path("train"))
    training = dict(zip(rows["input"], rows["output"], strict=True))
    *shown, _ = HAND_WRITTEN.template.split("\n\n")
    reviews = [text.removeprefix("Review: ").partition("\nSentiment:")[0] for text in shown]
    examples = [(prompt_of(review), training[prompt_of(review)]) for review in reviews]
    assert write(WORDINGS["sentiment"], examples, prompt_of("{{review}}"), None) == HAND_WRITTEN.template
    assert [f" {word}" for word in HAND_WRITTEN.words] == list(WORDINGS["sentiment"].words)
