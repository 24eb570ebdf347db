"""Typed environments behind the hosting contract, ours and those that merely look like OpenEnv's."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from openenv_gym.errors import EnvironmentRaised, InvalidAction, InvalidArgument, LayoutMismatch, ResetNeeded
from openenv_gym.hosting.contract import NamedStep
from openenv_gym.hosting.models import Models
from openenv_gym.hosting.source import open_source
from openenv_gym.hosting.typed import (
    TypedLane,
    models_of,
    state_of,
    typed_source,
)
from openenv_gym.models import State
from tests.hosting.collecting import Collected
from tests.typed import Count, Counted, Counting, CountingAsync, Foreign, ForeignAsync


def lane(cls: Any, **kwargs: Any) -> TypedLane:
    return TypedLane(lambda: cls(**kwargs), typed_source(cls, Models(Count, Counted)).signature, Count)


def answered(hosted: TypedLane, *actions: int, options: dict[str, Any] | None = None) -> list[Any]:
    out = Collected()
    hosted.reset(None, [3], options, out)
    for action in actions:
        hosted.step(None, [{"by": action}], out)
    assert not out.failures
    return [row.observation for row in out.rows]


@pytest.mark.parametrize("cls", [Counting, CountingAsync, Foreign, ForeignAsync])
def test_an_episode_is_played(cls: Any) -> None:
    hosted = lane(cls)
    first, second, third = answered(hosted, 2, 5)
    assert [row["total"] for row in (first, second, third)] == [3, 5, 10]
    assert hosted.state(0, 0)["step_count"] == 2
    hosted.close()


def test_reset_is_given_what_it_takes_and_nothing_else() -> None:
    hosted = lane(Foreign)  # takes seed and start only
    assert answered(hosted, options={"start": 40, "episode_id": "e", "unknown": 1})[0]["total"] == 43
    hosted.close()
    hosted = lane(Counting)  # takes everything
    observation = answered(hosted, options={"episode_id": "e", "unknown": 1})[0]
    assert observation["metadata"] == {"unknown": 1}
    assert hosted.state(0, 0)["episode_id"] == "e"
    hosted.close()


def test_step_is_given_what_it_takes_and_nothing_else() -> None:
    class Loud(Counting):
        def step(  # type: ignore[override]
            self, action: Count, timeout_s: float | None = None, loud: bool = False
        ) -> Counted:
            return Counted(total=action.by, metadata={"timeout_s": timeout_s, "loud": loud})

    class LoudAsync(Loud):
        async def step_async(self, action: Count, timeout_s: float | None = None, **kwargs: Any) -> Counted:
            return Counted(total=action.by, metadata=kwargs)

    names = {"timeout_s": 3.0, "loud": True, "request_id": "r"}
    seen = []
    for cls in (Loud, LoudAsync):
        hosted, out = lane(cls), Collected()
        hosted.reset(None, None, None, out)
        hosted.step(None, [NamedStep({"by": 1}, names)], out)
        seen.append(out.rows[-1].observation["metadata"])
        hosted.close()
    assert seen == [{"timeout_s": 3.0, "loud": True}, {"loud": True, "request_id": "r"}]


def test_a_step_out_of_turn_is_refused_where_the_environment_wants_it() -> None:
    hosted, out = lane(Counting), Collected()
    hosted.step(None, [{"by": 1}], out)
    assert isinstance(out.failures[0], ResetNeeded)
    answered(hosted, 9)
    hosted.step(None, [{"by": 1}], out := Collected())
    assert isinstance(out.failures[0], ResetNeeded)
    hosted.close()


def test_a_foreign_environment_is_stepped_out_of_turn_as_on_its_own_server() -> None:
    hosted, out = lane(Foreign), Collected()
    hosted.step(None, [{"by": 1}], out)
    assert not out.failures
    hosted.close()


@pytest.mark.parametrize(
    ("by", "expected"), [(-1, EnvironmentRaised), (-2, LayoutMismatch)], ids=["raises", "returns None"]
)
def test_a_failing_step_is_the_environments_and_the_session_goes_on(by: int, expected: type) -> None:
    hosted, out = lane(Counting), Collected()
    hosted.reset(None, None, None, out)
    hosted.step(None, [{"by": by}], out)
    assert isinstance(out.failures[0], expected)
    answered(hosted, 1)
    hosted.close()


def test_coroutines_run_on_one_event_loop_of_the_sessions_thread() -> None:
    hosted = lane(CountingAsync)
    answered(hosted, 1, 1)
    env = hosted._env
    assert len({id(loop) for loop in env.loops}) == 1
    assert env.threads == {threading.get_ident()}
    hosted.close()
    assert env.loops[0].is_closed()
    assert asyncio.events._get_running_loop() is None


def test_models_are_read_from_the_annotations() -> None:
    models = models_of(Counting)
    assert (models.action, models.observation, models.state) == (Count, Counted, State)
    assert state_of(Foreign) is None
    assert open_source(Counting).signature.views == ("typed",)

    class Unannotated(Counting):
        def step(self, action, timeout_s=None, **kwargs):  # type: ignore[no-untyped-def]
            return super().step(action)

    with pytest.raises(InvalidArgument, match="create_app"):
        open_source(Unannotated)


def test_a_wrong_action_is_refused_with_pydantics_complaints() -> None:
    hosted, out = lane(Counting), Collected()
    hosted.reset(None, None, None, out)
    hosted.step(None, [{"by": "2"}], out)  # lax, as OpenEnv is
    with pytest.raises(InvalidAction, match="by: Input should be a valid integer") as caught:
        hosted.step(None, [{"by": "two", "extra": float("nan")}], out)
    assert [each["type"] for each in caught.value.fields["errors"]] == ["int_parsing", "extra_forbidden"]
    assert hosted.state(0, 0)["step_count"] == 1
    hosted.close()


def test_all_four_schemas_are_published() -> None:
    class First(BaseModel):
        board: str

    schemas = Models(Count, Counted, reset_observation=First).schemas()
    assert schemas["reset_observation"]["title"] == "First"
    assert {schemas[name]["title"] for name in ("action", "observation", "state")} == {
        "Count",
        "Counted",
        "State",
    }
