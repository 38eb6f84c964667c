"""Runs a runtime: one process, TLS on loopback, until it is told to end."""

import logging
import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

import uvicorn

from ..engine import tune_command
from .app import create_app
from .certificates import make_certificates
from .context import Engine, Runtime, open_runtime
from .controls import Controls
from .endpoint import Endpoint
from .http.protocol import BoundedProtocol
from .jobs.folder import end_recorded_processes
from .process.lost_state import RefuseWhenLost
from .process.processes import end_when
from .process.users import UsersLock
from .state_lock import LockedState, StateLost, lock_state
from .store.state import OLD_LOGS, State, StateError
from .store.state_marker import claim
from .strays import move_strays_to_trash

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
# The SDK's connections live for 5 s between its polls: one that the server closed first would make it repeat a POST.
KEEP_ALIVE_SECONDS = 75
CERTIFICATE_CHECK_SECONDS = 60
LOG_BYTES = 5 * 2**20
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Server(uvicorn.Server):
    """A server that says when it accepts connections.

    Args:
        config: uvicorn's.
        on_started: called once.
    """

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; connections without a request are cut, since an idle client does not answer the close of TLS."""
        for connection in list(self.server_state.connections):
            if connection.cycle is None or connection.cycle.response_complete:  # type: ignore[union-attr]
                connection.transport.abort()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_started()


def serve(
    state: State,
    engine: Engine,
    port: int = 0,
    command: Callable[[Path], list[str]] = tune_command,
    on_started: Callable[[Endpoint], None] = lambda _: None,
    while_used: bool = False,
    aliases: Collection[str] = (),
    keep_settings: bool = False,
    controls: Controls | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until the state folder is taken away.

    Args:
        state: the state folder; made if it is not there.
        engine: tunes and answers.
        port: where to listen on 127.0.0.1; 0 for a free one.
        command: the command line of a tuning job's process.
        on_started: told the endpoint once the server accepts connections.
        while_used: end when the last process that uses this runtime has ended.
        aliases: the ids among the engine's that are other models' names.
        keep_settings: whether trainings under one of these tune as they ask, too, not as suits the model there.
        controls: what tests may set; ``None`` where they may not.

    Raises:
        StateInUse: when another runtime uses the folder.
        StateLost: when the folder was deleted, moved or replaced while the runtime ran.
        StateError: when the folder is not a state folder, or something in it is damaged.
        OSError: when the port is taken or the folder cannot be used.
    """
    claim(state)
    with lock_state(state) as locked:
        end_when(lambda: _is_lost(locked), "state-folder")
        if while_used:
            end_when(UsersLock(state.users).try_alone, "users")
        # asyncio sets TCP_NODELAY only where the protocol is named; without it each call takes 40 ms longer.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            try:
                _serve_on(listener, locked, engine, command, aliases, keep_settings, controls, on_started)
            except sqlite3.DatabaseError as error:
                raise OSError(f"{state.database}: {error}") from error
        if locked.is_lost():
            raise StateLost(locked.loss)


def write_logs(state: State) -> None:
    """Send what the runtime and its server log to the state folder's log file.

    Raises:
        StateError: when the folder is not a state folder.
        OSError: when it cannot be used.
    """
    logging.raiseExceptions = False  # a log that cannot be written on a full disk is no reason for more output
    claim(state)
    handler = RotatingFileHandler(state.log, maxBytes=LOG_BYTES, backupCount=OLD_LOGS, encoding="utf-8")
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    for name in ("prompt_tuning_helpers", "uvicorn"):
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.INFO)


def _serve_on(
    listener: socket.socket,
    locked: LockedState,
    engine: Engine,
    command: Callable[[Path], list[str]],
    aliases: Collection[str],
    keep_settings: bool,
    controls: Controls | None,
    on_started: Callable[[Endpoint], None],
) -> None:
    state = locked.state
    runtime = open_runtime(state, engine, command, locked.is_lost, aliases, keep_settings, controls)
    runtime.url = f"https://{HOST}:{listener.getsockname()[1]}"
    try:
        # In this order: the folder of a job that was deleted says which process still works on it.
        end_recorded_processes(state.jobs)
        move_strays_to_trash(runtime)
        _run(runtime, locked, listener, on_started)
    finally:
        locked.note("ending")
        runtime.close()


def _is_lost(locked: LockedState) -> bool:
    if locked.is_lost():
        logger.error("%s", locked.loss)
        return True
    return False


def _run(
    runtime: Runtime, locked: LockedState, listener: socket.socket, on_started: Callable[[Endpoint], None]
) -> None:
    certificates = make_certificates(runtime.state)

    async def renew_certificate() -> None:
        nonlocal certificates
        if datetime.now(UTC) < certificates.renewed_from:
            return
        try:
            renewed = make_certificates(runtime.state)
            assert config.ssl is not None
            config.ssl.load_cert_chain(renewed.server)  # connections made from now on use it
            certificates = renewed
            logger.info("Renewed the certificate")
        except (OSError, StateError):
            logger.exception("The certificate could not be renewed, which is tried again")

    config = uvicorn.Config(
        RefuseWhenLost(create_app(runtime), locked.is_lost, locked.loss),
        ssl_certfile=certificates.server,
        ssl_keyfile=certificates.server,
        loop="asyncio",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        callback_notify=renew_certificate,
        timeout_notify=CERTIFICATE_CHECK_SECONDS,
        timeout_graceful_shutdown=5,
    )

    def started() -> None:
        endpoint = Endpoint(
            url=runtime.url,
            api_key=runtime.secrets.api_key,
            project_id=runtime.secrets.project_id,
            ca_bundle=str(certificates.ca_bundle),
            pid=os.getpid(),
            models=tuple(runtime.cards),
        )
        locked.publish(endpoint)
        runtime.jobs.start()
        logger.info("Serving %s at %s", ", ".join(endpoint.models), endpoint.url)
        # The first question need not wait for the model then; one that cannot be loaded is told to whoever asks.
        threading.Thread(target=runtime.engine.warm_up, name="warm-up", daemon=True).start()
        on_started(endpoint)

    server = Server(config, started)
    _end_on_signals(server)
    server.run(sockets=[listener])
    logger.info("Stopped")


def _end_on_signals(server: Server) -> None:
    # Also before uvicorn listens to signals, and after its shutdown, when it raises them again: by default the second
    # would end the process before its clean-up.
    with suppress(ValueError):  # not in the main thread, where no signal arrives
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, server.handle_exit)
