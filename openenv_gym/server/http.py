"""The HTTP routes of OpenEnv with episodes behind them: reset, step, state, render, close, and the tasks.

Upstream builds a new environment for each request; here a session stays between them, see
:mod:`openenv_gym.server.episodes`. Every failure is typed JSON: ``{"error": {...}}``, and for a 422
pydantic's ``detail`` beside it, where upstream's clients look.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_jsonable_python
from starlette.exceptions import HTTPException as AnyHTTPException

from openenv_gym.errors import (
    CapacityReached,
    DeadlineExceeded,
    Forbidden,
    InvalidAction,
    InvalidArgument,
    InvalidJson,
    InvalidMessage,
    MessageTooLarge,
    OpenEnvGymError,
    ResetNeeded,
    Unauthorized,
    UnknownSession,
)
from openenv_gym.hosting.contract import FAILURES, raised
from openenv_gym.hosting.source import Source
from openenv_gym.server.bodies import (
    ClosedSession,
    Detail,
    Frame,
    Observed,
    ResetBody,
    SessionBody,
    StateBody,
    StepBody,
    TaskBody,
    TaskRangeBody,
    TasksBody,
    documented,
)
from openenv_gym.server.episodes import Episode, Episodes, check_same
from openenv_gym.server.threads import Aside
from openenv_gym.version import __version__
from openenv_gym.wire import plain
from openenv_gym.wire.messages import Render, Reset, State, Step

__all__ = ["answer_errors", "describe", "episode_routes", "refusal", "task_routes"]

HEADER = "X-Session-Id"
_NULLABLE = frozenset({"seed", "episode_id", "options"})
SessionHeader = Annotated[
    str | None, Header(alias=HEADER, description="The session, if the body names none.")
]
ViewQuery = Annotated[str, Query(description="The view of a new session: typed, or array.")]

_STATUS: tuple[tuple[type[OpenEnvGymError], int], ...] = (
    (InvalidAction, 422),
    (InvalidArgument, 422),
    (MessageTooLarge, 413),
    (InvalidMessage, 422),
    (Unauthorized, 401),
    (Forbidden, 403),
    (UnknownSession, 404),
    (ResetNeeded, 409),
    (CapacityReached, 503),
    (DeadlineExceeded, 504),
)


def episode_routes(episodes: Episodes, source: Source) -> APIRouter:
    """``/reset``, ``/step``, ``/state``, ``/render`` and ``/close``."""

    async def check_view(view: ViewQuery = "typed") -> None:
        source.check_view(view)

    router = APIRouter(
        tags=["Episodes"],
        responses=documented(401, 403, 404, 409, 422, 500, 503, 504),
        dependencies=[Depends(check_view)],
    )
    with_body = documented(413, 415)

    @router.post("/reset", response_model=Observed, responses=with_body, summary="Begin an episode")
    async def reset(
        body: Annotated[ResetBody, Body(default_factory=ResetBody)],
        view: ViewQuery = "typed",
        header: SessionHeader = None,
    ) -> Response:
        return await _reset(episodes, body, view, header)

    @router.post("/step", response_model=Observed, responses=with_body, summary="Take one action")
    async def step(body: StepBody, header: SessionHeader = None) -> Response:
        episode = await episodes.find(check_same(body.session_id, header))
        names = body.model_dump(exclude_unset=True, exclude={"action", "session_id"})
        text = await episodes.ask(
            episode,
            "step",
            lambda seq: Step(seq, None, [body.action], names),
            request_id=body.request_id,
            timeout=body.timeout_s,
        )
        return _observed(episode, text)

    @router.get("/state", response_model=StateBody, summary="Which episode it is, and how far into it")
    async def state(
        session_id: Annotated[str | None, Query(max_length=255)] = None, header: SessionHeader = None
    ) -> Response:
        episode = await episodes.find(check_same(session_id, header))
        return _json(await episodes.ask(episode, "state", State), episode=episode)

    @router.post(
        "/render",
        response_model=Frame,
        responses=with_body,
        summary="Render a session that was made with a render_mode",
    )
    async def render(body: SessionBody | None = None, header: SessionHeader = None) -> Response:
        episode = await episodes.find(check_same((body or SessionBody()).session_id, header))
        shown = await episodes.ask(episode, "render", Render)
        return _json({**shown, "session_id": episode.id}, episode=episode)

    @router.post("/close", response_model=ClosedSession, responses=with_body, summary="Close a session")
    async def close(body: SessionBody | None = None, header: SessionHeader = None) -> Response:
        episode = await episodes.find(check_same((body or SessionBody()).session_id, header))
        await episodes.end(episode)
        return _json({"session_id": episode.id, "closed": True})

    return router


async def _reset(episodes: Episodes, body: ResetBody, view: str, header: str | None) -> Response:
    session_id = check_same(body.session_id, header)
    asked = {"render_mode": body.render_mode, "env_id": body.env_id, "env_kwargs": body.env_kwargs}
    config = {name: value for name, value in asked.items() if value is not None}
    if session_id is None:
        episode = await episodes.begin(config, view=view, request_id=body.request_id)
    elif config:
        raise InvalidArgument(
            f"{', '.join(config)} is for a new session; leave it out, or session_id and X-Session-Id"
        )
    else:
        episode = await episodes.find(session_id)
    try:
        text = await episodes.ask(episode, "reset", partial(_message, body), request_id=body.request_id)
    except OpenEnvGymError:
        if session_id is None:  # nobody learns its id
            with suppress(UnknownSession):
                await episodes.end(episode)
        raise
    return _observed(episode, text)


def _message(body: ResetBody, seq: int) -> Reset:
    seeds: list[int | None] | None = None if body.seed is None else [body.seed]
    names = None if body.episode_id is None else [body.episode_id]
    rest: dict[str, Any] = dict(body.model_extra or {})
    rest |= {name: None for name in body.model_fields_set & _NULLABLE if getattr(body, name) is None}
    options = body.options if type(body.options) is dict else None
    if options is None and body.options is not None:
        rest["options"] = body.options
    return Reset(seq, None, seeds, options, names, rest)


def _observed(episode: Episode, text: str) -> Response:
    """The ``data`` of the dialect's message, and whose it is; over HTTP every reward is a float."""
    data = {"metadata": None, **json.loads(text)["data"], "session_id": episode.id}
    if data["reward"] is not None:
        data["reward"] = float(data["reward"])
    return _json(data, episode=episode)


