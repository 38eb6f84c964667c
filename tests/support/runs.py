"""A tuning run as the SDK tells of it."""

from typing import Any


def details(state: str, *metrics: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"id": "run-1"},
        "entity": {
            "prompt_tuning": {"num_epochs": 4},
            "status": {"state": state, "metrics": list(metrics), **status},
        },
    }


def metric(epoch: int, loss: float, **more: float) -> dict[str, Any]:
    return {"timestamp": "2026-01-01T00:00:00.000Z", "ml_metrics": {"epoch": epoch, "loss": loss, **more}}
