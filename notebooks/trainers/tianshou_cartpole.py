"""Tianshou's PPO on its vector of served environments.

pip install 'openenv-gym[classic]' tianshou
python tianshou_cartpole.py
"""

import argparse
import json

import gymnasium as gym
import torch
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import ProbabilisticActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic

import openenv_gym  # registers openenv/gym

parser = argparse.ArgumentParser(description="Tianshou's PPO on a served CartPole.")
parser.add_argument("--epochs", type=int, default=2, help="of 1,024 steps")
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()
torch.set_num_threads(1)
torch.manual_seed(arguments.seed)

# Tianshou resets by itself the environments whose episodes have ended; they share one embedded server.
envs = DummyVectorEnv([lambda: gym.make("openenv/gym", env_id="CartPole-v1")] * 4)
envs.seed(arguments.seed)
observation_space, action_space = envs.observation_space[0], envs.action_space[0]

network = Net(state_shape=observation_space.shape, hidden_sizes=[64, 64])
policy = ProbabilisticActorPolicy(
    actor=DiscreteActor(preprocess_net=network, action_shape=action_space.n, softmax_output=False),
    dist_fn=lambda logits: torch.distributions.Categorical(logits=logits),
    action_space=action_space,
    observation_space=observation_space,
    action_scaling=False,
)
algorithm = PPO(
    policy=policy, critic=DiscreteCritic(preprocess_net=network), optim=AdamOptimizerFactory(lr=1e-3)
)
collector = Collector(algorithm, envs, VectorReplayBuffer(total_size=2_048, buffer_num=4))
result = algorithm.run_training(
    OnPolicyTrainerParams(
        training_collector=collector,
        max_epochs=arguments.epochs,
        epoch_num_steps=1_024,
        collection_step_num_env_steps=256,
        update_step_num_repetitions=4,
        batch_size=64,
        show_progress=False,
        verbose=False,
    )
)

# What it has learnt, in twenty episodes.
played = collector.collect(n_episode=20, reset_before_collect=True)
envs.close()
print(f"mean return over 20 episodes: {played.returns_stat.mean:.1f}")
print(json.dumps({"steps": int(result.train_step), "mean_return": float(played.returns_stat.mean)}))
