"""Sentences are set as text in notebooks, and stay plain text elsewhere."""

from comparison.paragraphs import in_paragraphs


@in_paragraphs
def describe(name: str, end: str = ".") -> str:
    """Say two things."""
    return f"This is {name}{end}\nAnd that is all{end}"


def test_each_line_is_a_paragraph_in_a_notebook_and_a_line_elsewhere() -> None:
    said = describe("it", end="!")
    assert said == "This is it!\nAnd that is all!"
    assert repr(said) == said
    assert said._repr_markdown_() == "This is it!\n\nAnd that is all!"
    assert describe.__doc__ == "Say two things."