def _json(content: Any, status: int = 200, *, episode: Episode | None = None) -> Response:
    # json and not starlette's JSONResponse: infos may hold halves of surrogate pairs, which UTF-8 has not.
    headers = {} if episode is None else {HEADER: episode.id}
    return Response(json.dumps(content), status, headers, "application/json")


async def describe(source: Source, aside: Aside) -> dict[str, Any]:
    """What ``/metadata`` answers.

    Args:
        source: what is served.
        aside: where a new instance of a typed environment is asked about itself.

    Raises:
        EnvironmentRaised: if the environment does not say it.
    """
    env_id = source.signature.env_id
    facts = {
        "name": env_id,
        "description": f"{env_id}, served by openenv-gym",
        "readme_content": None,
        "version": __version__,
        "author": None,
        "documentation_url": None,
    }
    consult = source.seen_as("typed").consult
    if consult is not None:
        said = await aside.run(partial(_consulted, consult, "get_metadata", lambda env: env.get_metadata()))
        facts |= said.model_dump() if hasattr(said, "model_dump") else dict(said)
    return facts


def _consulted(
    consult: Callable[..., Any],
    name: str,
    question: Callable[[Any], Any],
    known: tuple[type[Exception], ...] = (),
) -> Any:
    """What a new instance of the environment answers; all but ``known`` errors are its failure."""
    try:
        return consult(question)
    except OpenEnvGymError:
        raise
    except known:
        raise
    except FAILURES as error:  # the boundary to foreign code; sys.exit() would end the server
        raise raised(error, name) from error


