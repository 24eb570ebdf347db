"""An interpreter that has imported the stock package already: each program that it is sent runs in a fork.

Run by the stock interpreter: ``python awake.py SOCKET``. To import the package costs four CPU seconds, half
of them gradio's; to fork costs milliseconds. Whoever connects to the Unix socket sends one line of JSON,
``{"argv": ..., "cwd": ..., "environ": ...}``, and with it the three standard streams; then the numbers of
signals for the program, a byte each. He is told how the program ended, as ``waitpid`` says it, and who hangs
up kills it. The process ends when its standard input does. ``tests/peers/awake.py`` starts it.
"""

from __future__ import annotations

import array
import gc
import io
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from typing import Any

import gymnasium  # noqa: F401
import openenv.core.generic_client
import openenv.core.mcp_client  # noqa: F401
import uvicorn.protocols.http.auto
import uvicorn.protocols.websockets.auto  # noqa: F401


class Programs:
    """The programs that run, each with the connection of whoever sent it."""

    def __init__(self, listener: socket.socket) -> None:
        self._events = selectors.DefaultSelector()
        self._listener = listener
        self._running: dict[socket.socket, tuple[int, int]] = {}  # connection -> process, its descriptor
        self._events.register(listener, selectors.EVENT_READ, self._begin)
        self._events.register(sys.stdin, selectors.EVENT_READ, self._end)

    def next(self) -> dict[str, Any]:
        """Look after those that run; come back in a new process, with what it is to run."""
        while True:
            (key, _), *_ = self._events.select()  # one at a time: it may do away with the others
            if (program := key.data()) is not None:
                return program

    def _begin(self) -> dict[str, Any] | None:
        connection, _ = self._listener.accept()
        program = received(connection)
        if program is None:
            connection.close()
            return None
        process = os.fork()
        if process == 0:
            return self._become(connection, program)
        for stream in program["streams"]:
            os.close(stream)
        died = os.pidfd_open(process)
        self._running[connection] = process, died
        self._events.register(connection, selectors.EVENT_READ, lambda: self._told(connection))
        self._events.register(died, selectors.EVENT_READ, lambda: self._reap(connection))
        return None

    def _become(self, connection: socket.socket, program: dict[str, Any]) -> dict[str, Any]:
        self._events.close()
        for _, died in self._running.values():
            os.close(died)
        for each in (self._listener, connection, *self._running):
            each.close()
        return program

    def _told(self, connection: socket.socket) -> None:
        _, died = self._running[connection]
        numbers = connection.recv(64)
        for number in numbers or [signal.SIGKILL]:
            signal.pidfd_send_signal(died, number)
        if not numbers:
            self._events.unregister(connection)  # it is dead in a moment, and then reaped

    def _reap(self, connection: socket.socket) -> None:
        process, died = self._running.pop(connection)
        _, status = os.waitpid(process, 0)
        self._events.unregister(died)
        os.close(died)
        if connection in self._events.get_map():
            self._events.unregister(connection)
            connection.sendall(str(status).encode())
        connection.close()

    def _end(self) -> None:
        for process, _ in self._running.values():
            os.kill(process, signal.SIGKILL)
        os._exit(0)


def received(connection: socket.socket) -> dict[str, Any] | None:
    """What is to be run, and the streams that came with its first bytes; nothing from who hung up."""
    streams = array.array("i")
    line, ancillary, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(3 * streams.itemsize))
    for _, _, data in ancillary:
        streams.frombytes(data)
    while not line.endswith(b"\n"):
        more = connection.recv(1 << 16)
        if not more:
            return None
        line += more
    return {**json.loads(line), "streams": list(streams)}


def run(program: dict[str, Any]) -> None:
    """Do as ``python ARGV`` does: a file, ``-m`` a module, or ``-c`` a text."""
    os.setsid()
    for number, stream in enumerate(program["streams"]):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)
    sys.stdout = io.TextIOWrapper(open(1, "wb", 0, closefd=False), write_through=True)
    sys.stderr = io.TextIOWrapper(
        open(2, "wb", 0, closefd=False), None, "backslashreplace", write_through=True
    )
    os.chdir(program["cwd"])
    os.environ.clear()
    os.environ.update(program["environ"])
    first, *arguments = program["argv"]
    if first == "-m":
        sys.argv, sys.path[0] = arguments, program["cwd"]
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv, sys.path[0] = ["-c", *arguments[1:]], ""
        exec(compile(arguments[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv, sys.path[0] = program["argv"], os.path.dirname(os.path.abspath(first))
        runpy.run_path(first, run_name="__main__")


def main() -> None:
    """Wait for programs; in a fork of this process, be one, to the end of the interpreter."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        gc.collect()
        gc.freeze()  # or the first collection of each fork would copy what all of them share
        print("awake", flush=True)
        program = Programs(listener).next()
    run(program)


if __name__ == "__main__":
    main()
