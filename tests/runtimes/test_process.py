"""A service in a child process: it starts, says where it is, and goes with whoever started it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from openenv_gym.errors import FactoryFailed, InvalidArgument
from openenv_gym.runtimes.process import ServiceProcess
from tests.runtimes.services import Little, dies, raises, refuses
from tests.served import eventually, is_running

SHORT = 0.3
LONG = 60.0


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    """The file that keeps a service busy; not there yet."""
    return tmp_path / "busy"


@pytest.fixture
def start(busy: Path) -> Iterator[Callable[[float], ServiceProcess]]:
    """Starts services, and kills those that are left."""
    started = []

    def start(grace: float) -> ServiceProcess:
        started.append(ServiceProcess(pickle.dumps(partial(Little, busy)), grace=grace))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def test_it_says_where_it_is_and_what_it_printed(start: Callable[[float], ServiceProcess]) -> None:
    process = start(LONG)
    assert process.endpoint == f"process {process.pid}"
    assert process.alive
    assert process.logs() == "a little service\n"
    process.stop()
    assert not process.alive
    process.stop()


def test_it_is_stopped_though_somebody_is_connected(
    start: Callable[[float], ServiceProcess], busy: Path
) -> None:
    process = start(LONG)
    busy.touch()
    process.stop()
    assert not process.alive


def test_ctrl_c_is_not_for_it(start: Callable[[float], ServiceProcess]) -> None:
    assert os.getsid(start(LONG).pid) != os.getsid(0)


def test_released_it_ends_once_nobody_is_connected(
    start: Callable[[float], ServiceProcess], busy: Path
) -> None:
    process = start(SHORT)
    busy.touch()
    process.release()
    assert not eventually(lambda: not process.alive, seconds=4 * SHORT)
    busy.unlink()
    assert eventually(lambda: not process.alive)
    assert not process.keep()


def test_kept_it_goes_on(start: Callable[[float], ServiceProcess]) -> None:
    process = start(SHORT)
    process.release()
    assert process.keep()
    assert not eventually(lambda: not process.alive, seconds=4 * SHORT)


def test_it_ends_with_the_pipe(start: Callable[[float], ServiceProcess]) -> None:
    process = start(LONG)
    process.disown()
    assert eventually(lambda: not process.alive)


def test_an_error_of_ours_comes_as_it_is() -> None:
    with pytest.raises(InvalidArgument, match="not like this") as caught:
        ServiceProcess(pickle.dumps(refuses), grace=LONG)
    assert caught.value.fields == {"tried": "that"}


def test_another_error_is_told_with_what_was_printed() -> None:
    with pytest.raises(FactoryFailed, match="ZeroDivisionError: by zero") as caught:
        ServiceProcess(pickle.dumps(raises), grace=LONG)
    assert "about to fail" in caught.value.__notes__[0]


def test_a_child_that_dies_is_told_with_its_last_words() -> None:
    with pytest.raises(FactoryFailed, match=r"(?s)exit code 7.*my last words"):
        ServiceProcess(pickle.dumps(dies), grace=LONG)


PARENT = """
import pickle, sys
from functools import partial
from pathlib import Path
from openenv_gym.runtimes.process import ServiceProcess
from tests.runtimes.services import Little
process = ServiceProcess(pickle.dumps(partial(Little, Path(sys.argv[1]))), grace=60)
print(process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_parent(way: int, busy: Path) -> None:
    busy.touch()
    for _ in range(5):
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(busy)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        with parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            assert is_running(pid)
            parent.send_signal(way)
        assert eventually(lambda: not is_running(pid))  # noqa: B023
