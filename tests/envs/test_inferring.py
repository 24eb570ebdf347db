"""How evidence is gathered from servers that differ: tools without MCP, a reset that fails, no pages."""

from __future__ import annotations

import warnings
from contextlib import closing
from typing import Any

import pytest
from gymnasium.spaces import Discrete, OneOf

from openenv_gym import OpenEnvGym, OpenEnvVectorEnv
from openenv_gym.errors import CapacityReached, EnvironmentRaised, InvalidArgument, SpaceUnknown
from openenv_gym.wrappers import LegalActions
from tests.served import eventually
from tests.testing.little import Little, Refused, Walk, running

pytestmark = pytest.mark.filterwarnings("ignore:the server at:UserWarning")

TEXT = {"type": "string"}
TOOL = {"name": "look", "inputSchema": {"type": "object", "properties": {"far": {"type": "boolean"}}}}


class Toolbox(Little):
    """Its tools are listed by a step alone."""

    def environment(self) -> Any:
        return Tooled()

    def schema(self) -> dict[str, Any]:
        verb = {"const": "call_tool", "default": "call_tool", "type": "string"}
        fields = {"type": verb, "tool_name": TEXT, "arguments": {"type": "object"}}
        answer = {"tool_name": TEXT, "result": {}, "error": {}}
        return {
            "action": {"type": "object", "properties": fields, "required": ["tool_name"]},
            "observation": {"type": "object", "properties": answer},
            "state": {},
        }

    def check_action(self, action: dict[str, Any]) -> None:
        pass


class Tooled(Walk):
    def observed(self, reward: Any) -> dict[str, Any]:
        return {"observation": {"tool_name": "", "result": None}, "reward": reward, "done": False}

    def step(self, action: dict[str, Any]) -> dict[str, Any]:
        self.steps += 1
        if action.get("type") == "list_tools":
            return {"observation": {"tools": [TOOL]}, "reward": 0.0, "done": False}
        seen = {"tool_name": action["tool_name"], "result": {"content": [{"text": str(action["arguments"])}]}}
        return {"observation": seen, "reward": 1.0, "done": False}


class Calendar(Toolbox):
    """Calls and lists them by one model, as upstream's calendar does."""

    def environment(self) -> Any:
        return Dated()

    def schema(self) -> dict[str, Any]:
        verb = {"enum": ["ListToolsAction", "ToolCallAction"], "type": "string"}
        name = {"anyOf": [TEXT, {"type": "null"}], "default": None}
        arguments = {"anyOf": [{"type": "object"}, {"type": "null"}]}
        fields = {"action_type": verb, "tool_name": name, "arguments": arguments}
        answer = {"success": {"type": "boolean"}, "tools_list": {"items": {}}, "tool_result": {}}
        return {
            "action": {"type": "object", "properties": fields, "required": ["action_type"]},
            "observation": {"type": "object", "properties": answer},
            "state": {},
        }


class Dated(Tooled):
    def observed(self, reward: Any) -> dict[str, Any]:
        seen = {"success": True, "tools_list": None, "tool_result": None}
        return {"observation": seen, "reward": reward, "done": False}

    def step(self, action: dict[str, Any]) -> dict[str, Any]:
        answer = self.observed(1.0)
        if action["action_type"] == "ListToolsAction":
            answer["observation"]["tools_list"] = [TOOL]
        else:
            said = f"{action['tool_name']} {action['arguments']}"
            answer["observation"]["tool_result"] = {"content": [{"type": "text", "text": said}]}
        return answer


class Choosy(Walk):
    def reset(self, data: dict[str, Any]) -> dict[str, Any]:
        if "seed" not in data:
            raise Refused("EXECUTION_ERROR", "reset wants a seed")
        return super().reset(data)


class OneRoom(Little):
    max_sessions = 1


class ChoosyServer(OneRoom):
    def environment(self) -> Walk:
        return Choosy()


def test_tools_that_a_step_lists_are_found_and_its_episode_is_not_played_on() -> None:
    with running(Toolbox()) as url, closing(OpenEnvGym(url)) as env:
        assert env.tools == (TOOL,)
        assert env.action_space == OneOf([Discrete(2)])
        env.reset()
        assert env.state()["step_count"] == 0


def test_tools_behind_a_verb_are_listed_and_called() -> None:
    with running(Calendar()) as url, closing(OpenEnvGym(url)) as env:
        assert env.tools == (TOOL,)
        env.reset()
        observation, _, _, _, info = env.step((0, 1))
        assert observation["tool_result"] == "look {'far': True}"
        assert info["tool_result"] == {"content": [{"type": "text", "text": "look {'far': True}"}]}


