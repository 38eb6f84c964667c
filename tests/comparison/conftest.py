"""What tests of the comparison in other languages need."""

from collections.abc import Iterator

import pytest
from matplotlib.font_manager import fontManager

from prompt_tuning_helpers import fonts


@pytest.fixture(params=["es", "zh"])
def language(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each language that the comparison is translated to, one after the other."""
    language: str = request.param
    monkeypatch.setenv("LESSON_LANGUAGE", language)
    return language


@pytest.fixture
def no_chinese_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A computer that has none but that of the helpers."""
    monkeypatch.setattr(fonts, "INSTALLED", ())
    before = list(fontManager.ttflist)
    yield
    fontManager.ttflist[:] = before
