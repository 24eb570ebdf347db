"""sb3-contrib's MaskablePPO learns connect four on a stock OpenEnv server, which says nothing of spaces.

pip install 'openenv-gym[trainers]'
python maskable_connect_four.py http://127.0.0.1:8000

The server is upstream's envs/connect4_env, or any with its fields. In that folder, where openenv==0.10.0 is
installed: uvicorn server.app:app
"""

import argparse
import json
import warnings

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy
from stable_baselines3.common.env_util import make_vec_env

from openenv_gym import OpenEnvGym
from openenv_gym.wrappers import LegalActions, SeatOpponent

parser = argparse.ArgumentParser(description="MaskablePPO of sb3-contrib on a stock server's connect four.")
parser.add_argument("url", help="of the server")
parser.add_argument("--steps", type=int, default=8_192)
parser.add_argument("--games", type=int, default=200, help="of an evaluation")
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()
torch.set_num_threads(1)

# SB3 seeds each environment. This server drops seeds and needs none: the opponent is drawn on this side.
warnings.filterwarnings("ignore", "the server at .* dropped the episode_id")

# What the server publishes: a column is an integer, a board lists of lists. These three lines are all that a
# person has to add; `openenv-gym inspect URL` says which.
HINTS = {
    "action.column": Discrete(7),
    "board": Box(-1, 1, (6, 7), np.int8),
    "legal_actions": "legal",
}


def game():
    env = OpenEnvGym(arguments.url, hints=HINTS, flatten=True)
    # The server wants the moves of both seats, and its metadata says whose turn it is.
    env = SeatOpponent(env, turn="next_player")
    # Tells MaskablePPO what is legal, and lets nothing else pass.
    return LegalActions(env)


# Upstream's server gives eight sessions, so the games that are judged are played in the same eight.
envs = make_vec_env(game, n_envs=8, seed=arguments.seed)
model = MaskablePPO(
    "MlpPolicy",
    envs,
    n_steps=64,
    batch_size=128,
    n_epochs=8,
    gamma=0.97,
    gae_lambda=0.8,
    learning_rate=2e-3,
    policy_kwargs={"net_arch": [64, 64]},
    seed=arguments.seed,
    device="cpu",
)


def share_of_wins():
    """Of some games, played to the end as the policy thinks best."""
    rewards, _ = evaluate_policy(model, envs, n_eval_episodes=arguments.games, return_episode_rewards=True)
    return sum(reward > 0 for reward in rewards) / len(rewards)


untrained = share_of_wins()
model.learn(arguments.steps)
trained = share_of_wins()
envs.close()

print(f"wins of the untrained policy: {untrained:.0%}; after {model.num_timesteps} steps: {trained:.0%}")
print(json.dumps({"steps": model.num_timesteps, "untrained": untrained, "wins": trained}))
