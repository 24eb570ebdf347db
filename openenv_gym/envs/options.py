"""What a caller asks of a server, whichever face it is for, and the hello that says it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from openenv_gym.client.pages import fetch_json
from openenv_gym.client.proxies import ProxyChoice
from openenv_gym.client.resuming import RESUME_SECONDS
from openenv_gym.errors import InvalidArgument
from openenv_gym.types import AUTORESET_MODES, ON_FAILURE
from openenv_gym.version import __version__
from openenv_gym.wire.messages import Hello

__all__ = ["Options", "hello_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a caller asks of a server, whichever face it is for."""

    dialect: str | None = None
    """``native``, ``json`` or ``None`` for the best that the server has."""
    render_mode: str | None = None
    """How the session renders."""
    env_id: str | None = None
    """Which of the server's environments; ``None``: the one that it was started with."""
    env_kwargs: Mapping[str, Any] | None = None
    """Constructor arguments."""
    headers: dict[str, str] | None = field(default=None, repr=False)
    """To send with each request."""
    timeout: float | None = None
    """Seconds to wait for an answer."""
    ssl_context: ssl.SSLContext | None = None
    """How to speak TLS."""
    proxy: ProxyChoice = True
    """What to go through."""
    connect_timeout: float | None = 10.0
    """Seconds to wait for a connection."""
    wait_timeout: float | None = 10.0
    """Seconds to wait for a server that is starting."""
    resume_timeout: float | None = RESUME_SECONDS
    """Seconds to try to go on when the connection breaks."""
    strict: bool = False
    """Whether a server that breaks its promises is an error, and not only warned about."""
    beside: int = 0
    """How many other servers are asked at the same time."""
    on_failure: str = "raise"
    """Whether a lane that fails is the caller's to reset, or restarts."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, by name."""
        if not (self.env_kwargs is None or isinstance(self.env_kwargs, Mapping)):
            raise InvalidArgument(
                f"env_kwargs are names and values, {{'continuous': True}}, not {self.env_kwargs!r:.40}"
            )
        if self.on_failure not in ON_FAILURE:
            raise InvalidArgument(
                f"on_failure is {' or '.join(map(repr, ON_FAILURE))}, not {self.on_failure!r:.40}"
            )

    @property
    def connection(self) -> dict[str, Any]:
        """How a client is to reach the server, as the arguments of its ``to``."""
        return {
            "dialect": self.dialect,
            "headers": self.headers,
            "ssl_context": self.ssl_context,
            "proxy": self.proxy,
            "connect_timeout": self.connect_timeout,
            "wait_timeout": self.wait_timeout,
            "resume_timeout": self.resume_timeout,
            "beside": self.beside,
        }

    def fetcher(self, url: str) -> Callable[[str], dict[str, Any]]:
        """Gets the server's pages, in the way in which a client reaches it."""
        return partial(
            fetch_json,
            url,
            headers=self.headers,
            ssl_context=self.ssl_context,
            proxy=self.proxy,
            timeout=self.connect_timeout,
        )

    @property
    def config(self) -> dict[str, Any]:
        """What a hello says of it."""
        asked = {
            "render_mode": self.render_mode,
            "env_id": self.env_id,
            "env_kwargs": dict(self.env_kwargs) if self.env_kwargs else None,
        }
        return {name: value for name, value in asked.items() if value is not None}


def hello_for(lanes: int, autoreset: str, *, exact: bool, options: Options, early: bool = False) -> Hello:
    """The hello of a session, if its arguments can be.

    Raises:
        InvalidArgument: if they cannot.
    """
    if autoreset not in AUTORESET_MODES:
        raise InvalidArgument(f"autoreset_mode is one of {', '.join(AUTORESET_MODES)}, not {autoreset!r:.40}")
    if type(lanes) is not int or lanes < 1:
        raise InvalidArgument(f"num_envs is a whole number of at least 1, not {lanes!r:.40}")
    if options.dialect not in (None, "native", "json"):
        raise InvalidArgument(f"dialect is 'native', 'json' or None, not {options.dialect!r:.40}")
    return Hello(
        lanes=lanes,
        autoreset=autoreset,
        exact=exact,
        config=options.config,
        client=f"openenv-gym {__version__}",
        early=early,
        on_failure=options.on_failure,
    )