def test_a_reset_that_fails_leaves_the_schema() -> None:
    with running(ChoosyServer()) as url, closing(OpenEnvGym(url)) as env:
        assert env.action_space == Discrete(2) and env.observation_space.shape == (1,)
        assert env.reset(seed=1)[0] in env.observation_space
        with pytest.raises(EnvironmentRaised, match="reset wants a seed"):
            env.reset()
    with running(ChoosyServer()) as url, pytest.raises(SpaceUnknown) as caught:
        OpenEnvGym(url, hints={"action.move": "setting"})
    assert caught.value.__notes__[-1] == "its first reset failed: reset wants a seed"


def test_a_server_with_room_for_one_is_played_by_one() -> None:
    with running(OneRoom()) as url:
        with closing(OpenEnvGym(url)) as env:
            sent = env.stats.bytes_sent
            first, _ = env.reset()
            assert env.stats.bytes_sent == sent  # its answer was there
            assert env.reset()[0] in env.observation_space and first in env.observation_space
            assert env.stats.bytes_sent > sent
            with pytest.raises(CapacityReached):
                OpenEnvGym(url)
            assert env.step(1)[1] == 1.0


class Mines(Walk):
    """Says which fields are free by pairs, ``[row, column]``."""

    def reset(self, data: dict[str, Any]) -> dict[str, Any]:
        self.free = [[row, column] for row in (1, 2) for column in (0, 1, 2)]
        return super().reset(data)

    def step(self, action: dict[str, Any]) -> dict[str, Any]:
        self.free.remove([action["row"], action["column"]])
        return self.observed(1.0)

    def observed(self, reward: Any) -> dict[str, Any]:
        seen = {"place": self.place, "legal_actions": self.free}
        return {"observation": seen, "reward": reward, "done": not self.free}


class MinesServer(Little):
    def environment(self) -> Walk:
        return Mines()

    def check_action(self, action: dict[str, Any]) -> None:
        pass

    def schema(self) -> dict[str, Any]:
        row = {"type": "integer", "minimum": 1, "maximum": 2}
        fields = {"row": row, "column": {"type": "integer", "minimum": 0, "maximum": 2}}
        return {**super().schema(), "action": {"properties": fields, "required": ["row", "column"]}}


def test_pairs_that_tell_what_is_legal_are_masks_of_a_wrapper() -> None:
    with running(MinesServer()) as url, closing(OpenEnvGym(url)) as env:
        masked = LegalActions(env, order=["row", "column"])
        assert masked.action_space == Discrete(6)
        _, info = masked.reset()
        assert info["action_mask"].tolist() == [1] * 6
        *_, info = masked.step(4)
        assert info["action_mask"].tolist() == [1, 1, 1, 1, 0, 1]
        assert [2, 1] not in info["legal_actions"]


class Masked(Walk):
    """Says what is legal by two numbers, which could be flags."""

    def observed(self, reward: Any) -> dict[str, Any]:
        said = super().observed(reward)
        said["observation"]["action_mask"] = [0, 1]
        return said


class MaskedServer(Little):
    def environment(self) -> Walk:
        return Masked()


def test_numbers_that_could_be_flags_or_actions_are_no_mask() -> None:
    with running(MaskedServer()) as url:
        with closing(OpenEnvGym(url)) as env:
            _, info = env.reset()
            assert "action_mask" not in info and info["action_mask_as_sent"] == [0, 1]
            assert not hasattr(env, "action_masks")
        with closing(OpenEnvGym(url, hints={"action_mask": "indices"})) as env:
            assert env.reset()[1]["action_mask"].tolist() == [1, 1]


def test_actions_are_called_what_the_schema_calls_them() -> None:
    with running(Little()) as url, closing(OpenEnvGym(url)) as env:
        assert env.get_action_meanings() == ["left", "right"]


def test_a_function_without_its_space_is_refused() -> None:
    with running(OneRoom()) as url:
        with pytest.raises(InvalidArgument, match="pass action_space, too"):
            OpenEnvGym(url, encode_action=dict)


def test_a_warning_is_an_error_where_warnings_are_and_leaves_no_session() -> None:
    server = OneRoom()
    with running(server) as url, warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="does not tell its spaces"):
            OpenEnvVectorEnv(url, 1)
        assert eventually(lambda: server.sessions == 0)
