"""Stand for a program that an interpreter which is awake runs: pass signals on, and end as it ends.

``python relay.py SOCKET ARGV...``; ``awake.py`` is at the other end. Imports little: it is started for each
program.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import sys


def main() -> None:
    """Send the program, and wait for its end."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: connection.sendall(bytes([number])))
    program = {"argv": sys.argv[2:], "cwd": os.getcwd(), "environ": dict(os.environ)}
    line = json.dumps(program).encode() + b"\n"
    streams = array.array("i", [0, 1, 2])
    sent = connection.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    connection.sendall(line[sent:])
    code = os.waitstatus_to_exitcode(int(connection.recv(16) or signal.SIGKILL))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
