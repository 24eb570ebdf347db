"""Messages on ``/ws``, their codes, and that a session survives its errors."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from openenv_gym.testing.findings import Failed, Skipped, shown
from openenv_gym.testing.playing import FEW, play, step
from openenv_gym.testing.registry import check
from openenv_gym.testing.sessions import Observed
from openenv_gym.testing.target import Target


@check
def reset(target: Target) -> str:
    """A reset is answered with an observation, reward and done."""
    if target.refusal is not None:
        raise target.refusal
    with target.session() as session:
        first = session.reset()
        Observed.read(session.ask({"type": "reset"}))  # its data may be left out
        return f"fields: {', '.join(first.fields) or 'none'}"


@check
def step_answer(target: Target) -> str:
    """A step is answered likewise; its observation holds neither reward nor done."""
    with target.session() as session:
        stepped = step(session, target.actor(), session.reset())
    inside = {"reward", "done"} & stepped.observation.keys()
    if inside:
        raise Failed(f"the observation holds {' and '.join(sorted(inside))}, which belong beside it")
    if type(stepped.observation.get("metadata")) is not dict:
        raise Failed("the observation holds no metadata object", shown(stepped.observation))
    return "observation, reward, done"


@check
def state(target: Target) -> str:
    """The state says episode_id and step_count."""
    with target.session() as session:
        session.reset()
        return f"fields: {', '.join(session.state())}"


@check
def strict_json(target: Target) -> str:
    """Every message is strict JSON, in which NaN and infinity are null."""
    with target.session() as session:
        play(target, session, seed=1, steps=FEW)
        texts = session.texts
    for text in texts:
        json.loads(text, parse_constant=_refuse)
    return f"{len(texts)} messages"


def _refuse(constant: str) -> NoReturn:
    raise Failed(f"a message holds {constant}, which JSON does not have and strict readers refuse")


@check
def invalid_json(target: Target) -> str:
    """What is no JSON is refused with INVALID_JSON; the session goes on."""
    return _refused(target, "{not json", "INVALID_JSON")


@check
def unknown_type(target: Target) -> str:
    """An unknown type is refused with UNKNOWN_TYPE; the session goes on."""
    return _refused(target, {"type": "no-such-type"}, "UNKNOWN_TYPE")


@check
def missing_type(target: Target) -> str:
    """A missing type is refused with UNKNOWN_TYPE; the session goes on."""
    return _refused(target, {}, "UNKNOWN_TYPE")


@check
def extra_key(target: Target) -> str:
    """An unknown key is refused with VALIDATION_ERROR; the session goes on."""
    return _refused(target, {"type": "reset", "data": {}, "no_such_key": 1}, "VALIDATION_ERROR")


@check
def step_without_data(target: Target) -> str:
    """A step without data is refused with VALIDATION_ERROR; the session goes on."""
    return _refused(target, {"type": "step"}, "VALIDATION_ERROR")


@check
def step_with_list(target: Target) -> str:
    """A step with a list is refused with VALIDATION_ERROR; the session goes on."""
    return _refused(target, {"type": "step", "data": [1]}, "VALIDATION_ERROR")


@check
def unknown_field(target: Target) -> str:
    """An unknown field is refused with VALIDATION_ERROR; nothing is stepped."""
    if target.schema.get("action", {}).get("additionalProperties") is not False:
        raise Skipped("the published action schema allows further fields")
    with target.session() as session:
        first = session.reset()
        before = session.state()["step_count"]
        action = target.actor().act(first.fields)
        said = session.refusal({"type": "step", "data": {**action, "no_such_field": 1}}, "VALIDATION_ERROR")
        _has_errors(said)
        _not_stepped(session.state()["step_count"], before)
    return "VALIDATION_ERROR"


@check
def missing_field(target: Target) -> str:
    """A missing field is refused with VALIDATION_ERROR; nothing is stepped."""
    if not target.schema.get("action", {}).get("required"):
        raise Skipped("the published action schema requires no field")
    with target.session() as session:
        session.reset()
        before = session.state()["step_count"]
        _has_errors(session.refusal({"type": "step", "data": {}}, "VALIDATION_ERROR"))
        _not_stepped(session.state()["step_count"], before)
    return "VALIDATION_ERROR"


@check
def not_an_object(target: Target) -> str:
    """JSON that is no object ends the session with SESSION_ERROR."""
    with target.session() as session:
        session.refusal("[]", "SESSION_ERROR")
        session.closing_code()
    return "SESSION_ERROR"


@check
def close(target: Target) -> str:
    """A close is answered by the end of the connection alone, code 1000."""
    with target.session() as session:
        session.send({"type": "close"})
        code = session.closing_code()
    if code != 1000:
        raise Failed(f"the connection was closed with {code}; 1000 was expected")
    return "1000"


def _refused(target: Target, message: Any, code: str) -> str:
    with target.session() as session:
        session.refusal(message, code)
        session.goes_on()
    return code


def _has_errors(said: dict[str, Any]) -> None:
    if not isinstance(said.get("errors"), list):
        raise Failed("VALIDATION_ERROR comes without a list of errors", shown(said))


def _not_stepped(after: int, before: int) -> None:
    if after != before:
        raise Failed(f"a refused action was stepped: step_count went from {before} to {after}")
