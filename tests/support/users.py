"""The users of two projects: what they ask of a runtime through the SDK, and what they may expect of it since."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.helpers import DataConnection

from tests.support.calls import BASE
from tests.support.expectations import UNFINISHED, Document, Expectations, Key, Thing
from tests.support.servers import wait_until
from tests.support.world import Answer, World

OWN, OTHER = "own", "other"
# With more than so many of a kind in a project, none is made.
MANY = 12


def any_of_them(thing: Thing) -> bool:
    """Whichever it is."""
    return True


class NoAnswer(Exception):
    """The server was killed before it answered."""


@dataclass(frozen=True)
class Announced:
    """An asset whose file was not uploaded yet.

    Args:
        path: the asset's.
        attachment: the file's id.
        link: takes the file.
    """

    key: Key
    path: str
    attachment: str
    link: str


class Users:
    """Who asks.

    Args:
        world: with the server.
        folder: for the files that they upload.
    """

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.expected = Expectations()
        self.projects = {OWN: world.endpoint.project_id}
        self._folder = folder
        self._compared: set[Key] = set()
        self._named = 0
        self.make_another_project()
        for project in self.projects:
            self.upload([self.new_key(project, "asset")], 10)
            self.train(self.one(project, "asset"), "well", 1)
        self.await_trainings()
        self.look()
        for project in self.projects:
            self.deploy(self.one(project, "model"), [])

    def new_key(self, project: str, kind: str) -> Key:
        """A name that nothing has."""
        self._named += 1
        return Key(self.projects.get(project, project), kind, f"{kind}_{self._named}")

    def have(self, kind: str, suits: Callable[[Thing], bool] = any_of_them) -> bool:
        """Whether there is one of a kind that suits."""
        return any(key.kind == kind and suits(thing) for key, thing in self.expected.there.items())

    def has_room(self, project: str, kind: str) -> bool:
        """Whether one more of a kind may be made."""
        return len(self.expected.of(self.projects[project], kind)) < MANY

    def one(self, project: str, kind: str, which: int = 0, suits: Callable[[Thing], bool] = any_of_them) -> Key:
        """One of a kind that is there; of a project that has none it is one of the other."""
        keys = sorted(
            (key for key, thing in self.expected.there.items() if key.kind == kind and suits(thing)),
            key=lambda key: key.project != self.projects[project],
        )
        of_one_project = [key for key in keys if key.project == keys[0].project]
        return of_one_project[which % len(of_one_project)]

    def upload(self, keys: list[Key], size: int, meanwhile: Callable[[], None] | None = None) -> None:
        """Upload files.

        Args:
            size: of each, in bytes, more or less.
            meanwhile: is called until all are uploaded, at least once.
        """
        with ThreadPoolExecutor(1) as executor:
            uploads = executor.submit(lambda: [self._upload(key, size) for key in keys])
            while meanwhile is not None:
                meanwhile()
                meanwhile = None if uploads.done() else meanwhile
            for key, (thing, made) in zip(keys, uploads.result(), strict=True):
                self.expected.add(key, thing, made.done)

    def _upload(self, key: Key, size: int) -> tuple[Thing, Answer]:
        content = json.dumps([{"input": f"of {key.name} " * (size // 10), "output": "1"}]).encode()
        file = self._folder / key.name
        file.write_bytes(content)
        metadata = {"name": key.name, "description": f"has {size} bytes"}
        assets = self._client(key).data_assets
        names = assets.ConfigurationMetaNames
        meta = {names.NAME: key.name, names.DESCRIPTION: metadata["description"], names.DATA_CONTENT_NAME: str(file)}
        made = self.world.ask(lambda: str(assets.get_id(assets.store(meta))))
        return Thing({"metadata": metadata}, made.value or "", content, whole=made.done, trains=True), made

    def announce(self, project: str) -> Announced | None:
        """Make an asset without a file, if that is answered."""
        key = self.new_key(project, "asset")
        metadata = {"name": key.name, "asset_type": "data_asset"}

        def make() -> Announced:
            asset = self.world.send("POST", "/v2/assets", key.project, json={"metadata": metadata}).json()
            path = f"/v2/assets/{asset['metadata']['asset_id']}"
            made = self.world.send("POST", f"{path}/attachments", key.project, json={"name": key.name}).json()
            return Announced(key, path, made["attachment_id"], made["url1"])

        made = self.world.ask(make)
        self.expected.add(key, Thing({"metadata": metadata}, content=b"a file" * 100), made.done)
        return made.value if made.done else None

    def train(self, asset: Key, how: str, epochs: int) -> None:
        """Start a training."""
        key = self.new_key(asset.project, "training")
        data = DataConnection(data_asset_id=self.expected.there[asset].id)
        metadata: dict[str, Any] = {"name": key.name, "description": f"goes {how}"}
        wanted: dict[str, Any] = {"num_epochs": epochs, "init_text": how, "init_method": "text", "learning_rate": 0.01}

        def start() -> str:
            experiment = self.world.client(key.project)
            tuner = experiment.prompt_tuner(task_id="classification", base_model=BASE, **metadata, **wanted)
            tuner.run([data], background_mode=True)
            return str(tuner.id)

        started = self.world.ask(start)
        facts = {"metadata": metadata, "entity": {"name": key.name, "prompt_tuning": wanted}}
        self.expected.add(key, Thing(facts, started.value or ""), started.done)

    def cancel(self, key: Key) -> None:
        """Cancel a training."""
        thing = self.expected.there[key]
        canceled = self.world.ask(lambda: self._client(key).training.cancel(thing.id))
        # The SDK says so of one that was over already, too.
        if canceled.done and 400 not in canceled.statuses:
            thing.state = "canceled"

    def await_trainings(self) -> None:
        """Wait until all trainings are over."""

        def are_over() -> bool:
            trainings = [training for project in self.projects.values() for training in self._list(project, "training")]
            return not any(training["entity"]["status"]["state"] in UNFINISHED for training in trainings)

        wait_until(are_over, 60)

    def deploy(self, model: Key, tags: list[str], serving_name: str = "") -> bool:
        """Deploy a model, under the deployment's own name if under no other; whether that was acknowledged."""
        key = self.new_key(model.project, "deployment")
        deployments, asset = self._client(key).deployments, self.expected.there[model].id
        names = deployments.ConfigurationMetaNames
        meta = {names.NAME: key.name, names.SERVING_NAME: serving_name or key.name, names.TAGS: tags, names.ONLINE: {}}
        create = partial(deployments.create, asset, meta, background_mode=True)
        deployed = self.world.ask(lambda: str(deployments.get_id(create())), *([409] if serving_name else []))
        online = {"parameters": {"serving_name": serving_name or key.name}}
        facts = {"metadata": {"name": key.name, "tags": tags}, "entity": {"asset": {"id": asset}, "online": online}}
        if not deployed.refused:
            self.expected.add(key, Thing(facts, deployed.value or ""), deployed.done)
        return deployed.done

    def question(self, key: Key) -> None:
        """Ask a deployment something."""
        thing = self.expected.there[key]

        def generate() -> str:
            inference = ModelInference(deployment_id=thing.id, api_client=self._client(key))
            return str(inference.generate_text("a question"))

        answer = self.world.ask(generate)
        assert not answer.done or answer.value == f"question {thing.facts['entity']['asset']['id']}"

    def question_all(self) -> None:
        """Ask every deployment something."""
        for key in [key for key in self.expected.there if key.kind == "deployment"]:
            self.question(key)

    def is_not_deployed(self, model: Thing) -> bool:
        """Whether a model can be deleted."""
        deployments = self.expected.all_of("deployment")
        return model.id not in [deployment.facts["entity"]["asset"]["id"] for deployment in deployments]

    def delete(self, key: Key) -> None:
        """Delete something."""
        client = self._client(key)
        delete = {
            "asset": client.data_assets.delete,
            "training": client.training.delete,
            "model": client.repository.delete,
            "deployment": client.deployments.delete,
        }
        name = self.expected.there[key].id
        self.expected.remove(key, self.world.ask(lambda: delete[key.kind](name)).done)

    def empty(self, project: str) -> None:
        """Empty a project."""
        path = f"/v2/projects/{self.projects[project]}/reset"
        emptied = self.world.ask(lambda: self.world.send("POST", path, self.projects[OWN]))
        self.expected.remove_all(self.projects[project], emptied.done)
        self.compare_again()

    def make_another_project(self) -> None:
        """Make the other project, or another one in its place, which is deleted."""
        path, body = "/transactional/v2/projects", {"name": "another"}
        made = self.world.ask(lambda: self.world.send("POST", path, self.projects[OWN], json=body))
        if made.done:
            old = self.projects.pop(OTHER, None)
            self.projects[OTHER] = made.value.json()["location"].rsplit("/", 1)[-1]
            if old is not None:
                self.world.ask(lambda: self.world.send("DELETE", f"{path}/{old}", self.projects[OWN]))
                self.world.forget_client(old)
                self.expected.forget(old)
                self.compare_again()

    def compare_again(self) -> None:
        """Let the next look compare all files."""
        self._compared.clear()

    def look(self) -> None:
        """Compare everything with what may be expected."""
        with suppress(NoAnswer):
            for project in self.projects.values():
                self.expected.look(project, partial(self._list, project))
                self._compare_files(project)

    def _compare_files(self, project: str) -> None:
        for key in self.expected.of(project, "asset"):
            thing = self.expected.there[key]
            if thing.whole and key not in self._compared:
                content = self.world.ask(partial(self._client(key).data_assets.get_content, thing.id))
                assert not content.done or content.value == thing.content, f"{key} has another content"
                self._compared.add(key)

    def _client(self, key: Key) -> Any:
        return self.world.client(key.project).client

    def _list(self, project: str, kind: str) -> list[Document]:
        client = self.world.client(project).client
        details = {
            "asset": client.data_assets.get_details,
            "training": client.training.get_details,
            "model": client.repository.get_model_details,
            "deployment": client.deployments.get_details,
        }
        answer = self.world.ask(lambda: details[kind](get_all=True)["resources"])
        if not answer.done:
            raise NoAnswer
        return list(answer.value)
