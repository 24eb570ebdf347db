"""RLlib's PPO on a served CartPole, in one process.

RLlib's own extra pins an older Gymnasium than openenv-gym needs, but its PPO runs with the newer one. So
install Ray and the rest of the extra by name:

pip install 'openenv-gym[classic]' torch ray dm-tree lz4 ormsgpack pandas pyarrow scipy tensorboardX
python rllib_cartpole.py
"""

import argparse
import json
import os

# Before the import: Ray reports its use to its makers unless told not to, and its own servers listen on
# all addresses of the machine unless it is denied a cluster; the second variable is that of other systems.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")

import gymnasium as gym
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env

import openenv_gym  # registers openenv/gym

parser = argparse.ArgumentParser(description="RLlib's PPO on a served CartPole.")
parser.add_argument("--iterations", type=int, default=1)
parser.add_argument("--batch", type=int, default=512, help="steps of each iteration")
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()

# This process plays and learns. Env runners in processes of their own would each start a server beside
# themselves, unless env_config names one that runs already: {"base_url": "http://..."}.
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
register_env("served", lambda config: gym.make("openenv/gym", **config))

config = (
    PPOConfig()
    .environment("served", env_config={"env_id": "CartPole-v1"})
    .env_runners(num_env_runners=0, num_envs_per_env_runner=4)
    .learners(num_learners=0)
    .training(train_batch_size_per_learner=arguments.batch, minibatch_size=128, num_epochs=4)
    .debugging(seed=arguments.seed)
)
algorithm = config.build_algo()
for _ in range(arguments.iterations):
    seen = algorithm.train()["env_runners"]
    print(f"{seen['num_episodes']:.0f} episodes, mean return {seen['episode_return_mean']:.1f}")
algorithm.stop()
ray.shutdown()

print(
    json.dumps(
        {
            "steps": int(seen["num_env_steps_sampled_lifetime"]),
            "mean_return": float(seen["episode_return_mean"]),
        }
    )
)
