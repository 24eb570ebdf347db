"""The child process that a session's environment lives in; see :mod:`openenv_gym.server.isolation`.

It does what comes over its pipe, one request after the other, and ends when the pipe does. Its
imports are what it costs to start: Gymnasium's, and little more.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from openenv_gym.errors import LayoutMismatch, OpenEnvGymError
from openenv_gym.hosting.contract import FAILURES, HostedEnv, raised
from openenv_gym.server.channel import Channel
from openenv_gym.spaces import Kind, compile_writer, layout_of
from openenv_gym.types import Phase, Signature

__all__ = ["Recorder", "main"]

_PR_SET_PDEATHSIG = 1


class Recorder:
    """An ``Out`` that keeps what is put, pickled at once, for the server to put where it belongs.

    It refuses what the layout cannot hold where the environment is, so that a lane fails here as it
    does in the server's own process.
    """

    def __init__(self, signature: Signature) -> None:
        self.puts: list[bytes] = []
        alone = len(signature.observation_spaces) == 1 and not signature.vector
        layout = layout_of(signature.observation_spaces[0]) if alone else None
        self._write: Callable[[int, Any], bool] | None = None
        if layout is not None:
            columns = layout.views(bytearray(layout.nbytes(1)), 1)
            self._write = compile_writer(layout, columns, tuple(map(Kind, signature.kinds)))

    def put(self, lane: int, phase: int, observation: Any, /, *rest: Any) -> None:
        """One row."""
        if self._write is not None:  # so there is one agent, and each of its rows is observed
            self._write(0, observation)
        self._keep("put", lane, int(phase), observation, *rest)

    def put_batch(
        self,
        observation: Any,
        reward: Any = None,
        terminated: Any = None,
        truncated: Any = None,
        info: dict[str, Any] | None = None,
        phase: Any = Phase.STEP,
    ) -> None:
        """All lanes at once."""
        self._keep("put_batch", observation, reward, terminated, truncated, info, phase)

    def fail(self, lane: int, error: OpenEnvGymError, agent: int = 0, *, final: bool = False) -> None:
        """A lane failed."""
        self._keep("fail", lane, error, agent, final=final)

    def flush(self) -> None:
        """All rows go together."""

    def _keep(self, name: str, *args: Any, **names: Any) -> None:
        self.puts.append(_pickled((name, args, names)))


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except FAILURES as error:  # of whatever the environment's own objects do when they are pickled
        raise LayoutMismatch(
            f"the environment returned what cannot leave its process: {error}; "
            "serve it with isolation='thread'"
        ) from error


class _Child:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._hosted: HostedEnv | None = None
        self._recorder: Recorder | None = None

    def serve(self) -> None:
        """Answer requests until the pipe ends."""
        while True:
            try:
                name, args = pickle.load(self._channel.receive())
            except EOFError:
                return
            self._channel.send(self._answer(name, args))

    def _answer(self, name: str, args: Sequence[Any]) -> list[bytes]:
        """A value or an error, and the rows that were put before it."""
        if self._recorder is not None:
            self._recorder.puts = []
        try:
            head = _pickled((self._perform(name, args), None))
        except OpenEnvGymError as error:
            head = _pickled((None, error))
        except FAILURES as error:  # a hosted environment outside of its own boundary
            head = _pickled((None, raised(error, name)))
        return [head, *(self._recorder.puts if self._recorder is not None else ())]

    def _perform(self, name: str, args: Sequence[Any]) -> Any:
        if self._hosted is None:
            return self._build(*args)
        if name in ("reset", "step"):
            return getattr(self._hosted, name)(*args, self._recorder)
        return getattr(self._hosted, name)(*args)

    def _build(self, host: bytes, signature: Signature, render_mode: str | None) -> None:
        self._hosted = pickle.loads(host)(signature, render_mode)
        self._recorder = Recorder(signature)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process with the thread that started it, even amid a step."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def main(descriptor: int, parent: int) -> None:
    """Live until the pipe ends.

    Args:
        descriptor: of this process's end of the pipe.
        parent: the process at the other end.
    """
    _die_with(parent)
    del sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends its children
    os.set_inheritable(descriptor, False)
    channel = Channel(socket.socket(fileno=descriptor))
    os.register_at_fork(after_in_child=channel.close)  # or the pipe would outlive this process
    _Child(channel).serve()
