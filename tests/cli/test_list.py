"""``openenv-gym list``: which ids there are, and what each needs installed."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.util import find_spec

import pytest

from openenv_gym.cli.listing import SERVERS, sections
from openenv_gym.envs import registration
from openenv_gym.hosting import families
from openenv_gym.hosting.families import FAMILIES, close_ids
from tests.cli.terminal import COLUMNS, COMMAND


def listed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "list", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": str(COLUMNS), "NO_COLOR": "1"},
    )


def test_every_family_is_shown_within_80_columns() -> None:
    ended = listed()
    assert ended.returncode == 0, ended.stderr
    for said in ("openenv/chess", "Classic control", "Toy text", "Box2D", "MuJoCo", "Atari", "CartPole-v1"):
        assert said in ended.stdout
    assert "CartPole-v0" not in ended.stdout and "others: openenv-gym list Atari" in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= COLUMNS


def test_the_list_as_json_holds_every_id() -> None:
    ended = listed("--json", "--all")
    said = json.loads(ended.stdout)
    by_name = {family["family"]: family for family in said["families"]}
    assert [server["id"] for server in said["servers"]] == list(SERVERS)
    assert {"CartPole-v0", "CartPole-v1"} <= set(by_name["Classic control"]["ids"])
    assert len(by_name["Atari"]["ids"]) > 100 and by_name["Atari"]["installed"]


def test_a_filter_that_leaves_nothing_names_what_is_close() -> None:
    ended = listed("frozen-lake")
    assert ended.returncode == 1 and ended.stdout == ""
    assert "was FrozenLake-v1 or FrozenLake8x8-v1 meant?" in ended.stderr


def test_a_filter_takes_a_part_of_an_id_or_of_a_family() -> None:
    assert [section.ids for section in sections("lunarlander-")] == [("LunarLander-v3",)]
    assert [section.name for section in sections("toy text")] == ["Toy text", "Toy text in JAX"]


def test_what_is_not_installed_comes_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "find_spec", lambda name: None if name == "Box2D" else find_spec(name))
    [box2d] = sections("Box2D")
    assert not box2d.installed and box2d.install == "openenv-gym[box2d]"


def test_games_of_pettingzoo_are_named_as_serve_takes_them() -> None:
    [games] = sections("connect_four")
    assert games.ids == ("pettingzoo.classic.connect_four_v3:env",)


def test_every_registered_server_has_its_line() -> None:
    assert SERVERS.keys() == {f"openenv/{name}" for name in registration.SERVERS}


def test_no_family_hides_another() -> None:
    prefixes = [family.modules for family in FAMILIES]
    assert len(set(prefixes)) == len(prefixes)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("cartpole", "CartPole-v1"),
        ("CartPole-v7", "CartPole-v1"),
        ("Pong-v5", "ALE/Pong-v5"),
        ("openenv/ches", "openenv/chess"),
        ("qqq", None),
    ],
)
def test_the_closest_id_is_the_newest_of_its_name(asked: str, meant: str | None) -> None:
    families.load_plugin("ALE/")
    assert next(iter(close_ids(asked)), None) == meant
