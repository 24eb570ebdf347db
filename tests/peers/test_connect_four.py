"""The stock server on which a trainer learns connect four is like the recorded one, and counts rightly."""

from __future__ import annotations

from pathlib import Path

import pytest

from openenv_gym import OpenEnvGym
from openenv_gym.spaces.inference import fingerprint
from tests import web
from tests.peers.conftest import SCRIPTS
from tests.peers.scaffold import served
from tests.recorded import capture_of, recorded
from tests.spaces.inference.reviewed import HINTS

pytestmark = pytest.mark.slow


def test_it_plays_as_the_recorded_one_and_counts_what_is_not_legal(awake_stock: Path) -> None:
    with served(awake_stock, SCRIPTS, "connect_four:app") as url:
        assert fingerprint(web.get(f"{url}/schema").json()) == fingerprint(capture_of("connect4")["schema"])
        with OpenEnvGym(url, hints=HINTS["connect4"]) as env:
            env.reset()
            for action, fields in zip(
                recorded("connect4").actions, recorded("connect4").observations[1:], strict=True
            ):
                observation, reward, terminated, _, info = env.step(action["column"])
                assert observation.tolist() == fields["board"] and (reward, terminated) == (0.0, False)
                assert {"next_player": info["next_player"]} == fields["metadata"]
            env.reset()
            ends = [env.step(column)[1:3] for column in (3, 4, 3, 4, 3, 4, 3)]
            assert ends == [(0.0, False)] * 6 + [(1.0, True)]
            env.reset()
            ends = [env.step(0)[1:3] for _ in range(7)]
            assert ends == [(0.0, False)] * 6 + [(-1.0, True)]
        moves = len(recorded("connect4").actions) + 7 + 7
        assert web.get(f"{url}/counts").json() == {"games": 3, "moves": moves, "illegal": 1}
