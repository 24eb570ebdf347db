"""The check that tests leave nothing behind sees what it claims to see."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import leaks

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="there is no /proc here")
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_nothing_done_leaves_nothing() -> None:
    assert leaks.left_since(leaks.held(), grace=0) == []


def test_a_thread_is_seen_until_it_ends() -> None:
    before = leaks.held()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="straggler")
    thread.start()
    assert leaks.left_since(before, grace=0) == ["thread 'straggler'"]
    stop.set()
    assert leaks.left_since(before, grace=5) == []
    thread.join()


@needs_proc
def test_a_socket_is_seen_until_it_closes() -> None:
    before = leaks.held()
    with socket.socket():
        (left,) = leaks.left_since(before, grace=0)
        assert left.startswith("socket:[")
    assert leaks.left_since(before, grace=0) == []


@needs_proc
def test_a_child_is_seen_while_it_lives() -> None:
    before = leaks.held()
    with subprocess.Popen(SLEEP) as child:
        (left,) = leaks.left_since(before, grace=0)
        assert left.startswith(f"process {child.pid}: ") and "time.sleep" in left
        child.kill()
    assert leaks.left_since(before, grace=5) == []


@needs_proc
def test_an_orphan_is_found_by_the_mark_it_bears() -> None:
    before = leaks.held()
    parent = f"import subprocess as s; print(s.Popen({SLEEP!r}, stdout=s.DEVNULL).pid)"
    started = subprocess.run(
        [sys.executable, "-c", parent], env={"MARK": "orphan"}, stdout=subprocess.PIPE, check=True
    )
    orphan = int(started.stdout)
    try:
        assert leaks.left_since(before, grace=0) == []
        (found,) = leaks.bearers("MARK", "orphan")
        assert found.startswith(f"process {orphan}: ")
    finally:
        os.kill(orphan, signal.SIGKILL)
    assert leaks.wait_until_empty(lambda: leaks.bearers("MARK", "orphan"), grace=5) == []
