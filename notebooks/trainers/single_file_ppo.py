"""PPO in one file, in CleanRL's idiom, on served environments in either autoreset mode.

pip install 'openenv-gym[classic]' torch
python single_file_ppo.py               SyncVectorEnv of served environments, each a session
python single_file_ppo.py --lanes       one session with many lanes, about twice as fast
python single_file_ppo.py --lanes --autoreset SameStep

Same seed, same learning curve: lanes are equal to SyncVectorEnv to the bit.
"""

import argparse
import json
import time

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import nn

import openenv_gym  # registers openenv/gym

GAMMA, LAMBDA = 0.98, 0.8


def parse():
    parser = argparse.ArgumentParser(description="PPO on served environments.")
    parser.add_argument("--env-id", default="CartPole-v1")
    parser.add_argument("--lanes", action="store_true", help="gym.make_vec instead of SyncVectorEnv")
    parser.add_argument("--autoreset", choices=["NextStep", "SameStep"], default="NextStep")
    parser.add_argument("--num-envs", type=int, default=8)
    parser.add_argument("--num-steps", type=int, default=32, help="of each environment between two updates")
    parser.add_argument("--total-steps", type=int, default=24_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--minibatch", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def make_env(env_id):
    """What SyncVectorEnv wants for each of its environments: a function that builds it."""

    def thunk():
        env = gym.make("openenv/gym", env_id=env_id)
        return gym.wrappers.RecordEpisodeStatistics(env)

    return thunk


def make_envs(args):
    """Two ways to the same VectorEnv."""
    mode = AutoresetMode(args.autoreset)
    if not args.lanes:
        thunks = [make_env(args.env_id) for _ in range(args.num_envs)]
        return gym.vector.SyncVectorEnv(thunks, autoreset_mode=mode)
    envs = gym.make_vec("openenv/gym", env_id=args.env_id, num_envs=args.num_envs, autoreset_mode=mode)
    return gym.wrappers.vector.RecordEpisodeStatistics(envs)


def ended_returns(infos):
    """The returns of the episodes that have just ended."""
    if "episode" not in infos:
        # In SameStep the info is the new episode's; what the environments said last is beside it.
        infos = infos.get("final_info", {})
    return infos["episode"]["r"][infos["_episode"]].tolist() if "episode" in infos else []


def layer(inputs, outputs, gain=2**0.5):
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


class Agent(nn.Module):
    def __init__(self, envs):
        super().__init__()
        inputs = int(np.prod(envs.single_observation_space.shape))
        actions = int(envs.single_action_space.n)
        self.actor = nn.Sequential(
            layer(inputs, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, actions, 0.01)
        )
        self.critic = nn.Sequential(layer(inputs, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, 1, 1.0))

    def policy(self, observation):
        return torch.distributions.Categorical(logits=self.actor(observation), validate_args=False)

    def value(self, observation):
        return self.critic(observation).squeeze(-1)


args = parse()
torch.set_num_threads(1)
torch.manual_seed(args.seed)
envs = make_envs(args)
same_step = envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
agent = Agent(envs)
optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)

shape = (args.num_steps, args.num_envs)
observations = torch.zeros(shape + envs.single_observation_space.shape)
successors = torch.zeros_like(observations)  # what each step led to, also where an episode ended
actions, log_probs, rewards = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape), torch.zeros(shape)
terminated, ended, counts = (torch.zeros(shape, dtype=torch.bool) for _ in range(3))

started, curve = time.perf_counter(), []
observation, _ = envs.reset(seed=args.seed)
resetting = np.zeros(args.num_envs, bool)
updates = args.total_steps // (args.num_steps * args.num_envs)
for update in range(updates):
    left = 1 - update / updates
    optimizer.param_groups[0]["lr"] = left * args.learning_rate

    for step in range(args.num_steps):
        seen = torch.as_tensor(observation, dtype=torch.float32)
        with torch.no_grad():
            policy = agent.policy(seen)
            action = policy.sample()
        observations[step], actions[step], log_probs[step] = seen, action, policy.log_prob(action)

        observation, reward, terminations, truncations, infos = envs.step(action.numpy())
        curve += ended_returns(infos)
        done = terminations | truncations
        rewards[step] = torch.as_tensor(reward)
        terminated[step], ended[step] = torch.as_tensor(terminations), torch.as_tensor(done)

        # NextStep: after an episode's end the next action is ignored and its step is the reset, which
        # the agent must not learn from. SameStep has no such steps.
        counts[step] = torch.as_tensor(~resetting)
        resetting = done & (not same_step)

        # SameStep: `observation` begins the next episode already, and the last one of the episode that
        # ended is in the info. In NextStep it is `observation` itself.
        successor = observation.copy()
        if same_step:
            for env in np.flatnonzero(done):
                successor[env] = infos["final_obs"][env]
        successors[step] = torch.as_tensor(successor)

    # Generalised advantage estimation. A truncated episode goes on beyond what was seen, so its last
    # value counts; a terminated one is over. Nothing flows from one episode into the one before.
    with torch.no_grad():
        values, next_values = agent.value(observations), agent.value(successors)
    deltas = rewards + GAMMA * next_values * ~terminated - values
    advantages, advantage = torch.zeros(shape), torch.zeros(args.num_envs)
    for step in reversed(range(args.num_steps)):
        advantage = deltas[step] + GAMMA * LAMBDA * ~ended[step] * advantage
        advantages[step] = advantage

    learnt_from = counts.flatten().nonzero().squeeze(-1)
    batch = [x.flatten(0, 1) for x in (observations, actions, log_probs, advantages, advantages + values)]
    for _ in range(args.epochs):
        for rows in learnt_from[torch.randperm(len(learnt_from))].split(args.minibatch):
            seen, action, log_prob, advantage, target = (column[rows] for column in batch)
            policy = agent.policy(seen)
            ratio = (policy.log_prob(action) - log_prob).exp()
            clip = 0.2 * left
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            gain = torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
            loss = 0.5 * (agent.value(seen) - target).square().mean() - gain.mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()

    if update % 10 == 9:
        print(f"{(update + 1) * args.num_steps * args.num_envs:7d} steps, return {np.mean(curve[-20:]):6.1f}")
envs.close()
rate = updates * args.num_steps * args.num_envs / (time.perf_counter() - started)
print(f"{rate:.0f} steps a second, learning included")
print(json.dumps({"mean_return": float(np.mean(curve[-20:])), "curve": curve}))
