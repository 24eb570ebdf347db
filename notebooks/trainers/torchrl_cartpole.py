"""TorchRL checks a served environment against its own rules, and rolls out a policy on many lanes.

pip install 'openenv-gym[classic]' torchrl
python torchrl_cartpole.py
"""

import argparse
import json

import gymnasium as gym
import torch
from tensordict.nn import TensorDictModule
from torchrl.envs import GymWrapper, check_env_specs
from torchrl.modules import OneHotCategorical, ProbabilisticActor

import openenv_gym  # registers openenv/gym

parser = argparse.ArgumentParser(description="TorchRL on a served CartPole.")
parser.add_argument("--steps", type=int, default=200, help="of each lane")
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()
torch.set_num_threads(1)
torch.manual_seed(arguments.seed)

# GymWrapper, not GymEnv: that one adds frameskip=1 to what it asks gym.make for, and the served CartPole
# has no such argument.
env = GymWrapper(gym.make("openenv/gym", env_id="CartPole-v1"))
check_env_specs(env)

# TorchRL resets lanes itself, so it prefers an autoreset mode of Disabled; SameStep works too.
envs = GymWrapper(gym.make_vec("openenv/gym", env_id="CartPole-v1", num_envs=4, autoreset_mode="Disabled"))
check_env_specs(envs)

network = torch.nn.Sequential(torch.nn.LazyLinear(32), torch.nn.Tanh(), torch.nn.LazyLinear(2))
policy = ProbabilisticActor(
    TensorDictModule(network, in_keys=["observation"], out_keys=["logits"]),
    in_keys=["logits"],
    distribution_class=OneHotCategorical,
)
envs.set_seed(arguments.seed)
with torch.no_grad():
    rollout = envs.rollout(arguments.steps, policy, break_when_any_done=False)
env.close()
envs.close()

episodes = int(rollout["next", "done"].sum())
print(rollout)
print(json.dumps({"shape": list(rollout.shape), "episodes": episodes}))
