"""sb3-contrib's MaskablePPO plays chess behind a server, and never tries a move that is not legal.

pip install 'openenv-gym[chess,trainers]'
python maskable_chess.py
python maskable_chess.py --unmasked       without the masks each game is lost by an illegal move, soon
"""

import argparse
import json

import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

import openenv_gym  # registers openenv/chess


class Games(BaseCallback):
    """Counts the games that end, by how they end."""

    def __init__(self):
        super().__init__()
        self.endings = {}

    def _on_step(self):
        for done, info in zip(self.locals["dones"], self.locals["infos"], strict=True):
            if done:
                # `termination` says why: checkmate, stalemate, ... or illegal_move, which loses the game.
                ending = info["termination"]
                self.endings[ending] = self.endings.get(ending, 0) + 1
        return True


parser = argparse.ArgumentParser(description="MaskablePPO of sb3-contrib on a served game of chess.")
parser.add_argument("--steps", type=int, default=4_000)
parser.add_argument("--unmasked", action="store_true", help="do without the masks, to see what they do")
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()
torch.set_num_threads(1)

# Of 4,672 actions some thirty are legal. The environment's action_masks() says which, and MaskablePPO asks
# it before each move; an action that is not legal would lose the game at once.
served = {"opponent": "random", "render_mode": None}
envs = make_vec_env("openenv/chess", n_envs=4, seed=arguments.seed, env_kwargs=served)

model = MaskablePPO(
    "MlpPolicy",
    envs,
    n_steps=128,
    batch_size=128,
    n_epochs=2,
    policy_kwargs={"net_arch": [32]},
    seed=arguments.seed,
    device="cpu",
)
games = Games()
model.learn(arguments.steps, callback=games, use_masking=not arguments.unmasked)
envs.close()

for ending, count in sorted(games.endings.items()):
    print(f"{count:5d} games ended by {ending}")
print(json.dumps({"steps": model.num_timesteps, "endings": games.endings}))
