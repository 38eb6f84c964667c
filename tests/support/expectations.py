"""What a client may expect of a runtime, as far as it was answered."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
# The training comes before its model, since it may end between the two looks.
KINDS = ("asset", "training", "model", "deployment")
OVER = ("completed", "failed", "canceled")
UNFINISHED = ("pending", "queued", "running")


@dataclass(frozen=True)
class Key:
    """What something is called; each name is given once."""

    project: str
    kind: str
    name: str


@dataclass
class Thing:
    """Something that a client made.

    Args:
        facts: what its document says as long as it is there.
        id: known once its creation was answered, or once it was seen.
        content: an asset's file.
        whole: whether the file's upload was acknowledged.
        trains: whether the file is good for a training.
        state: a training's, once it is over.
    """

    facts: Document
    id: str = ""
    content: bytes = b""
    whole: bool = False
    trains: bool = False
    state: str = ""


@dataclass
class Expectations:
    """What is there, what may be there, and what is gone for good.

    Args:
        there: what was acknowledged.
        unsure: what was asked for or deleted without an answer: at the next look it is there, or gone.
        gone: whose deletion was acknowledged, and what was not there when it was looked for.
    """

    there: dict[Key, Thing] = field(default_factory=dict)
    unsure: dict[Key, Thing] = field(default_factory=dict)
    gone: set[Key] = field(default_factory=set)

    def add(self, key: Key, thing: Thing, acknowledged: bool) -> None:
        """Note that something was made, or that nobody knows whether it was."""
        (self.there if acknowledged else self.unsure)[key] = thing

    def remove(self, key: Key, acknowledged: bool) -> None:
        """Note that something was deleted, or that nobody knows whether it was."""
        thing = self.there.pop(key, None) or self.unsure.pop(key)
        if key.kind == "training" and not thing.state:
            # It may have ended before, and then its model stays.
            self._doubt(Key(key.project, "model", key.name), _model_of(key, thing))
        if acknowledged:
            self.gone.add(key)
        else:
            self.unsure[key] = thing

    def remove_all(self, project: str, acknowledged: bool) -> None:
        """Note that a project was emptied, or that nobody knows whether it was."""
        for key in [key for key in (*self.there, *self.unsure) if key.project == project]:
            self.remove(key, acknowledged)
        if acknowledged:
            # The models, too, that trainings may have made in the meantime.
            self.gone.update(key for key in self.unsure if key.project == project)
            self.unsure = {key: thing for key, thing in self.unsure.items() if key.project != project}

    def forget(self, project: str) -> None:
        """Expect nothing any more of a project that is deleted, or may be."""
        self.there = {key: thing for key, thing in self.there.items() if key.project != project}
        self.unsure = {key: thing for key, thing in self.unsure.items() if key.project != project}

    def of(self, project: str, kind: str) -> list[Key]:
        """What a project has of a kind, for sure, in the order in which it was made."""
        return [key for key in self.there if (key.project, key.kind) == (project, kind)]

    def all_of(self, kind: str) -> list[Thing]:
        """Whatever is or may be there of a kind, in all projects."""
        return [thing for things in (self.there, self.unsure) for key, thing in things.items() if key.kind == kind]

    def look(self, project: str, listed: Callable[[str], list[Document]]) -> None:
        """Compare a project with what may be expected of it, and be sure again.

        Args:
            listed: gives all documents of a kind.
        """
        for kind in KINDS:
            documents = {_name(document): document for document in self._once_each(kind, listed(kind))}
            keys = {Key(project, kind, name) for name in documents}
            lost = set(self.of(project, kind)) - keys
            assert not lost, f"acknowledged, and lost: {lost}"
            back = keys & self.gone
            assert not back, f"deleted, and back: {back}"
            unknown = keys - set(self.there) - set(self.unsure)
            assert not unknown, f"made by nobody: {unknown}"
            for key in [key for key in self.unsure if (key.project, key.kind) == (project, kind)]:
                thing = self.unsure.pop(key)
                training = self.there.get(Key(project, "training", key.name))
                if key in keys:
                    self.there[key] = thing
                elif key.kind != "model" or training is None or training.state:
                    self.gone.add(key)
            for key in keys:
                self._compare(key, self.there[key], documents[key.name])

    def _once_each(self, kind: str, documents: list[Document]) -> Iterator[Document]:
        seen: set[str] = set()
        for document in documents:
            assert _name(document) not in seen, f"there twice: {kind} {_name(document)}"
            seen.add(_name(document))
            yield document

    def _compare(self, key: Key, thing: Thing, document: Document) -> None:
        found = _id(document)
        assert thing.id in ("", found), f"{key} has another id"
        thing.id = found
        _assert_includes(key, thing.facts, document)
        if key.kind == "asset":
            sizes = [attachment["size"] for attachment in document.get("attachments", [])]
            assert sizes == [len(thing.content)] or (not sizes and not thing.whole), f"{key}: files of {sizes} bytes"
            thing.whole = thing.whole or bool(sizes)
        elif key.kind == "training":
            self._compare_training(key, thing, document["entity"])

    def _compare_training(self, key: Key, thing: Thing, entity: Document) -> None:
        status = entity["status"]
        state = str(status["state"])
        assert state == thing.state or (not thing.state and state in (*OVER, *UNFINISHED)), f"{key}: now it is {state}"
        assert state != "failed" or status["failure"]["errors"][0]["message"], f"{key} failed for no reason"
        model = Key(key.project, "model", key.name)
        if state == "completed" and not thing.state:
            assert status["metrics"][-1]["ml_metrics"]["progress"] == 1
            self.unsure.pop(model, None)
            self.there[model] = _model_of(key, thing, entity["model_id"])
        elif not thing.state:
            self._doubt(model, _model_of(key, thing))
        if state in OVER:
            thing.state = state
            thing.facts = {**thing.facts, "entity": {**thing.facts["entity"], "model_id": entity.get("model_id")}}

    def _doubt(self, key: Key, thing: Thing) -> None:
        if key not in self.there and key not in self.gone:
            self.unsure[key] = thing


def _model_of(key: Key, training: Thing, model_id: str = "") -> Thing:
    return Thing({"metadata": {"name": key.name}, "entity": {"training_id": training.id}}, model_id)


def _assert_includes(key: Key, facts: Any, document: Any) -> None:
    if isinstance(facts, dict):
        for name, fact in facts.items():
            _assert_includes(key, fact, document.get(name))
    else:
        assert facts == document, f"{key}: {document!r} instead of {facts!r}"


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])


def _id(document: Document) -> str:
    return str(document["metadata"].get("asset_id") or document["metadata"]["id"])
