"""``openenv-gym play``: an environment stepped by hand, in a terminal."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from gymnasium.spaces import Discrete
from gymnasium.spaces import Text as TextSpace
from rich.console import Console
from rich.text import Text

from openenv_gym.cli.opening import import_modules, open_env, read_arguments, short_name
from openenv_gym.cli.showing import harmless, indented, picture, show_info, show_observation
from openenv_gym.envs.single import OpenEnvGym
from openenv_gym.errors import (
    CallerError,
    FactoryFailed,
    HostedError,
    InvalidAction,
    InvalidArgument,
)
from openenv_gym.spaces import legal_mask, sample_legal
from openenv_gym.wrappers.answers import Names, describe, names_of, read_action

__all__ = ["Table", "play"]

_COMMANDS = {"n": "a random legal action", "r": "reset", "?": "what may be typed", "q": "quit"}


def play(
    target: str = typer.Argument(
        metavar="ID|URL", help="FrozenLake-v1, openenv/chess, module:Class; or a server's address."
    ),
    seed: int | None = typer.Option(None, metavar="N", min=0, help="Of the first episode, and of n."),
    kwargs: str = typer.Option("{}", "--env-kwargs", metavar="JSON", help="Constructor arguments."),
    render: str | None = typer.Option(
        None, metavar="MODE", help="ansi, rgb_array or none; else ansi if it has that."
    ),
    hints: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A hint file; openenv-gym inspect URL writes one.")
    ] = None,
    plugins: list[str] = typer.Option(
        [], "--import", metavar="MODULE", help="Imported first, for it registers ids. Repeatable."
    ),
) -> None:
    """Step an environment by hand: it shows what it observes, you type what to do.

    An action is typed in the form of its space: a number or a name, numbers, text, or JSON.
    """
    arguments = read_arguments("--env-kwargs", kwargs)
    if render not in (None, "ansi", "rgb_array", "none"):
        raise InvalidArgument(f"--render is ansi, rgb_array or none, not {render!r:.40}")
    if not sys.stdin.isatty():
        raise InvalidArgument(
            "play wants a terminal to type in; openenv-gym rollout plays at random without one"
        )
    import_modules(plugins)
    if find_spec("readline") is not None:  # gives input() a history; there is none on Windows
        __import__("readline")
    env = _open(target, render, arguments, hints)
    try:
        Table(env, short_name(target), Console(highlight=False), seed).run()
    finally:
        env.close()


def _open(target: str, render: str | None, arguments: dict[str, Any], hints: Path | None) -> OpenEnvGym:
    if render not in (None, "none"):
        return open_env(target, render_mode=render, arguments=arguments, hints=hints)
    env = open_env(target, render_mode=None, arguments=arguments, hints=hints)
    if render == "none" or "ansi" not in env.metadata["render_modes"]:
        return env
    env.close()  # first, for a server may have room for one
    try:
        return open_env(target, render_mode="ansi", arguments=arguments, hints=hints)
    except (InvalidArgument, FactoryFailed):  # it says that it can, and cannot
        return open_env(target, render_mode=None, arguments=arguments, hints=hints)


class Table:
    """A player and an environment, until the player leaves.

    Args:
        env: what is played.
        name: of it.
        console: to write on.
        seed: of the first episode and of random actions.
    """

    def __init__(self, env: OpenEnvGym, name: str, console: Console, seed: int | None) -> None:
        self._env, self._name, self._console, self._seed = env, name, console, seed
        env.action_space.seed(seed)
        self._texts = isinstance(env.action_space, TextSpace)
        self._names = Names()
        self._constant: dict[int, str] | None = None
        self._info: dict[str, Any] = {}
        self._length, self._total, self._running = 0, 0.0, False

    def run(self) -> None:
        """Play until the player leaves: by ``q``, Ctrl-D or Ctrl-C."""
        self._help()
        try:
            self._reset()
            while self._command(said := input(self._prompt()).strip()) != "q":
                if said:
                    self._answer(said)
        except (EOFError, KeyboardInterrupt):
            self._console.print()
        if self._running and self._length:
            self._say(f"Left after {self._steps()}, return {self._total:.4g}.", "dim")

    def _prompt(self) -> str:
        return f"{self._name} > " if self._running else f"{self._name} (over) > "

    def _answer(self, said: str) -> None:
        """Do what was typed; what is wrong with it is said, and asked again."""
        space = self._env.action_space
        try:
            match self._command(said):
                case "r":
                    self._reset()
                case "?":
                    self._help()
                    self._say(_sentence(describe(space, self._names)))
                case "n" if self._running:
                    self._step(sample_legal(space, self._info))
                case None if self._running:
                    self._step(read_action(space, said, self._names))
                case _:
                    self._say(f"The episode is over: {self._ways_on()}.", "yellow")
        except InvalidAction as error:
            self._say(_sentence(error.message), "yellow")
        except HostedError as error:
            self._running = False
            self._say(f"{error.message.rstrip('.')}. {self._ways_on()}.", "red")

    def _command(self, said: str) -> str | None:
        """Which command was typed, if any: ``:n`` is always one, ``n`` unless an action is called so."""
        if said.startswith(":") and said[1:] in _COMMANDS:
            return said[1:]
        is_action = self._texts or said in (name.lower() for name in self._names.meanings.values())
        return said if said in _COMMANDS and not is_action else None

    def _reset(self) -> None:
        seed, self._seed = self._seed, None
        observation, self._info = self._env.reset(seed=seed)
        self._length, self._total, self._running = 0, 0.0, True
        self._show(observation)

    def _step(self, action: Any) -> None:
        observation, reward, terminated, truncated, self._info = self._env.step(action)
        self._length, self._total = self._length + 1, self._total + reward
        self._running = not (terminated or truncated)
        self._show(observation, action, reward)
        if not self._running:
            why = "terminated" if terminated else "truncated"
            self._console.print(
                Text.assemble(
                    (f"The episode is over ({why}): ", "bold"),
                    f"return {self._total:.4g} in {self._steps()}. {self._ways_on()}.",
                )
            )

    def _ways_on(self) -> str:
        """What may be typed when nothing can be played, as it must be typed here."""
        colon = ":" if self._texts else ""
        return f"{colon}r begins another, {colon}q quits"

    def _steps(self) -> str:
        return f"{self._length} step{'' if self._length == 1 else 's'}"

    def _show(self, observation: Any, action: Any = None, reward: float | None = None) -> None:
        """What is to be seen after a reset or a step, and what may be typed next."""
        env = self._env
        said = [f"\nstep {self._length}"]
        if reward is not None:
            name = self._names.of(int(action)) if isinstance(env.action_space, Discrete) else ""
            said += [f"action {name}"] if name else []
            said += [f"reward {reward:.4g}", f"return {self._total:.4g}"]
        self._say(" · ".join(said), "bold cyan")
        frame = None if env.render_mode is None else env.render()
        if isinstance(frame, str):
            shown: Any = harmless(frame.strip("\n"))
        elif frame is not None:
            shown = picture(frame, self._console)
        else:
            shown = show_observation(env.observation_space, observation, self._console)
        self._console.print(indented(shown))
        info = show_info(self._info)
        if info is not None:
            info.stylize("dim")
            self._console.print(indented(info))
        if self._running:
            self._names = Names(self._meanings(), legal_mask(env.action_space, self._info))
            self._say(_sentence(describe(env.action_space, self._names)), "dim")

    def _meanings(self) -> dict[int, str]:
        """What the actions are called: always, or as long as they are legal, if the server tells."""
        space = self._env.action_space
        if not isinstance(space, Discrete):
            return {}
        if self._constant is None:
            inference = self._env.inference
            told = () if inference is None else inference.meanings
            self._constant = names_of(told, int(space.start)) or self._ask(space, "get_action_meanings")
        return self._constant or self._ask(space, "legal_moves")

    def _ask(self, space: Discrete, name: str) -> dict[int, str]:
        try:
            said = self._env.call(name)
        except (CallerError, HostedError):
            return {}
        return names_of(said, int(space.start)) if isinstance(said, (list, tuple, dict)) else {}

    def _help(self) -> None:
        colon = ":" if self._texts else ""
        said = "   ".join(f"{colon}{command} {meaning}" for command, meaning in _COMMANDS.items())
        self._say(said, "dim")

    def _say(self, said: str, style: str = "") -> None:
        self._console.print(Text(harmless(said).plain, style=style))


def _sentence(said: str) -> str:
    return said[:1].upper() + said[1:]
