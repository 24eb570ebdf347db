"""Serve the same environment classes twice: with stock OpenEnv, and with this package's ``create_app``.

Run by the stock interpreter: ``python host.py SCAFFOLD``, the directory that ``openenv init`` made. When
all servers listen, one line of JSON says where: ``{"name": [stock_url, our_url], ...}``. The process ends
when its standard input does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn
from openenv.core.env_server import create_app as stock_app

SCAFFOLD = Path(sys.argv[1])
sys.path[:0] = [str(SCAFFOLD), str(Path(__file__).parents[3])]

import worlds  # noqa: E402
from models import EchoAction, EchoObservation  # noqa: E402
from server import app as scaffold_app  # noqa: E402
from server.echo_env_environment import EchoEnvironment  # noqa: E402

import openenv_gym  # noqa: E402 - after the path

SESSIONS = 8


def serve_stock(app: Any) -> str:
    """Serve as ``uvicorn server.app:app`` does, on a free port."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


def serve_ours(app: Any) -> str:
    """Serve as ``openenv-gym serve server.app:app`` does."""
    return openenv_gym.serve_gym(app, port=0, block=False).url


def both(name: str, env: Any, sessions: int | None = SESSIONS, mode: str = "simulation") -> list[str]:
    """Serve one class by both."""
    arguments = (env, worlds.Do, worlds.Seen, name, sessions)
    return [
        serve_stock(stock_app(*arguments, state_cls=worlds.Noted, mode=mode)),
        serve_ours(openenv_gym.create_app(*arguments, state_cls=worlds.Noted, mode=mode)),
    ]


def main() -> None:
    """Serve all, say where, and wait for the end."""
    echo = (EchoEnvironment, EchoAction, EchoObservation, "echo_env", SESSIONS)
    urls = {
        "echo": [serve_stock(scaffold_app.app), serve_ours(openenv_gym.create_app(*echo))],
        "echo, production": [
            serve_stock(stock_app(*echo, mode="production")),
            serve_ours(openenv_gym.create_app(*echo, mode="production")),
        ],
        "odd": both("odd", worlds.Odd),
        "fresh": both("fresh", worlds.Odd),
        "async": both("async", worlds.OddAsync),
        "half async": both("half", worlds.HalfAsync),
        "narrow": both("narrow", worlds.Narrow),
        "unbuildable": both("unbuildable", worlds.Unbuildable),
        "alone": both("alone", worlds.Alone, None),
    }
    print(json.dumps(urls), flush=True)
    sys.stdin.read()
    os._exit(0)  # the servers' threads go on


if __name__ == "__main__":
    main()
