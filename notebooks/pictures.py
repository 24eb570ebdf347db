"""Pictures of the command line: ``python -m notebooks.pictures`` writes ``notebooks/pictures/*.svg``.

Each runs the command in a pseudo-terminal of 80 columns, with keys pressed as a user would, and draws
what is on the screen then.
"""

import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from openenv_gym import serve_gym
from tests.cli.terminal import COLUMNS, COMMAND, Terminal, screen

FOLDER = Path(__file__).parent / "pictures"
THEME = TerminalTheme(
    (24, 26, 31),
    (220, 223, 228),
    [
        (40, 44, 52),
        (224, 108, 117),
        (152, 195, 121),
        (229, 192, 123),
        (97, 175, 239),
        (198, 120, 221),
        (86, 182, 194),
        (200, 204, 212),
    ],
    [
        (116, 124, 139),
        (240, 128, 137),
        (172, 215, 141),
        (245, 212, 143),
        (117, 195, 255),
        (218, 140, 241),
        (106, 202, 214),
        (255, 255, 255),
    ],
)
FONT = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"


def shown(*arguments: str, keys: tuple[str, ...] = ()) -> str:
    """What a command leaves on the screen, with the keys pressed at its prompts, and the command itself."""
    with Terminal([*COMMAND, *arguments]) as terminal:
        for key in keys:
            terminal.expect(" > ")
            terminal.type(key)
        terminal.end()
    typed = " ".join(f"'{word}'" if set(word) & set(' {"') else word for word in arguments)
    return f"\x1b[1m$ openenv-gym {typed}\x1b[0m\n{screen(terminal.raw)}"


def draw(name: str, what: str) -> None:
    """One picture, without the fonts that a viewer would have to fetch."""
    console = Console(
        record=True, width=COLUMNS, force_terminal=True, color_system="truecolor", file=io.StringIO()
    )
    console.print(Text.from_ansi(what, no_wrap=True), end="\n\n")
    svg = console.export_svg(title="openenv-gym", theme=THEME, unique_id=name)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", FONT)
    (FOLDER / f"{name}.svg").write_text(svg)


def main() -> None:
    """Draw them all."""
    FOLDER.mkdir(exist_ok=True)
    draw("help", shown("--help"))
    draw("list", shown("list"))
    draw("rollout", shown("rollout", "CartPole-v1", "-n", "20", "--seed", "42"))
    draw(
        "play",
        shown(
            *("play", "FrozenLake-v1", "--env-kwargs", '{"is_slippery": false}'), keys=("2\r", "up\r", "q\r")
        ),
    )
    draw("play-chess", shown("play", "openenv/chess", "--seed", "1", keys=("e2e4\r", "q\r")))
    draw("play-breakout", shown("play", "ALE/Breakout-v5", keys=("q\r",)))
    with serve_gym("CartPole-v1", port=8000, block=False) as server:
        draw("check", shown("check", server.url))
    mistakes = (
        ("play", "cartpole"),
        ("rollout", "HalfCheetah-v5"),
        ("rollout", "http://127.0.0.1:9"),
        ("serve", "LunarLander-v3", "--env-kwargs", "{continuous}"),
    )
    draw("errors", "\n\n".join(shown(*each) for each in mistakes))


if __name__ == "__main__":
    main()
