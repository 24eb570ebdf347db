"""Gymnasium wrappers that make any environment handier; import them as ``openenv_gym.wrappers``.

They import gymnasium, numpy, ``openenv_gym.types``, ``openenv_gym.errors`` and nothing else.
"""
