"""However a connection ends, or does not begin, each twin says it with the same typed error."""

from __future__ import annotations

import asyncio
import http.server
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.utils import accept_key

from openenv_gym import AsyncClient, OpenEnvGym, OpenEnvGymError, OpenEnvVectorEnv, serve_gym
from openenv_gym.client.async_transports import AsyncSocketTransport
from openenv_gym.client.transports import SocketTransport
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import (
    CapacityReached,
    Closed,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    InvalidArgument,
    MessageTooLarge,
    ProtocolViolation,
    ServerClosed,
)
from tests.client.conftest import OpenClient
from tests.environments import Counter
from tests.proxy import CuttingProxy
from tests.served import eventually, health
from tests.strangers import Connection, accepting

ANSWER = '{"type":"observation","data":{"observation":{"x":1},"reward":0.5,"done":false}}'

# no connection ---------------------------------------------------------------------------------


def test_nobody_listens(open_client: OpenClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectFailed, match="is it running"):
        open_client(f"http://127.0.0.1:{port}", wait_timeout=0)


@pytest.mark.parametrize(("version", "said"), [("HTTP/1.0", "WebSocket"), ("HTTP/1.1", "404")])
def test_a_server_that_speaks_http_only(
    open_client: OpenClient, version: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Quiet, "protocol_version", version)
    server = http.server.HTTPServer(("127.0.0.1", 0), _Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with pytest.raises(ConnectFailed, match=said):
            open_client(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def test_a_path_that_is_noaccepting(open_client: OpenClient, cartpole: GymServer) -> None:
    with pytest.raises(ConnectFailed, match=r"40[34]"):
        open_client(f"{cartpole.url}/elsewhere")


def test_a_server_that_speaks_no_http(open_client: OpenClient) -> None:
    with _accepting(lambda connection: connection.sendall(b"220 mail.example ESMTP\r\n")) as url:
        with pytest.raises(ConnectFailed):
            open_client(url)


def test_a_server_that_hangs_up_in_the_handshake(open_client: OpenClient) -> None:
    with _accepting(lambda connection: None) as url:
        with pytest.raises(ConnectFailed):
            open_client(url, wait_timeout=0)


def test_a_server_that_never_answers_the_handshake(open_client: OpenClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        with pytest.raises(ConnectFailed):
            open_client(f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout=0.2)
        assert time.monotonic() - started < 8  # by itself it would wait for ten


def test_an_address_that_is_none(open_client: OpenClient) -> None:
    with pytest.raises(InvalidArgument):
        open_client("ftp://127.0.0.1")


def test_the_native_dialect_is_not_to_be_had(open_client: OpenClient) -> None:
    with accepting(lambda connection: None) as url:
        with pytest.raises(ProtocolViolation, match="json"):
            open_client(url, dialect="native")


@contextmanager
def _accepting(
    answer: Callable[[socket.socket], object], *, heard: list[bytes] | None = None
) -> Iterator[str]:
    """A server that answers one request, whatever it is, in its own way and hangs up."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            request = connection.recv(4096)
            if heard is not None:
                heard.append(request)
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join()


def _switching_protocols(request: bytes) -> bytes:
    """The answer that agrees to a handshake."""
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
    assert key is not None
    accept = accept_key(key[1].decode())
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


# the server ends it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1000, ServerClosed),
        (1001, ServerClosed),
        (1012, ServerClosed),
        (1002, ProtocolViolation),
        (1009, MessageTooLarge),
        (1011, ConnectionLost),
        (4000, ConnectionLost),
    ],
)
def test_a_close_code_tells_who_ended_it(
    open_client: OpenClient, code: int, expected: type[OpenEnvGymError]
) -> None:
    def close(connection: Connection) -> None:
        connection.recv()
        connection.close(code, "because")

    with accepting(close) as url:
        client = open_client(url, dialect="json")
        with pytest.raises(expected, match="because") as caught:
            client.reset()
        assert caught.value.fields["code"] == code
        with pytest.raises(Closed):
            client.step_one({})


@pytest.mark.parametrize("answer", ["[]", "no json", '{"type":"surprise"}', b"\0"])
def test_an_answer_that_is_none(open_client: OpenClient, answer: str | bytes) -> None:
    def serve(connection: Connection) -> None:
        connection.recv()
        connection.send(answer)
        for _ in connection:
            pass

    with accepting(serve) as url:
        client = open_client(url, dialect="json")
        with pytest.raises(ProtocolViolation):
            client.reset()
        with pytest.raises(Closed):
            client.reset()


def test_a_welcome_that_is_none(open_client: OpenClient) -> None:
    def serve(connection: Connection) -> None:
        connection.recv()
        connection.send(b"\xff" * 40)
        for _ in connection:
            pass

    with accepting(serve, native=True) as url:
        with pytest.raises(OpenEnvGymError):
            open_client(url)


def test_a_message_in_fragments_is_one_message(open_client: OpenClient) -> None:
    def serve(connection: Connection) -> None:
        connection.recv()
        connection.ping(b"in between")
        connection.send(ANSWER[start : start + 9] for start in range(0, len(ANSWER), 9))
        connection.recv()
        connection.send(ANSWER)
        for _ in connection:
            pass

    with accepting(serve) as url:
        client = open_client(url, dialect="json")
        assert client.reset().values[0] == {"x": 1}
        assert client.reset().values[0] == {"x": 1}
        client.close()


@pytest.mark.parametrize("split", [1, 3, 40])
def test_half_a_message_comes_with_the_handshake(open_client: OpenClient, split: int) -> None:
    """As a stock server does that is full: it says so before it is asked."""
    error = b'{"type":"error","data":{"message":"full","code":"CAPACITY_REACHED","max_sessions":1}}'
    frame = bytes([0x81, len(error)]) + error

    def serve(connection: socket.socket) -> None:
        connection.sendall(_switching_protocols(request[0]) + frame[:split])
        time.sleep(0.05)
        connection.sendall(frame[split:])
        connection.recv(4096)

    request: list[bytes] = []
    with _accepting(serve, heard=request) as url:
        client = open_client(url, dialect="json")
        with pytest.raises(CapacityReached):
            client.reset()
        client.close()


def test_text_that_is_none(open_client: OpenClient) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(_switching_protocols(request[0]))
        connection.recv(4096)
        connection.sendall(b"\x81\x02\xff\xff")
        connection.recv(4096)

    request: list[bytes] = []
    with _accepting(serve, heard=request) as url:
        client = open_client(url, dialect="json")
        with pytest.raises(ProtocolViolation):
            client.reset()
        client.close()


def test_a_frame_that_breaks_the_rules(open_client: OpenClient) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(_switching_protocols(request[0]))
        connection.recv(4096)
        connection.sendall(b"\xf1\x01{")
        connection.recv(4096)

    request: list[bytes] = []
    with _accepting(serve, heard=request) as url:
        client = open_client(url, dialect="json")
        with pytest.raises(ProtocolViolation):
            client.reset()
        client.close()


def test_an_answer_of_many_megabytes(open_client: OpenClient) -> None:
    answer = ANSWER.replace('"x":1', f'"x":"{"y" * 9_000_000}"')

    def serve(connection: Connection) -> None:
        for _ in connection:
            connection.send(answer)

    with accepting(serve) as url:
        client = open_client(url, dialect="json")
        for _ in range(2):
            assert len(client.reset().values[0]["x"]) == 9_000_000
        client.close()


# the world ends it -----------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("passed", [0, 1, 20], ids=["before", "in-header", "in-body"])
def test_a_cut_in_the_middle_of_an_answer(
    open_client: OpenClient, cartpole: GymServer, passed: int, reset: bool
) -> None:
    with CuttingProxy(cartpole.url) as proxy:
        client = open_client(proxy.url, resume_timeout=0)
        client.reset(seeds=[0])
        proxy.cut_after(passed, reset=reset)
        with pytest.raises(ConnectionLost):
            for _ in range(3):
                client.step_one(1)
        with pytest.raises(Closed):
            client.step_one(1)
        client.close()
    assert eventually(lambda: health(cartpole.url)["active_lanes"] == 0)


def test_a_time_that_is_up_ends_the_session(open_client: OpenClient, sleeper: GymServer) -> None:
    client = open_client(sleeper.url, timeout=0.2)
    client.reset(options={"seconds": 0.6})
    with pytest.raises(DeadlineExceeded) as caught:
        client.step_one(1)
    assert caught.value.fields["timeout"] == 0.2
    # The late answer must not be taken for that of the next request.
    with pytest.raises(Closed):
        client.state()
    client.close()
    assert eventually(lambda: health(sleeper.url)["active_lanes"] == 0)


def test_a_request_that_is_cancelled_ends_the_session(sleeper: GymServer) -> None:
    async def cancel() -> None:
        async with await AsyncClient.to(sleeper.url) as client:
            await client.reset(options={"seconds": 0.4})
            waiting = asyncio.create_task(client.step_one(1))
            queued = asyncio.create_task(client.state())
            await asyncio.sleep(0.1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(Closed):
                await queued

    asyncio.run(cancel())
    assert eventually(lambda: health(sleeper.url)["active_lanes"] == 0)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python's own answer to SIGINT, also where the tests run in the background and it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_while_waiting_ends_the_session(sleeper: GymServer) -> None:
    env = OpenEnvGym(sleeper.url)
    env.reset(options={"seconds": 0.5})
    # To the main thread, as a terminal's Ctrl-C: a signal raised in another may be noticed late.
    main = threading.main_thread().ident or 0
    timer = threading.Timer(0.1, signal.pthread_kill, [main, signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        env.step(1)
    timer.join()
    with pytest.raises(Closed):
        env.step(1)
    env.close()


def test_a_request_that_is_too_long_ends_in_a_typed_error(open_client: OpenClient) -> None:
    with serve_gym(Counter, port=0, block=False, max_message_bytes=1 << 20) as server:
        client = open_client(server.url)
        client.reset()
        with pytest.raises(OpenEnvGymError):
            client.call("x" * (32 << 20))
        client.close()
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)


# you end it ------------------------------------------------------------------------------------


def test_use_after_close(open_client: OpenClient, cartpole: GymServer) -> None:
    client = open_client(cartpole.url)
    client.reset()
    client.close()
    client.close()
    for use in (lambda: client.step_one(1), client.reset, client.state, client.receive_rows):
        with pytest.raises(Closed):
            use()


def test_a_transport_after_close(cartpole: GymServer) -> None:
    address = cartpole.url.replace("http", "ws") + "/ws"
    transport = SocketTransport(address)
    transport.close()
    transport.close()
    with pytest.raises(Closed):
        transport.send("{}")

    async def use() -> None:
        transport = await AsyncSocketTransport.to(address)
        await transport.close()
        await transport.close()
        with pytest.raises(Closed):
            await transport.send("{}")
        with pytest.raises(Closed):
            await transport.receive()

    asyncio.run(use())


def test_an_environment_after_close(cartpole: GymServer) -> None:
    env, envs = OpenEnvGym(cartpole.url), OpenEnvVectorEnv(cartpole.url, 2)
    for face in (env, envs):
        face.close()
        face.close()
        with pytest.raises(Closed):
            face.reset()


def test_closing_when_the_server_is_gone(open_client: OpenClient, cartpole: GymServer) -> None:
    with CuttingProxy(cartpole.url) as proxy:
        client = open_client(proxy.url)
        proxy.cut_after(0, reset=True)
        client.close()
        client.close()