def task_routes(source: Source) -> APIRouter:
    """``/list_environments``, and the tasks of an environment that has some."""
    router = APIRouter(tags=["Tasks"], responses=documented(401, 403))
    reading = documented(422, 500) | documented(404, 501, model=Detail)
    asking = reading | documented(413, 415) | documented(400, model=Detail)
    env_id, consult, aside = source.signature.env_id, source.seen_as("typed").consult, Aside("tasks")

    async def ask(env_name: str, method: str, *args: Any) -> Any:
        if env_name.lower() != env_id.lower():
            raise HTTPException(404, f"unknown environment {env_name!r}")

        def question(env: Any) -> Any:
            if not callable(getattr(env, method, None)):
                raise NotImplementedError
            return getattr(env, method)(*args)

        try:
            if consult is None:
                raise NotImplementedError
            answer = await aside.run(
                partial(_consulted, consult, method, question, (NotImplementedError, IndexError))
            )
        except NotImplementedError as error:
            raise HTTPException(501, f"{method} is not supported for this environment") from error
        except IndexError as error:
            raise HTTPException(400, "Invalid task index") from error
        return to_jsonable_python(answer, fallback=_plain, inf_nan_mode="null")

    @router.get("/list_environments", summary="The one environment that is served here")
    async def list_environments() -> list[str]:
        return [env_id]

    # An id may hold a slash, as ALE/Pong-v5 does.
    @router.get(
        "/{env_name:path}/splits", responses=reading, summary="The splits of its tasks; 501 if it has none"
    )
    async def splits(env_name: str) -> list[dict[str, Any]]:
        return [_split(split) for split in await ask(env_name, "list_splits")]

    @router.post("/{env_name:path}/tasks", responses=asking, summary="The tasks of a split")
    async def tasks(env_name: str, body: TasksBody) -> dict[str, Any]:
        return {"tasks": await ask(env_name, "list_tasks", body.split), "env_name": env_id}

    @router.post("/{env_name:path}/num_tasks", responses=asking, summary="How many tasks a split has")
    async def num_tasks(env_name: str, body: TasksBody) -> dict[str, Any]:
        return {"num_tasks": await ask(env_name, "num_tasks", body.split)}

    @router.post("/{env_name:path}/task", responses=asking, summary="One task of a split")
    async def task(env_name: str, body: TaskBody) -> dict[str, Any]:
        return {"task": await ask(env_name, "get_task", body.split, body.index)}

    @router.post("/{env_name:path}/task_range", responses=asking, summary="Some tasks of a split")
    async def task_range(env_name: str, body: TaskRangeBody) -> dict[str, Any]:
        return {"tasks": await ask(env_name, "get_task_range", body.split, body.start, body.stop)}

    return router


def _plain(value: Any) -> Any:
    """What pydantic does not know: an object's attributes, else its text."""
    return vars(value) if hasattr(value, "__dict__") else str(value)


def _split(split: Any) -> dict[str, Any]:
    """A split as OpenEnv describes it; a mere name says its type only if it is one of the usual."""
    if isinstance(split, dict):
        return split
    usual = split in ("train", "validation", "test")
    return {"name": str(split), "type": split if usual else "validation"}


def answer_errors(app: FastAPI) -> None:
    """Have every typed error, and every body that does not fit, answered with typed JSON."""

    @app.exception_handler(OpenEnvGymError)
    async def typed(request: Request, error: OpenEnvGymError) -> Response:
        return refusal(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return refusal(InvalidMessage("the request does not fit; see detail", errors=list(error.errors())))

    @app.exception_handler(AnyHTTPException)
    async def refused(request: Request, error: AnyHTTPException) -> Response:
        # FastAPI's word for a body with bytes that are no UTF-8, or a number of too many digits.
        if isinstance(error.__cause__, ValueError):
            return refusal(InvalidJson(f"the body is not JSON: {error.__cause__}"), 422)
        return await http_exception_handler(request, error)


def refusal(error: OpenEnvGymError, status: int | None = None) -> Response:
    """The answer that says a typed error, with its own status or another."""
    if status is None:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    fields = dict(error.fields)
    complaints = fields.pop("errors", None)
    if isinstance(error, CapacityReached):
        fields.setdefault("active_sessions", fields.get("active_lanes"))
        fields.setdefault("max_sessions", fields.get("max_lanes"))
    facts = {
        "code": error.openenv_code,
        "error_code": error.code,
        "message": error.message,
        "side": str(error.side),
        "fields": plain.describe(fields)[0],
    }
    content: dict[str, Any] = {"error": facts}
    if status == 422:
        general = {"type": "value_error", "loc": ["body"], "msg": error.message}
        content["detail"] = [_sayable(complaint) for complaint in complaints or [general]]
    return _json(content, status)


def _sayable(complaint: dict[str, Any]) -> Any:
    """A complaint that JSON can hold, without the input where that is nested too deep to be repeated."""
    try:
        return json.loads(json.dumps(plain.describe(complaint)[0]))
    except RecursionError:
        return {name: complaint[name] for name in ("type", "loc", "msg")}
