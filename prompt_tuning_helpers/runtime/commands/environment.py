"""``env``: the variables that lead programs to the running runtime, as each kind of shell or tool reads them."""

import json
import os
import shlex
from collections.abc import Mapping
from typing import Annotated

import typer

from ..client_variables import LINES_OF_CLIENTS, variables_of_clients
from ..endpoint import Endpoint, command_line
from ..store.state import State
from .state_folder import StateOption, fail, open_state, require_running

OF_FILES = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
OF_THIS_COMPUTER = "LOCAL_WATSONX_STATE"


def env(
    state: StateOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON object, for programs.")] = False,
    as_powershell: Annotated[bool, typer.Option("--powershell", help="As PowerShell sets variables.")] = False,
    as_docker: Annotated[
        bool, typer.Option("--docker", help="As options of docker run, which pass this shell's variables on.")
    ] = False,
) -> None:
    """Print the running runtime's environment: eval "$(local-watsonx env)"."""
    if as_json + as_powershell + as_docker > 1:
        fail("--json, --powershell and --docker are three forms of the same: give one of them.")
    folder = open_state(state)
    endpoint = require_running(folder)
    variables = variables_for(endpoint, folder)
    if as_json:
        typer.echo(json.dumps(variables, indent=2))
    elif as_powershell:
        typer.echo(for_powershell(variables))
    elif as_docker:
        if os.environ.get("WATSONX_APIKEY") != endpoint.api_key:
            fail(
                "Other users can read a command line, so docker run takes the key from this shell, which does not have "
                f'it yet: eval "$({command_line("env", folder.root)})"'
            )
        typer.echo(for_docker(variables))
    else:
        typer.echo(for_shell(variables))


def variables_for(endpoint: Endpoint, state: State) -> dict[str, str]:
    """Give all variables that clients read.

    The folder is among them: ``connect()`` sends a key to this computer only where the folder's file names the address.
    """
    return {
        "WATSONX_URL": endpoint.url,
        "WATSONX_APIKEY": endpoint.api_key,
        "WATSONX_PROJECT_ID": endpoint.project_id,
        "SSL_CERT_FILE": endpoint.ca_bundle,
        OF_THIS_COMPUTER: str(state.root),
        **variables_of_clients(endpoint),
    }


def for_shell(variables: Mapping[str, str]) -> str:
    """Write variables for a POSIX shell, with the lines that clients need as comments."""
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    return "\n".join([f"export {exports}", *(f"# {client}: {lines}" for client, lines in LINES_OF_CLIENTS.items())])


def for_powershell(variables: Mapping[str, str]) -> str:
    """Write variables for PowerShell, in whose single quotes only a quote is special."""
    return "\n".join("$env:{} = '{}'".format(name, value.replace("'", "''")) for name, value in variables.items())


def for_docker(variables: Mapping[str, str]) -> str:
    """Write options of ``docker run``: the host's network, where the runtime listens, the certificates, and variables.

    Only names are written: docker takes the values from its own environment.
    """
    options = ["--network", "host"]
    for file in sorted({variables[name] for name in OF_FILES}):
        options += ["--volume", f"{file}:{file}:ro"]
    for name in variables:
        if name != OF_THIS_COMPUTER:
            options += ["--env", name]
    return shlex.join(options)
