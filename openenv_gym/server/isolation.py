"""An environment in a child process of its own: what it does to its process ends its own session only.

Pickle crosses an inherited pipe between the server and its own child, and nothing else. The child
is a plain interpreter, not multiprocessing's, so that a script without a ``__main__`` guard can serve.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import cloudpickle

from openenv_gym.errors import EnvironmentDied, FactoryFailed, InvalidArgument, OpenEnvGymError
from openenv_gym.hosting.contract import HostedEnv, Out
from openenv_gym.server.channel import Channel
from openenv_gym.types import Signature, Slots

__all__ = ["InChild", "sealed"]

# The path is set before anything of ours is imported: it may be known to this interpreter alone.
_START = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from openenv_gym.server.child import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
_LAST_SECONDS = 0.5
_LOOK_SECONDS = 0.005


def sealed(host: Callable[[Signature, str | None], HostedEnv]) -> bytes:
    """What makes a hosted environment, as a child can be given it.

    Raises:
        InvalidArgument: if it holds what cannot leave this process.
    """
    try:
        sealed: bytes = cloudpickle.dumps(host)
    except Exception as error:  # whatever an object of the operator's does when it is pickled
        raise InvalidArgument(
            "isolation='process' sends what builds the environment to a child process, but it cannot be "
            f"pickled: {error}; pass an id, a class or a function that holds plain values, or "
            "isolation='thread'"
        ) from error
    return sealed


class InChild:
    """A hosted environment whose calls are done by a child process.

    Everything but :meth:`kill` belongs to one thread, which must outlive the child.

    Args:
        host: from :func:`sealed`.
        signature: of the session.
        render_mode: of the session.
    """

    def __init__(self, host: bytes, signature: Signature, render_mode: str | None) -> None:
        self.signature = signature
        self._orders = (host, signature, render_mode)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._killed = False

    def start(self) -> HostedEnv:
        """Start the child and build the environment in it.

        Raises:
            FactoryFailed: if the constructor raises, or there can be no further process.
            EnvironmentDied: if the child does not live to tell.
        """
        try:
            self._spawn()
        except OSError as error:
            name = self.signature.env_id
            raise FactoryFailed(
                f"no process for {name} could be started: {error}", factory_name=name
            ) from error
        if self._killed:  # while it was started
            self.kill()
        try:
            self._ask("construction", *self._orders)
        except BaseException:  # whatever it is: the process ends
            self._end()
            raise
        return self

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            orders = [str(theirs.fileno()), str(os.getpid()), *sys.path]
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _START, *orders],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # its own children are killed with it
                )
            except BaseException:  # whatever it is: nobody else could close it
                ours.close()
                raise
        self._channel = Channel(ours)

    def reset(
        self,
        lanes: Sequence[int] | None,
        seeds: int | Sequence[int | None] | None,
        options: dict[str, Any] | None,
        out: Out,
    ) -> None:
        """Begin episodes."""
        self._ask("reset", lanes, seeds, options, out=out)

    def step(self, slots: Slots | None, actions: Any, out: Out) -> None:
        """Take actions."""
        self._ask("step", slots, actions if self.signature.vector else list(actions), out=out)

    def observe(self, lane: int, agent: int) -> Any:
        """What a slot sees now."""
        return self._ask("observe", lane, agent)

    def state(self, lane: int, agent: int) -> dict[str, Any]:
        """What OpenEnv calls state."""
        state: dict[str, Any] = self._ask("state", lane, agent)
        return state

    def render(self, lane: int | None) -> Any:
        """A frame of one lane, or of all."""
        return self._ask("render", lane)

    def call(self, lane: int | None, name: str, args: Sequence[Any]) -> Any:
        """A method or attribute that the signature allows."""
        return self._ask("call", lane, name, args)

    def close(self) -> None:
        """Close the environment and end the child; nothing is left to do if it has died."""
        if self._channel is None:
            return
        try:
            self._ask("close")
        except EnvironmentDied:
            pass  # its session was told, or is closing anyway
        finally:
            self._end()

    def kill(self) -> None:
        """End the child at once, and with it whatever waits for its answer; from any thread."""
        self._killed = True
        process, channel = self._process, self._channel
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if channel is not None:
            channel.hang_up()

    def _ask(self, name: str, *args: Any, out: Out | None = None) -> Any:
        if self._channel is None:
            raise EnvironmentDied(
                f"the environment's process has ended before the {name}; begin a new session"
            )
        request = pickle.dumps((name, args), pickle.HIGHEST_PROTOCOL)
        try:
            self._channel.send([request])
            answer = self._channel.receive()
        except (OSError, EOFError) as error:
            raise self._died(name) from error
        value, failure = pickle.load(answer)
        if failure is not None:
            raise failure
        if out is not None:
            self._replay(answer, out)
        return value

    def _replay(self, answer: io.BytesIO, out: Out) -> None:
        """Put the rows of an answer where they belong."""
        alone = len(self.signature.agents) == 1
        while answer.tell() < answer.getbuffer().nbytes:
            name, args, names = pickle.load(answer)
            try:
                getattr(out, name)(*args, **names)
            except OpenEnvGymError as error:
                if name != "put" or not alone:
                    raise
                out.fail(args[0], error)

    def _died(self, during: str) -> EnvironmentDied:
        self._wait_a_moment()
        code = self._end()
        advice = "" if self.signature.on_failure == "restart" else "; its session is over, begin a new one"
        return EnvironmentDied(
            f"the environment's process ended during {during}, {_how(code)}{advice}",
            exit_code=code,
            during=during,
        )

    def _wait_a_moment(self) -> None:
        """Let a child that hung up end by itself, for its exit code tells why."""
        assert self._process is not None
        deadline = time.monotonic() + _LAST_SECONDS
        watched = os.WEXITED | os.WNOHANG | os.WNOWAIT  # not reaped: its number must stay its own
        while os.waitid(os.P_PID, self._process.pid, watched) is None and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)

    def _end(self) -> int:
        """Kill what is left of the child and of its children, and reap it."""
        assert self._process is not None
        self.kill()
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        return self._process.wait()


def _how(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
