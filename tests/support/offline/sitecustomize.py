"""Shuts the network off in each Python process that has this folder on its ``PYTHONPATH``: only this computer is there.

Python imports a module of this name when it starts. An attempt to reach another computer fails at once, and is noted in
the file that ``OFFLINE_ATTEMPTS`` names, so that one whose failure nobody minds is seen, too.
"""

import ipaddress
import os
import socket
import sys
from pathlib import Path

# What tests give as a proxy: whoever asks it wants to leave this computer. Nothing listens there.
PROXY = ("127.0.0.1", 9)
HERE = {None, "", "localhost", socket.gethostname()}


def is_here(host: object) -> bool:
    """Tell whether a host's name or address is this computer's own."""
    name = host.decode() if isinstance(host, bytes) else host
    try:
        return name in HERE or ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        return False


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Let no call leave this computer; an audit hook, which every way out of Python's sockets passes."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        target: object = arguments[0]
        leaves = not is_here(target)
    elif event in ("socket.connect", "socket.sendto"):
        target = arguments[1]
        # Other addresses than those of the internet are files.
        leaves = isinstance(target, tuple) and (target[:2] == PROXY or not is_here(target[0]))
    else:
        return
    if leaves:
        with Path(os.environ["OFFLINE_ATTEMPTS"]).open("a", encoding="utf-8") as file:
            file.write(f"{target} by {sys.argv}\n")
        raise ConnectionError(f"The network is off in this test: {target} cannot be reached.")


sys.addaudithook(refuse)
