"""Clients of the local runtime that hang up before they are answered: the next one does not wait for their answers."""

import json
import socket
import ssl
import time
from contextlib import ExitStack

import httpx

from prompt_tuning_helpers.runtime.endpoint import Endpoint
from tests.support.calls import VERSION
from tests.support.service import TINY

HANGING_UP = 16  # two batches
LONG = {"max_new_tokens": 1500, "min_new_tokens": 1500}


def test_the_next_answer_does_not_wait_for_those_that_nobody_wants(live_runtime: Endpoint) -> None:
    context = ssl.create_default_context(cafile=live_runtime.ca_bundle)
    port = int(live_runtime.url.rsplit(":", 1)[-1])
    with httpx.Client(base_url=live_runtime.url, verify=context, trust_env=False, timeout=120) as client:
        form = {"apikey": live_runtime.api_key, "grant_type": "urn:ibm:params:oauth:grant-type:apikey"}
        token = client.post("/identity/token", data=form).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"

        def body(text: str, parameters: dict[str, int]) -> bytes:
            question = {"model_id": TINY, "project_id": live_runtime.project_id, "input": text}
            return json.dumps({**question, "parameters": parameters}).encode()

        def ask(text: str, parameters: dict[str, int]) -> float:
            started = time.monotonic()
            client.post(f"/ml/v1/text/generation?version={VERSION}", content=body(text, parameters)).raise_for_status()
            return time.monotonic() - started

        ask("warm up", {"max_new_tokens": 1})
        one_long_answer = ask("a dog", LONG)
        with ExitStack() as connections:
            for number in range(HANGING_UP):
                plain = connections.enter_context(socket.create_connection(("127.0.0.1", port)))
                line = connections.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
                content = body(f"dog {number}", LONG)
                head = f"POST /ml/v1/text/generation HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
                line.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        assert ask("a cat", {"max_new_tokens": 1}) < one_long_answer
