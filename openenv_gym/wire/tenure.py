"""Who has an attachment: one connection at a time, and after it is lost, the next that can claim it.

A cut may come at any byte, so neither end ever knows what the other has heard. Four things make that
harmless. The client draws a **nonce** for each session: a hello that says it again means the same session,
if the welcome was lost. The welcome gives a **token**, with which later hellos claim the attachment; the
nonce claims nothing once a request has come. The client counts its hellos, the **generation**: one
that was held up, or that comes twice, is not newer than what has come already and is refused, while
the client, whose every hello is newer, cannot lock itself out by losing welcomes. And requests are
**numbered**: after the welcome the client repeats what has no answer, in order, and the
:class:`~openenv_gym.wire.window.Window` performs each of them once. So the newest connection wins, and
the one that had the attachment is told.

Pure bookkeeping: what a tenure is for, and when it ends, is the server's affair.
"""

from __future__ import annotations

import hmac
from typing import Generic, TypeVar

from openenv_gym.errors import InvalidArgument, ServerClosed, UnknownSession
from openenv_gym.wire.messages import Hello

__all__ = ["Register", "Tenure", "taken_over"]

T = TypeVar("T")

_NONCE = range(16, 65)
_NOBODY = b"."


class Tenure(Generic[T]):
    """The right to an attachment.

    Attributes:
        token: with which it is claimed, once its holder knows it.
        nonce: with which it is claimed before; empty if the client has none.
        generation: of the newest hello that has claimed it.
        of: what it is the right to.
    """

    def __init__(self, hello: Hello, token: str, of: T) -> None:
        self.token = token
        self.nonce = hello.nonce
        self.generation = hello.generation
        self.of = of

    def claim(self, hello: Hello, received: int) -> None:
        """Let a hello have it.

        Args:
            hello: that :meth:`Register.find` has found it by.
            received: the highest number of a request that has come.

        Raises:
            ServerClosed: if a newer hello has it, or this one has no token though requests have come.
        """
        if hello.generation <= self.generation or (hello.attach is None and received):
            raise taken_over()
        self.generation = hello.generation


class Register(Generic[T]):
    """All tenures of a server, by token and by nonce."""

    def __init__(self) -> None:
        self._by_name: dict[bytes, Tenure[T]] = {}
        self._by_nonce: dict[str, Tenure[T]] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._by_name)

    def find(self, hello: Hello) -> Tenure[T] | None:
        """The tenure that a hello claims; ``None`` if it wants a session of its own.

        Raises:
            UnknownSession: if it names one that is not there.
            InvalidArgument: if its nonce is none.
        """
        if hello.attach is None:
            if hello.nonce and len(hello.nonce) not in _NONCE:
                raise InvalidArgument(
                    f"a nonce has {_NONCE[0]} to {_NONCE[-1]} characters, or none; draw it at random"
                )
            return self._by_nonce.get(hello.nonce)
        token = hello.attach.encode("utf-8", "replace")
        tenure = self._by_name.get(_name_of(token))
        if not hmac.compare_digest(token, _NOBODY if tenure is None else tenure.token.encode()):
            tenure = None
        if tenure is None:  # in the same words, whether there is such a session or not
            raise UnknownSession(
                "there is no session of that token: it has ended, or its server has; begin a new one"
            )
        return tenure

    def enter(self, tenure: Tenure[T]) -> None:
        """Have a tenure found from now on."""
        self._by_name[_name_of(tenure.token.encode())] = tenure
        if tenure.nonce:
            self._by_nonce[tenure.nonce] = tenure

    def strike(self, tenure: Tenure[T]) -> None:
        """Have it found no more; may be called twice."""
        self._by_name.pop(_name_of(tenure.token.encode()), None)
        if self._by_nonce.get(tenure.nonce) is tenure:
            del self._by_nonce[tenure.nonce]

    def all(self) -> list[Tenure[T]]:
        """All of them."""
        return list(self._by_name.values())


def taken_over() -> ServerClosed:
    """What the older of two connections with the same attachment is told."""
    return ServerClosed("a newer connection goes on with this session; this one cannot")


def _name_of(token: bytes) -> bytes:
    """The part of a token by which it is looked up; the rest is compared in constant time."""
    return token.partition(b".")[0]
