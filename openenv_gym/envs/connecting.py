"""The lanes of a session on a server, in the dialect that it speaks; and of another when that was lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from openenv_gym.client.early import EarlyClient
from openenv_gym.envs.described import described
from openenv_gym.envs.fields import FieldsLanes
from openenv_gym.envs.known import Spaces
from openenv_gym.envs.options import Options
from openenv_gym.envs.spread import joint_signature
from openenv_gym.errors import InvalidArgument, OpenEnvGymError
from openenv_gym.types import Signature
from openenv_gym.wire.messages import Hello

__all__ = ["check_restarts", "lanes_at", "successor"]


class _Session(Protocol):
    @property
    def signature(self) -> Signature: ...

    def close(self) -> None: ...


SessionT = TypeVar("SessionT", bound=_Session)


def lanes_at(url: str, hello: Hello, spaces: Spaces, options: Options) -> EarlyClient | FieldsLanes:
    """The lanes that a server gives, in the dialect that it speaks; in JSON where hints are to count.

    Args:
        url: of the server.
        hello: the session to ask for.
        spaces: what the caller knows of the server.
        options: what the caller asks of it.

    Raises:
        InvalidArgument: if what is asked for cannot be, or is more than the server knows.
        SpaceUnknown: if neither the server nor the caller tell what a field may hold.
    """
    if spaces.hinted:
        if options.dialect == "native":
            raise InvalidArgument(
                "hints and flatten are about the fields of the JSON dialect; leave out dialect='native'"
            )
        options = replace(options, dialect="json")

    def client(view: str | None = None) -> EarlyClient:
        return EarlyClient.to(
            url,
            hello,
            view=view,
            timeout=options.timeout,
            **options.connection,
        )

    first = client()
    try:
        if first.native:
            if options.on_failure == "restart":
                check_restarts(url, first.signature)
            return first
        found = described(url, first, hello, spaces, options)
        if found.view is not None:  # what was begun shows fields; these spaces are of another view
            first.close()
            first = client(found.view)
    except BaseException:  # Ctrl-C, too: nobody else could close it
        first.close()
        raise
    again = partial(client, found.view)
    return FieldsLanes(url, first, again, found.signature, found.translation, found.promises, found.begun)


def check_restarts(url: str, signature: Signature) -> None:
    """Make sure, by what a server says of a session, that its lanes restart as they were asked to.

    Raises:
        InvalidArgument: if they do not.
    """
    if signature.on_failure != "restart":
        raise InvalidArgument(
            f"the server at {url} is older than on_failure='restart'; leave that out, or update the server"
        )


def successor(
    url: str,
    connect: Callable[[], SessionT],
    signature: Signature,
    cause: OpenEnvGymError | None,
    check_open: Callable[[], None],
) -> SessionT:
    """A session in the place of one that was lost.

    Args:
        url: of the server, for people.
        connect: begins a session.
        signature: of the one that was lost.
        cause: how it was lost.
        check_open: raises if nobody wants one any more: another thread may close what this one waits for.

    Raises:
        OpenEnvGymError: if there is none, or what it serves is something else; ``cause`` is its cause.
    """
    try:
        check_open()
        session = connect()
        try:
            check_open()
            joint_signature([url] * 2, [signature, session.signature])
        except BaseException:  # Ctrl-C, too: nobody else could close it
            session.close()
            raise
    except OpenEnvGymError as error:
        raise error from cause
    return session
