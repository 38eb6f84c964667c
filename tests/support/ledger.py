"""A client that works at random and keeps a ledger of what was acknowledged, which it holds a runtime to."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.calls import BASE, training_body

PATHS = {
    "asset": "/v2/assets",
    "training": "/ml/v4/trainings",
    "model": "/ml/v4/models",
    "deployment": "/ml/v4/deployments",
}
# With more than so many of a kind, one is deleted rather than made.
MANY = 10
LARGEST_FILE = 300_000
UNFINISHED = ("pending", "queued", "running")


def by_kind() -> dict[str, set[str]]:
    return {kind: set() for kind in PATHS}


@dataclass
class Ledger:
    """What a client knows of a runtime whose answers may fail to come.

    Args:
        project: the query that names the project.
        chance: decides what is done next.
        base_model: what is tuned.
        data: the asset that is trained on; it is never deleted.
        there: ids, by kind, that were acknowledged, and whose deletion was not asked for.
        asked: ids whose deletion was asked for, and may have happened.
        gone: ids whose deletion was acknowledged.
        uploaded: ids of assets whose upload was acknowledged to be complete.
        canceled: ids of trainings whose cancellation was acknowledged.
        perhaps_canceled: ids of trainings whose cancellation was asked for.
        sent: what was sent under a name: a file, a training's settings.
        compared: ids of assets whose content was compared with what was sent.
    """

    project: dict[str, str]
    chance: random.Random
    base_model: str = BASE
    data: str = ""
    there: dict[str, set[str]] = field(default_factory=by_kind)
    asked: dict[str, set[str]] = field(default_factory=by_kind)
    gone: dict[str, set[str]] = field(default_factory=by_kind)
    uploaded: set[str] = field(default_factory=set)
    canceled: set[str] = field(default_factory=set)
    perhaps_canceled: set[str] = field(default_factory=set)
    sent: dict[str, Any] = field(default_factory=dict)
    compared: set[str] = field(default_factory=set)

    def act(self, client: httpx.Client, kinds: Sequence[str] = tuple(PATHS)) -> None:
        """Make or delete something, and note what was acknowledged."""
        kind = self.chance.choice(kinds)
        if kind in ("model", "deployment"):
            self.learn(client)
        if len(self.there[kind]) > MANY or self.chance.random() < 0.15:
            self.delete(client, kind)
        elif kind == "asset":
            self.upload(client, self.chance.randbytes(self.chance.randint(1, LARGEST_FILE)))
        elif kind == "training":
            training = self.train(client, num_epochs=self.chance.randint(1, 20), seed=self.chance.randint(0, 9))
            if self.chance.random() < 0.2:
                self.cancel(client, training)
        elif kind == "deployment" and self.there["model"]:
            self.deploy(client, self.chance.choice(sorted(self.there["model"])))

    def upload(self, client: httpx.Client, content: bytes) -> str:
        """Upload a file as the SDK does; the asset's id."""
        name = self._new_name("file", content)
        body = {"metadata": {"name": name, "asset_type": "data_asset"}}
        asset = str(self._send(client, "POST", "/v2/assets", 201, json=body)["metadata"]["asset_id"])
        self.there["asset"].add(asset)
        made = self._send(client, "POST", f"/v2/assets/{asset}/attachments", 201, json={"name": name})
        self._send(client, "PUT", made["url1"], 201, content=content)
        self._send(client, "POST", f"/v2/assets/{asset}/attachments/{made['attachment_id']}/complete", 200)
        self.uploaded.add(asset)
        return asset

    def train(self, client: httpx.Client, **settings: Any) -> str:
        """Start a training; its id."""
        body = training_body(self.project, self.data, base_model={"model_id": self.base_model}, **settings)
        body["name"] = self._new_name("training", settings)
        training = str(self._send(client, "POST", "/ml/v4/trainings", 201, json=body)["metadata"]["id"])
        self.there["training"].add(training)
        return training

    def cancel(self, client: httpx.Client, training: str) -> None:
        """Cancel a training that has only just begun."""
        self.perhaps_canceled.add(training)
        answer = client.delete(f"{PATHS['training']}/{training}", params=self.project)
        assert answer.status_code in (204, 400), answer.text  # 400 if it is completed already
        if answer.status_code == 204:
            self.canceled.add(training)

    def learn(self, client: httpx.Client) -> None:
        """Note the models of the trainings that are completed."""
        for training in self._list(client, "training"):
            if "model_id" in training["entity"]:
                self.there["model"].add(training["entity"]["model_id"])
        self.there["model"] -= self.asked["model"]

    def deploy(self, client: httpx.Client, model: str) -> str:
        """Deploy a model under a serving name; the deployment's id."""
        name = self._new_name("served", None)
        online = {"parameters": {"serving_name": name}}
        body = {"name": name, "online": online, "asset": {"id": model}, **self.project}
        deployment = str(self._send(client, "POST", "/ml/v4/deployments", 202, json=body)["metadata"]["id"])
        self.there["deployment"].add(deployment)
        return deployment

    def delete(self, client: httpx.Client, kind: str) -> None:
        """Delete one of a kind, if there is one."""
        candidates = sorted(self.there[kind] - {self.data})
        if not candidates:
            return
        chosen = self.chance.choice(candidates)
        path, query = f"{PATHS[kind]}/{chosen}", {"hard_delete": "true"} if kind == "training" else {}
        of_model = {"asset_id": chosen}
        if kind == "model" and self._send(client, "GET", PATHS["deployment"], 200, query=of_model)["resources"]:
            self._send(client, "DELETE", path, 409)
            return
        self.there[kind].remove(chosen)
        self.asked[kind].add(chosen)
        self._send(client, "DELETE", path, 204, query=query)
        self.gone[kind].add(chosen)

    def is_settled(self, client: httpx.Client) -> bool:
        """Whether no training waits or runs any more."""
        states = [training["entity"]["status"]["state"] for training in self._list(client, "training")]
        return not any(state in UNFINISHED for state in states)

    def check(self, client: httpx.Client, state: Path) -> None:
        """Hold a runtime that was just started to the ledger; also what was not acknowledged is whole, or not there."""
        listed = {kind: self._list(client, kind) for kind in PATHS}
        for kind, documents in listed.items():
            ids = {_id(document) for document in documents}
            assert self.there[kind] <= ids, f"lost {kind}s: {self.there[kind] - ids}"
            assert not self.gone[kind] & ids, f"deleted {kind}s are back: {self.gone[kind] & ids}"
        for asset in listed["asset"]:
            self._check_asset(client, asset)
        models = {_id(model) for model in listed["model"]}
        for training in listed["training"]:
            self._check_training(training, models)
        for model in listed["model"]:
            settings = json.loads((state / "models" / _id(model) / "tuning_settings.json").read_text())
            assert settings.items() >= self.sent[model["metadata"]["name"]].items()
        for deployment in listed["deployment"]:
            assert deployment["entity"]["online"]["parameters"]["serving_name"] in self.sent
            assert deployment["entity"]["asset"]["id"] in models
        assert not list(state.glob("*/.*.tmp"))
        assert {path.name for path in (state / "jobs").iterdir()} == {_id(training) for training in listed["training"]}

    def _check_asset(self, client: httpx.Client, asset: dict[str, Any]) -> None:
        content = self.sent[asset["metadata"]["name"]]
        assert len(asset["attachments"]) == 1 or _id(asset) not in self.uploaded
        for attachment in asset["attachments"]:
            assert attachment["size"] == asset["metadata"]["size"] == len(content)
            if _id(asset) not in self.compared:
                path = f"/v2/assets/{_id(asset)}/attachments/{attachment['id']}"
                assert client.get(self._send(client, "GET", path, 200)["url"]).content == content
                self.compared.add(_id(asset))

    def _check_training(self, training: dict[str, Any], models: set[str]) -> None:
        entity, status = training["entity"], training["entity"]["status"]
        assert entity["prompt_tuning"].items() >= self.sent[entity["name"]].items()
        if _id(training) in self.canceled:
            assert status["state"] == "canceled"
        elif _id(training) not in self.perhaps_canceled:
            assert status["state"] in (*UNFINISHED, "completed"), status
        metrics = status.get("metrics", [])
        iterations = [metric["iteration"] for metric in metrics]
        assert iterations == list(range(min(iterations, default=0), len(iterations) + min(iterations, default=0)))
        if status["state"] == "completed":
            assert metrics[-1]["ml_metrics"]["progress"] == 1
            assert entity["model_id"] in models | self.asked["model"]

    def _new_name(self, what: str, sent: Any) -> str:
        name = f"{what}_{len(self.sent)}"
        self.sent[name] = sent
        return name

    def _list(self, client: httpx.Client, kind: str) -> list[dict[str, Any]]:
        if kind == "asset":
            answer = self._send(client, "POST", "/v2/asset_types/data_asset/search", 200, json={"query": "*:*"})
            documents, total = answer["results"], answer["total_rows"]
        else:
            answer = self._send(client, "GET", PATHS[kind], 200, query={"limit": "200"})
            documents, total = answer["resources"], answer["total_count"]
        assert len(documents) == total
        return list(documents)

    def _send(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        status: int,
        json: Any = None,
        content: bytes | None = None,
        query: dict[str, str] | None = None,
    ) -> Any:
        # A link says by itself what it is for.
        params = None if path.startswith("https:") else {**self.project, **(query or {})}
        answer = client.request(method, path, params=params, json=json, content=content)
        assert answer.status_code == status, f"{method} {path} {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


def _id(document: dict[str, Any]) -> str:
    metadata = document["metadata"]
    return str(metadata.get("asset_id") or metadata["id"])
