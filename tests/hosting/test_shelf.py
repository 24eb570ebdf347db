"""Clients choose from the operator's lists; each choice is probed once, when somebody first makes it."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from openenv_gym.errors import FactoryFailed, InvalidArgument
from openenv_gym.hosting.shelf import Shelf
from openenv_gym.hosting.source import Source, open_source

SOURCE = open_source("CartPole-v1")
IDS = ("Pendulum-v1", "Acrobot-v1")
KWARGS = ("size", "flags")


class Opened:
    """Counts what is probed, and gives each a source of its own."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, dict[str, Any]]] = []

    def __call__(self, env_id: str | None, kwargs: dict[str, Any]) -> Source:
        self.asked.append((env_id, kwargs))
        return Source(SOURCE.signature, SOURCE.host, 0.0, 0.0)


def shelf(opened: Opened | None = None) -> Shelf:
    return Shelf(SOURCE, opened or Opened(), IDS, KWARGS)


@pytest.mark.parametrize(
    "config",
    [{}, {"env_id": "CartPole-v1"}, {"env_kwargs": {}}, {"render_mode": "rgb_array"}, {"env_id": None}],
)
def test_the_servers_own_environment_needs_no_probe(config: dict[str, Any]) -> None:
    opened = Opened()
    mine = shelf(opened)
    choice = mine.choose(config)
    assert mine.have(choice) is SOURCE and opened.asked == []
    assert choice.render_mode == config.get("render_mode")


def test_a_choice_is_probed_once() -> None:
    opened = Opened()
    mine = shelf(opened)
    asked = {"env_id": "Pendulum-v1", "env_kwargs": {"size": 3, "flags": [True, None, "x", {"a": 1.5}]}}
    choice = mine.choose(asked)
    assert mine.have(choice) is None
    source = mine.fetch(choice)
    assert mine.have(choice) is source and mine.fetch(mine.choose({**asked, "render_mode": "ansi"})) is source
    assert opened.asked == [("Pendulum-v1", asked["env_kwargs"])]


def test_values_that_python_finds_equal_are_different_choices() -> None:
    opened = Opened()
    mine = shelf(opened)
    for value in (1, 1.0, True, "1"):
        mine.fetch(mine.choose({"env_kwargs": {"size": value}}))
    mine.fetch(mine.choose({"env_kwargs": {"flags": 0, "size": 1}}))
    mine.fetch(mine.choose({"env_kwargs": {"size": 1, "flags": 0}}))
    assert len(opened.asked) == 5


def test_the_oldest_choice_is_forgotten() -> None:
    opened = Opened()
    mine = shelf(opened)
    choices = [mine.choose({"env_kwargs": {"size": size}}) for size in range(33)]
    for choice in choices[:32]:
        mine.fetch(choice)
    assert mine.have(choices[0]) is not None  # and now it is the newest
    mine.fetch(choices[32])
    assert mine.have(choices[0]) is not None and mine.have(choices[1]) is None
    mine.fetch(choices[1])
    assert len(opened.asked) == 34


def test_who_asks_meanwhile_waits_for_the_same_probe() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Opened):
        def __call__(self, env_id: str | None, kwargs: dict[str, Any]) -> Source:
            begun.set()
            assert go_on.wait(10)
            return super().__call__(env_id, kwargs)

    opened = Slow()
    mine = shelf(opened)
    choice = mine.choose({"env_id": "Acrobot-v1"})
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(mine.fetch, choice) for _ in range(3)]
        assert begun.wait(10)
        assert mine.have(choice) is None
        go_on.set()
        assert len({id(each.result()) for each in waiting}) == 1
    assert len(opened.asked) == 1


def test_a_probe_that_failed_is_made_again() -> None:
    class Failing(Opened):
        def __call__(self, env_id: str | None, kwargs: dict[str, Any]) -> Source:
            super().__call__(env_id, kwargs)
            raise FactoryFailed("broken", factory_name="x")

    opened = Failing()
    mine = shelf(opened)
    choice = mine.choose({"env_kwargs": {"size": 1}})
    for _ in range(2):
        with pytest.raises(FactoryFailed):
            mine.fetch(choice)
        assert mine.have(choice) is None
    assert len(opened.asked) == 2


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"env_id": "Taxi-v4"}, "CartPole-v1, Pendulum-v1, Acrobot-v1.*client_ids.*--client-id"),
        ({"env_id": "os:Env-v0"}, "it serves"),
        ({"env_id": "os:CartPole-v1"}, "it serves"),
        ({"env_id": "CartPole"}, "it serves"),
        ({"env_id": "pendulum-v1"}, "it serves"),
        ({"env_id": ""}, "it serves"),
        ({"env_id": 7}, "it serves"),
        ({"env_id": ["Pendulum-v1"]}, "it serves"),
        ({"env_kwargs": {"other": 1}}, "may not choose 'other'.*size, flags.*client_kwargs.*--client-kwarg"),
        ({"env_kwargs": {"size": 1, "render_mode": "human"}}, "may not choose 'render_mode'"),
        ({"env_kwargs": {7: 1}}, "may not choose 7"),
        ({"env_kwargs": [1]}, "names and values"),
        ({"env_kwargs": "size"}, "names and values"),
        ({"env_kwargs": {"size": math.nan}}, "plain JSON"),
        ({"env_kwargs": {"size": math.inf}}, "plain JSON"),
        ({"env_kwargs": {"size": (1, 2)}}, "plain JSON"),
        ({"env_kwargs": {"size": b"x"}}, "plain JSON"),
        ({"env_kwargs": {"size": {1: 2}}}, "plain JSON"),
        ({"env_kwargs": {"size": [object()]}}, "plain JSON"),
        ({"render_mode": 3}, "a render_mode is a text"),
        ({"kwargs": {}}, "not by kwargs"),
        ({"size": 1}, "not by size"),
    ],
)
def test_what_is_on_no_list_is_refused(config: dict[str, Any], said: str) -> None:
    opened = Opened()
    with pytest.raises(InvalidArgument, match=said):
        shelf(opened).choose(config)
    assert opened.asked == []


def test_a_value_that_is_nested_too_deep_is_refused() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidArgument, match="plain JSON"):
        shelf().choose({"env_kwargs": {"size": deep}})


@pytest.mark.parametrize("bad", ["os:Env-v0", ":", "", 7])
def test_an_id_that_names_a_module_is_never_offered(bad: Any) -> None:
    with pytest.raises(InvalidArgument, match="--import"):
        Shelf(SOURCE, Opened(), [bad])


def test_an_id_that_nobody_registered_is_not_offered() -> None:
    with pytest.raises(FactoryFailed, match="Nope-v1"):
        Shelf(SOURCE, Opened(), ["Nope-v1"])


@pytest.mark.parametrize("name", ["render_mode", "num_envs", "id", "disable_env_checker"])
def test_the_bridges_own_arguments_are_never_offered(name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        Shelf(SOURCE, Opened(), (), [name])
