"""Served environments, one folder each; import them as ``openenv_gym.servers.<name>``.

May import everything of the package except ``cli`` and ``testing``. Nothing below imports a server.
"""
