"""What HTTP requests and answers look like, for FastAPI to check and for ``/docs`` to show."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ClosedSession",
    "Detail",
    "ErrorBody",
    "ErrorFacts",
    "Frame",
    "JsonRpcAnswer",
    "JsonRpcRequest",
    "Observed",
    "ResetBody",
    "SessionBody",
    "StateBody",
    "StepBody",
    "TaskBody",
    "TaskRangeBody",
    "TasksBody",
    "documented",
]

_SESSION = (
    "The session that is meant; else the header X-Session-Id, else the session of the last reset without."
)
_REQUEST = (
    "Makes a retry safe: the same id in the same session gets the same answer, and nothing is done twice."
)


class SessionBody(BaseModel):
    """Which session is meant."""

    session_id: str | None = Field(default=None, max_length=255, description=_SESSION)


class ResetBody(SessionBody):
    """Begin an episode, in a new session or in the one that is named.

    Further names are arguments of a typed environment's reset; others drop them.
    """

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{}, {"seed": 42}, {"seed": 42, "episode_id": "evaluation-1"}]},
    )

    seed: int | None = Field(default=None, ge=0, description="For the environment's random state.")
    episode_id: str | None = Field(
        default=None, max_length=255, description="What /state will call the episode."
    )
    options: Any = Field(
        default=None, description="For the environment's own reset: an object, unless it says otherwise."
    )
    render_mode: str | None = Field(
        default=None, description="Of a new session, for /render: ansi, rgb_array, ..."
    )
    env_id: str | None = Field(
        default=None, description="Of a new session: an id that the server's operator offers."
    )
    env_kwargs: dict[str, Any] | None = Field(
        default=None, description="Of a new session: constructor arguments that the operator lets you choose."
    )
    request_id: str | None = Field(default=None, max_length=255, description=_REQUEST)


class StepBody(SessionBody):
    """Take one action.

    Further names, and ``timeout_s`` and ``request_id``, are arguments of a typed environment's step if it
    takes them; others drop them.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"action": {"action": 1}}]})

    action: dict[str, Any] = Field(description="The fields that /schema shows under action.")
    timeout_s: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Past it the step fails and its session is over."
    )
    request_id: str | None = Field(default=None, max_length=255, description=_REQUEST)


class Observed(BaseModel):
    """What an action led to; a reset's reward is 0."""

    observation: dict[str, Any] = Field(description="The fields that /schema shows under observation.")
    reward: float | None = Field(description="null where the reward is no finite number.")
    done: bool
    metadata: dict[str, Any] | None = Field(
        default=None, description="terminated, truncated, info and its types."
    )
    session_id: str


class StateBody(BaseModel):
    """Where a session is."""

    model_config = ConfigDict(extra="allow")

    episode_id: str | None = None
    step_count: int = Field(default=0, ge=0)


class Frame(BaseModel):
    """What an environment renders."""

    frame: Any = Field(description="Text, or nested lists of numbers.")
    render_mode: str
    types: dict[str, Any] | None = Field(
        default=None, description="dtype and shape, where frame is an array."
    )
    session_id: str


class ClosedSession(BaseModel):
    """The session that was closed."""

    session_id: str
    closed: Literal[True] = True


class ErrorFacts(BaseModel):
    """What failed."""

    code: str = Field(description="OpenEnv's code.")
    error_code: str = Field(description="The finer code of openenv-gym, one for each class of errors.")
    message: str
    side: str = Field(description="Whose fault it is: you, peer, world or environment.")
    fields: dict[str, Any]


class ErrorBody(BaseModel):
    """A typed error; a 422 has pydantic's list of complaints beside it."""

    error: ErrorFacts
    detail: list[dict[str, Any]] | None = None


class Detail(BaseModel):
    """What the task routes refuse with, as upstream does."""

    detail: str


class TasksBody(BaseModel):
    """A split of an environment's tasks."""

    model_config = ConfigDict(extra="forbid")

    split: str


class TaskBody(TasksBody):
    """One task of a split."""

    index: int


class TaskRangeBody(TasksBody):
    """Some tasks of a split."""

    start: int | None = None
    stop: int | None = None


class JsonRpcRequest(BaseModel):
    """A JSON-RPC 2.0 request; https://www.jsonrpc.org/specification#request_object."""

    model_config = ConfigDict(extra="forbid")

    jsonrpc: Literal["2.0"]
    method: str
    params: dict[str, Any] = Field(default_factory=dict)
    id: str | int | None = None


class JsonRpcError(BaseModel):
    """What is wrong with a JSON-RPC request."""

    code: int
    message: str
    data: Any = None


class JsonRpcAnswer(BaseModel):
    """A result or an error, whatever the request was; the status is always 200."""

    jsonrpc: Literal["2.0"]
    id: str | int | None
    result: dict[str, Any] | None = None
    error: JsonRpcError | None = None


_WHY = {
    400: "There is no such task.",
    401: "No token was shown, or a wrong one.",
    403: "The Host or Origin of the request is not allowed.",
    404: "There is no such session, or no such environment.",
    409: "A step before the first reset, or after the end of an episode.",
    413: "The body is longer than max_message_bytes; nothing was done.",
    415: "The body is not declared as JSON.",
    422: "The request does not fit; nothing was done.",
    500: "The environment failed.",
    501: "The environment has no such tasks.",
    503: "The server is full.",
    504: "The step took longer than timeout_s, or than step_timeout; its session is over.",
}


def documented(*statuses: int, model: type[BaseModel] = ErrorBody) -> dict[int | str, dict[str, Any]]:
    """How a route says in the OpenAPI document with which statuses it may refuse, and in which form."""
    return {status: {"model": model, "description": _WHY[status]} for status in statuses}
