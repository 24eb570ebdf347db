"""``python -m openenv_gym`` is ``openenv-gym``."""

from openenv_gym.cli import main

if __name__ == "__main__":
    main()
