"""Stable-Baselines3's PPO learns CartPole behind a server; nothing of SB3 knows that there is one.

pip install 'openenv-gym[classic,trainers]'
python sb3_cartpole.py
"""

import argparse
import json

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

import openenv_gym  # registers openenv/gym

parser = argparse.ArgumentParser(description="PPO of Stable-Baselines3 on a served CartPole.")
parser.add_argument("--steps", type=int, default=30_000)
parser.add_argument("--episodes", type=int, default=20, help="of the evaluation")
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()

# So small a network is quickest on one thread.
torch.set_num_threads(1)

# `openenv/gym` is an id like any other; what it serves is an argument. A server starts by itself and all
# eight environments are sessions of it. One that runs already is named with base_url="http://...".
# SB3 asks for rgb_array frames unless told otherwise, and sessions that may draw cost more.
served = {"env_id": "CartPole-v1", "render_mode": None}
envs = make_vec_env("openenv/gym", n_envs=8, seed=arguments.seed, env_kwargs=served)

# Few steps between updates, many epochs on each, and both rates go down to zero.
model = PPO(
    "MlpPolicy",
    envs,
    n_steps=32,
    batch_size=256,
    n_epochs=20,
    gamma=0.98,
    gae_lambda=0.8,
    learning_rate=lambda remaining: 1e-3 * remaining,
    clip_range=lambda remaining: 0.2 * remaining,
    seed=arguments.seed,
    device="cpu",
)
model.learn(arguments.steps)
envs.close()

# Environments of its own, through the bridge as well; 500 is the most that an episode can give.
judge = make_vec_env("openenv/gym", n_envs=10, seed=1_000, env_kwargs=served)
mean, spread = evaluate_policy(model, judge, n_eval_episodes=arguments.episodes)
judge.close()

print(f"mean return over {arguments.episodes} episodes: {mean:.1f} +/- {spread:.1f}")
print(json.dumps({"steps": model.num_timesteps, "mean_return": float(mean), "spread": float(spread)}))
