"""Runs the mien command line with every way out of the process closed."""

import socket
import sys


def _refuse(*_args: object, **_kwargs: object) -> None:
    raise OSError("the network is cut off in this check")


socket.socket.connect = _refuse  # type: ignore[method-assign]
socket.socket.connect_ex = _refuse  # type: ignore[method-assign]
socket.getaddrinfo = _refuse  # type: ignore[assignment]
socket.create_connection = _refuse  # type: ignore[assignment]

from mien.cli import main

main(sys.argv[1:])
