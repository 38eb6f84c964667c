"""What the programs in Python share: the SDK's client for the runtime, errors and warnings that must come, the stop.

They run where nothing is installed but their client, and as modules: ``python -m tests.clients.langchain.program``.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BASE_MODEL = "local/tiny-random-llama"
UNKNOWN_MODEL = "ibm/unknown"
UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"
DEPLOYMENT_ID = os.environ["TEST_DEPLOYMENT_ID"]
# The runtime's own words for what goes wrong.
WRONG_KEY = "Provided API key could not be found"
WRONG_MODEL = "is not served here. Served: "
LABEL_SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["satisfied", "unsatisfied"]}},
    "required": ["label"],
    "additionalProperties": False,
}
LABELS = LABEL_SCHEMA["properties"]["label"]["enum"]  # type: ignore[index]


def make_client(api_key: str = os.environ["WATSONX_APIKEY"]) -> Any:
    """Make a client of the SDK by the line that ``env`` prints."""
    from ibm_watsonx_ai import APIClient, Credentials

    url = os.environ["WATSONX_URL"]
    credentials = Credentials(
        url=url,
        platform_url=url,
        auth_url=url + "/identity/token",
        api_key=api_key,
        verify=os.environ["SSL_CERT_FILE"],
    )
    return APIClient(credentials, project_id=os.environ["WATSONX_PROJECT_ID"])


@contextmanager
def refused(kind: type[Exception], words: str) -> Iterator[None]:
    """Expect an error of the client's own with certain words in it."""
    try:
        yield
    except kind as error:
        said = str(error)
    else:
        raise AssertionError(f"No {kind.__name__} came.")
    assert words in said, said


@contextmanager
def warned(words: str) -> Iterator[None]:
    """Expect a warning with certain words in it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert any(words in str(warning.message) for warning in caught), caught


def wait_for_the_end_of_the_runtime() -> None:
    """Ask who started this program to stop the runtime, and wait until it has."""
    print("Stop the runtime, please.", flush=True)
    input()
