"""The exactly-once window: whatever the network repeats or loses, nothing is performed twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from openenv_gym.errors import InvalidMessage
from openenv_gym.wire.window import Verdict, Window


class Answer:
    """Told apart by identity alone."""

    def __init__(self, seq: int) -> None:
        self.seq = seq


class Network(RuleBasedStateMachine):
    """A client that numbers its requests, a server with a window, and a network that does what it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.forgotten: list[Answer] = []
        self.window: Window[Answer] = Window(limit=6, forget=self.forgotten.append)
        self.sent: list[tuple[int, int]] = []
        self.arrived: set[int] = set()
        self.ack = 0
        self.performed: dict[int, Answer] = {}
        self.running: set[int] = set()
        self.delivered = 0

    @precondition(lambda self: len(self.sent) - self.ack < 4)
    @rule()
    def the_client_sends_a_request(self) -> None:
        self.sent.append((len(self.sent) + 1, self.ack))

    @precondition(lambda self: self.delivered < len(self.sent))
    @rule(at_once=st.booleans())
    def the_next_request_arrives(self, at_once: bool) -> None:
        seq, ack = self.sent[self.delivered]
        self.delivered += 1
        assert self.window.admit(seq, ack) is Verdict.NEW
        assert seq not in self.performed and seq not in self.running
        self.running.add(seq)
        if at_once:
            self.a_running_request_ends(seq)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def some_running_request_ends(self, data: st.DataObject) -> None:
        self.a_running_request_ends(data.draw(st.sampled_from(sorted(self.running))))

    def a_running_request_ends(self, seq: int) -> None:
        self.running.remove(seq)
        self.performed[seq] = Answer(seq)
        self.window.keep(seq, self.performed[seq])

    @precondition(lambda self: self.delivered > 0)
    @rule(data=st.data())
    def the_network_repeats_a_request(self, data: st.DataObject) -> None:
        seq, ack = self.sent[data.draw(st.integers(0, self.delivered - 1))]
        if seq in self.running:
            assert self.window.admit(seq, ack) is Verdict.RUNNING
        elif self.performed[seq] in self.forgotten:
            with pytest.raises(InvalidMessage, match="out of order"):
                self.window.admit(seq, ack)
        else:
            assert self.window.admit(seq, ack) is Verdict.KEPT
            assert self.window.kept(seq) is self.performed[seq]

    @precondition(lambda self: self.performed)
    @rule(data=st.data())
    def an_answer_arrives_at_the_client(self, data: st.DataObject) -> None:
        self.arrived.add(data.draw(st.sampled_from(sorted(self.performed))))
        while self.ack + 1 in self.arrived:
            self.ack += 1

    @rule()
    def the_client_acknowledges(self) -> None:
        self.window.acknowledge(self.ack)

    @rule(skipped=st.integers(1, 5))
    def a_request_that_leaves_a_gap_is_refused(self, skipped: int) -> None:
        with pytest.raises(InvalidMessage, match="out of order"):
            self.window.admit(self.delivered + 1 + skipped, 0)

    @rule(ahead=st.integers(1, 5))
    def an_acknowledgement_of_what_was_not_answered_is_refused(self, ahead: int) -> None:
        with pytest.raises(InvalidMessage, match="not answered"):
            self.window.acknowledge(self.delivered + ahead)

    @invariant()
    def answers_are_kept_until_they_are_acknowledged(self) -> None:
        assert len(self.window) == len(self.performed) - len(self.forgotten)
        assert len(set(self.forgotten)) == len(self.forgotten), "an answer is forgotten once"
        assert all(answer.seq <= self.ack for answer in self.forgotten)


TestNetwork: Any = Network.TestCase
TestNetwork.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_too_many_unacknowledged_requests_are_refused_and_change_nothing() -> None:
    window = Window[str](limit=2)
    assert window.admit(1, 0) is Verdict.NEW
    window.keep(1, "one")
    assert window.admit(2, 0) is Verdict.NEW
    with pytest.raises(InvalidMessage, match="2 answers are not acknowledged") as refusal:
        window.admit(3, 0)
    assert refusal.value.fields == {"limit": 2}
    assert window.kept(1) == "one"
    window.keep(2, "two")
    assert window.admit(3, 2) is Verdict.NEW and len(window) == 0


def test_a_running_request_cannot_be_acknowledged() -> None:
    window = Window[str]()
    window.admit(1, 0)
    window.admit(2, 0)
    window.keep(2, "two")
    with pytest.raises(InvalidMessage, match="not answered"):
        window.acknowledge(1)
    window.keep(1, "one")
    window.acknowledge(2)
    assert len(window) == 0


def test_the_number_that_is_expected_is_named() -> None:
    window = Window[str]()
    for wrong in (0, 2, 2**63):
        with pytest.raises(InvalidMessage) as refusal:
            window.admit(wrong, 0)
        assert refusal.value.fields == {"expected": 1}


def test_an_older_acknowledgement_that_arrives_late_is_harmless() -> None:
    forgotten: list[str] = []
    window = Window[str](forget=forgotten.append)
    for seq in (1, 2, 3):
        window.admit(seq, 0)
        window.keep(seq, str(seq))
    window.acknowledge(2)
    window.acknowledge(1)
    assert forgotten == ["1", "2"] and window.kept(3) == "3"


def test_an_answer_can_be_dropped_before_it_is_acknowledged() -> None:
    forgotten: list[str] = []
    window = Window[str](forget=forgotten.append)
    for seq in (1, 2, 3):
        window.admit(seq, 0)
        window.keep(seq, f"answer {seq}")
    window.drop(2)
    window.drop(2)
    assert forgotten == ["answer 2"] and len(window) == 2 and window.newest == 3
    with pytest.raises(InvalidMessage, match="out of order"):
        window.admit(2, 0)
    window.acknowledge(3)
    assert forgotten == ["answer 2", "answer 1", "answer 3"]
