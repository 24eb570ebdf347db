"""What happens at a server's limits: full, a message too large, JSON nested too deep."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from openenv_gym.testing.findings import Failed, Lacking, Skipped, shown
from openenv_gym.testing.registry import check
from openenv_gym.testing.sessions import Full, Session
from openenv_gym.testing.target import Target

MOST_SESSIONS = 3
LARGE = 17 * 2**20
"""Bytes; above the 16 MiB of a stock server."""
DEEP = 100_000


@check
def capacity(target: Target) -> str:
    """A full server says CAPACITY_REACHED with both numbers; code 1000."""
    with ExitStack() as stack:
        stack.enter_context(target.session())
        for _ in range(MOST_SESSIONS - 1):
            session = stack.enter_context(target.connect())
            try:
                session.ask({"type": "state"})
            except Full as full:
                return _said(full.evidence["data"], session)
    raise Skipped(f"the server is not full with {MOST_SESSIONS} sessions; more are not tried")


def _said(data: dict[str, Any], session: Session) -> str:
    numbers = [data.get(name) for name in ("active_sessions", "max_sessions")]
    if any(type(number) is not int for number in numbers):
        raise Failed("CAPACITY_REACHED comes without active_sessions and max_sessions", data)
    code = session.closing_code()
    if code != 1000:
        raise Failed(f"a full server closes with {code}; 1000 was expected")
    return f"{numbers[0]} of {numbers[1]} sessions"


@check
def large_message(target: Target) -> str:
    """17 MiB in a message are answered or end its session; the server goes on."""
    return _survives(target, '{"type":"no-such-type","pad":"' + "x" * LARGE + '"}', "a message of 17 MiB")


@check
def deep_message(target: Target) -> str:
    """JSON nested 100,000 deep is refused; the session goes on."""
    text = '{"type":"step","data":' + "[" * DEEP + "]" * DEEP + "}"
    said = _survives(target, text, "deeply nested JSON")
    if not said.startswith("refused"):
        raise Lacking(f"deeply nested JSON costs its sender the session: {said}")
    return said


def _survives(target: Target, text: str, what: str) -> str:
    """How a hostile message ends; a new session must be possible afterwards."""
    with target.session() as session:
        session.send(text)
        said = _end_of(session, what)
    try:
        with target.session() as session:
            session.reset()
    except (Failed, Full) as failed:
        raise Failed(f"after {what} the server takes no new session: {failed}") from failed
    return said


def _end_of(session: Session, what: str) -> str:
    try:
        answer = session.receive()
    except Failed as failed:
        if session.closed_with is None:
            raise Failed(f"{what}: {failed}", failed.evidence) from failed
        # 1009 says that it was too big. A connection that is closed while the rest is still being
        # sent may also be reset before the code arrives.
        return f"the connection is closed with {session.closed_with}"
    data = answer.get("data")
    if answer.get("type") != "error" or type(data) is not dict:
        raise Failed(f"{what} is not answered with an error", shown(answer))
    try:
        session.state()
    except Failed:
        return f"{data.get('code')}, and the session ends"
    return f"refused with {data.get('code')}"
