"""Processes of a benchmark are heard, can be asked, and are gone when they are told to stop."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import pytest

from benchmarks.children import ChildFailed, ChildProcess, cpu_seconds, usage, with_descendants

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
SLEEP = "import time; time.sleep(60)"
LIMIT = """
import json, resource
input()
print(json.dumps({"soft": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}))
"""


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_server_is_found_by_the_address_that_it_prints() -> None:
    child = ChildProcess(python(f"print('Uvicorn running on http://127.0.0.1:4711 (Press ...)'); {SLEEP}"))
    try:
        assert child.server_url() == "http://127.0.0.1:4711"
    finally:
        child.stop()
    assert not is_alive(child.pid)


def test_a_server_that_ends_early_is_quoted() -> None:
    child = ChildProcess(python("raise SystemExit('no such environment')"))
    try:
        with pytest.raises(ChildFailed, match="no such environment"):
            child.server_url()
    finally:
        child.stop()


def test_a_talkative_child_is_not_held_up() -> None:
    child = ChildProcess(python("print('x' * 1_000_000); print('http://127.0.0.1:4711')"))
    try:
        assert child.server_url() == "http://127.0.0.1:4711"
    finally:
        child.stop()


def test_a_driver_answers_message_by_message() -> None:
    child = ChildProcess(python(ECHO), piped=True)
    try:
        assert [child.ask({"calls": calls}) for calls in (1, 2)] == [{"calls": 1}, {"calls": 2}]
    finally:
        child.stop()


def test_a_driver_that_ends_instead_of_answering_is_quoted() -> None:
    child = ChildProcess(python("input(); raise SystemExit('lost the server')"), piped=True)
    try:
        with pytest.raises(ChildFailed, match="lost the server"):
            child.ask({"calls": 1})
    finally:
        child.stop()


def test_stopping_twice_is_once() -> None:
    child = ChildProcess(python(SLEEP))
    child.stop()
    child.stop()
    assert not is_alive(child.pid)


def test_a_child_counts_among_the_descendants() -> None:
    child = ChildProcess(python(SLEEP))
    try:
        assert child.pid in with_descendants(os.getpid())
        assert with_descendants(child.pid) == (child.pid,)
    finally:
        child.stop()


def test_threads_and_memory_are_counted_over_all_processes() -> None:
    own = usage([os.getpid()])
    child = ChildProcess(python(SLEEP))
    try:
        both = usage([os.getpid(), child.pid])
    finally:
        child.stop()
    assert own.threads >= 1 and both.threads > own.threads
    assert 0 < own.megabytes <= own.peak_megabytes
    assert both.peak_megabytes > own.peak_megabytes


def test_a_child_may_open_as_many_files_as_the_system_lets_it() -> None:
    child = ChildProcess(python(LIMIT), piped=True)
    try:
        assert child.ask({}) == {"soft": resource.getrlimit(resource.RLIMIT_NOFILE)[1]}
    finally:
        child.stop()


def test_cpu_seconds_grow_with_work_and_skip_who_is_gone() -> None:
    before = cpu_seconds([os.getpid()])
    deadline = time.process_time() + 0.05
    while time.process_time() < deadline:
        pass
    assert cpu_seconds([os.getpid()]) >= before + 0.03
    assert cpu_seconds([2**22 + 1]) == 0.0  # beyond the kernel's largest process id
