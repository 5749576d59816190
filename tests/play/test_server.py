"""Connections: answers come at once, and nobody holds the app up who sends nothing, half of it, or reads nothing."""

import contextlib
import http.client
import socket
import threading
import time

import pytest
from support.waiting import PATIENCE, wait_until

pytest.importorskip("uvicorn", reason="needs the extra `play`", exc_type=ImportError)
from fastapi import FastAPI, Request, Response

from forearm.play import server

HOST = "127.0.0.1"
HEAD = f"POST /echo HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\n\r\n".encode()
LARGE = 60_000_000


@pytest.fixture(scope="module")
def port():
    """Where an app is served that answers with a small text, with what it is sent, or with much."""
    app = FastAPI()

    @app.get("/")
    async def small() -> Response:
        return Response("here")

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    @app.get("/large")
    async def large() -> Response:
        return Response(bytes(LARGE))

    with server.listen(HOST, 0) as listening:
        threading.Thread(target=server.serve, args=(app, listening), daemon=True).start()
        yield listening.getsockname()[1]


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(server, "PATIENCE", 0.2)


def connect(port, sent=b""):
    line = socket.socket()
    # Else the system holds up to half of a large answer for a reader, and a few reads empty the server's side.
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    line.settimeout(PATIENCE)
    line.connect((HOST, port))
    line.sendall(sent)
    return line


def read_to(line, end):
    """Read an answer that ends so."""
    answer = b""
    while not answer.endswith(end):
        part = line.recv(1000)
        assert part, answer
        answer += part


def is_closed(line):
    """Whether the other side closes; a time-out of the socket is an error."""
    try:
        while line.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    return True


def ask(port):
    call = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
    call.request("GET", "/")
    return call.getresponse().read()


@pytest.fixture
def connections(monkeypatch):
    """The server's ends of the connections that a test makes."""
    made, make = [], server.Connection.connection_made
    monkeypatch.setattr(
        server.Connection, "connection_made", lambda one, transport: (make(one, transport), made.append(one))
    )
    return made


def test_answers_do_not_wait_for_acknowledgements(port, connections):
    with connect(port):
        wait_until(lambda: connections)
        line = connections[0].transport.get_extra_info("socket")
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)  # else every second part comes 0.04 s late


@pytest.mark.parametrize("sent", [b"", b"GET / HT", HEAD, HEAD + b"1234"], ids=["nothing", "words", "head", "body"])
def test_connections_that_bring_no_whole_request_are_closed(port, impatient, sent):
    assert is_closed(connect(port, sent))


def test_a_request_that_drips_is_closed_too(port, impatient):
    line = connect(port)

    def is_refused():
        line.sendall(b"G")  # each byte in time, the whole never

    with pytest.raises(ConnectionError):
        wait_until(is_refused)


def test_a_connection_is_kept_for_the_next_request_and_then_closed(port, monkeypatch):
    monkeypatch.setattr(server, "PATIENCE", PATIENCE)
    with connect(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n") as line:
        read_to(line, b"here")
        monkeypatch.setattr(server, "PATIENCE", 0.2)
        line.sendall(HEAD + b"12345")
        read_to(line, b"12345")
        assert is_closed(line)


def test_an_answer_that_nobody_reads_is_given_up(port, impatient, monkeypatch):
    gives_up, gave_up = server.Connection.give_up, threading.Event()
    monkeypatch.setattr(server.Connection, "give_up", lambda connection: (gives_up(connection), gave_up.set()))
    with connect(port, b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n") as line:
        assert gave_up.wait(PATIENCE)
        received = 0
        with contextlib.suppress(ConnectionError):
            while part := line.recv(1 << 16):
                received += len(part)
        assert received < LARGE


def test_an_answer_that_is_read_slowly_comes_whole(port, connections, monkeypatch):
    """Whenever patience ends, a part of it has been read since the last time."""
    monkeypatch.setattr(server, "PATIENCE", PATIENCE)
    with connect(port, b"GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n") as line:
        received, looked = len(line.recv(1 << 20)), threading.Semaphore(0)
        wait_until(lambda: connections[0]._unread)
        for _ in range(3):
            before = connections[0].transport.get_write_buffer_size()
            while connections[0].transport.get_write_buffer_size() == before:
                part = line.recv(1 << 16)
                assert part, f"{received} received, {before} unsent; gave up: {connections[0].transport.is_closing()}"
                received += len(part)
                time.sleep(0.002)  # one call sends all that is left to a reader that reads as fast
            connections[0].loop.call_soon_threadsafe(lambda: (connections[0]._late(), looked.release()))
            assert looked.acquire(timeout=PATIENCE)
        while part := line.recv(1 << 20):
            received += len(part)
        assert received > LARGE


def test_many_idle_connections_give_way(port, monkeypatch):
    monkeypatch.setattr(server, "PATIENCE", PATIENCE)
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 8)
    lines = [connect(port) for _ in range(30)]
    assert ask(port) == b"here"
    assert all(is_closed(line) for line in lines[:20])
    lines[-1].sendall(HEAD + b"12345")  # the newest are kept
    read_to(lines[-1], b"12345")


def test_the_limit_of_open_files_bounds_connections(monkeypatch):
    resource = pytest.importorskip("resource")
    for files, connections in ((100_000, server.MOST_CONNECTIONS), (64, 16), (8, 4)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, files=files: (files, files))
        assert server.most_connections() == connections


def test_the_address_to_open():
    with server.listen(HOST, 0) as listening:
        port = listening.getsockname()[1]
        assert server.address(listening, HOST) == f"http://127.0.0.1:{port}/"
        assert server.address(listening, "0.0.0.0", "secret") == f"http://localhost:{port}/?token=secret"
        assert server.address(listening, "::1") == f"http://[::1]:{port}/"
