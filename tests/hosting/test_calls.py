"""What clients may ask an environment beside ``reset`` and ``step``."""

from __future__ import annotations

import importlib

import pytest

from openenv_gym.errors import InvalidArgument
from openenv_gym.hosting.atari import CALLS
from openenv_gym.hosting.source import open_source
from tests.environments import Counter


def test_nothing_is_offered_unless_it_is_listed() -> None:
    assert open_source(Counter).signature.calls == ()
    assert open_source(Counter, calls=["steps", "action_space.n"]).signature.calls == (
        "steps",
        "action_space.n",
    )


@pytest.mark.parametrize(
    "name", ["_steps", "__class__", "steps.__class__.mro", "spec._x", "", ".steps", "a..b", "f()", "a b"]
)
def test_what_is_not_public_cannot_be_offered(name: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot be offered the call"):
        open_source(Counter, calls=["steps", name])


@pytest.mark.parametrize("factory", [False, True])
def test_an_atari_environment_offers_what_its_wrappers_read(factory: bool) -> None:
    atari = pytest.importorskip("ale_py.env")
    importlib.import_module("ale_py")

    def build() -> object:
        return atari.AtariEnv("pong", frameskip=(2, 5))

    source = open_source(build if factory else "ALE/Pong-v5", calls=["ale.getRAM", "ale.lives"])
    signature = source.signature
    assert signature.calls == ("ale.getRAM", "ale.lives", *(name for name in CALLS if name != "ale.lives"))
    assert signature.constants == {
        "get_action_meanings": ["NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"],
        "frameskip": (2, 5) if factory else 4,
    }
    hosted = source.hosted(signature, None)
    assert hosted.call(0, "frameskip", ()) == signature.constants["frameskip"]
    assert hosted.call(None, "get_action_meanings", ()) == [signature.constants["get_action_meanings"]]
    hosted.close()
