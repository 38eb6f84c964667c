"""What is kept of the soft prompts that were read are those asked last."""

from pathlib import Path

import pytest
import torch

from prompt_tuning_helpers.engine import TuningSettings, prefix_cache
from prompt_tuning_helpers.engine.loading import LoadedModel
from prompt_tuning_helpers.engine.prefix_cache import PrefixCache
from prompt_tuning_helpers.engine.soft_prompt import save


def test_a_soft_prompt_that_was_asked_again_stays_longer(
    tiny: LoadedModel, settings: TuningSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix_cache, "MAX_SOFT_PROMPTS", 2)
    first, second, third = folders = [tmp_path / name for name in ("first", "second", "third")]
    for folder in folders:
        save(folder, torch.randn(5, 16), "tiny", settings)
    cache = PrefixCache()
    kept, dropped, _, _ = (cache.soft_prompt(tiny, folder) for folder in (first, second, first, third))
    assert cache.soft_prompt(tiny, first) is kept
    assert cache.soft_prompt(tiny, second) is not dropped
