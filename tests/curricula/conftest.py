"""A model server on loopback that says what a test tells it to, and a clock that nobody waits for."""

import asyncio
import http.server
import json
import socket
import struct
import threading
import time

import pytest


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self):
        self.time = 1000.0
        self.sleeps = []

    def read(self):
        return self.time

    async def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


class ModelServer:
    """Counts what comes in; `respond(payload)` returns the answer as a function of the request handler."""

    def __init__(self):
        self.calls = []  # (path, headers, payload)
        self.connections = 0
        self.most_at_once = 0
        self.respond = lambda payload: self.chat("{}")
        self._at_once = 0
        self._lock = threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                owner.connections += 1

            def do_POST(self):
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with owner._lock:
                    owner.calls.append((self.path, dict(self.headers), payload))
                    owner._at_once += 1
                    owner.most_at_once = max(owner.most_at_once, owner._at_once)
                try:
                    owner.respond(payload)(self)
                except OSError:
                    self.close_connection = True
                finally:
                    with owner._lock:
                        owner._at_once -= 1

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def payloads(self):
        return [payload for _, _, payload in self.calls]

    def in_turn(self, *answers):
        """Gives these answers, the last for ever."""
        left = list(answers)
        self.respond = lambda payload: left.pop(0) if len(left) > 1 else left[0]

    def close(self):
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    @staticmethod
    def chat(text, usage=(3, 2), finish="stop", delay=0.0):
        """A chat completion."""
        body = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}]}
        if usage is not None:
            body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
        return ModelServer.says(200, json.dumps(body), delay=delay)

    @staticmethod
    def says(status, body="", headers=(), reason=None, delay=0.0):
        """A status, a body (text or bytes) and headers."""

        def answer(handler):
            time.sleep(delay)
            data = body.encode() if isinstance(body, str) else body
            handler.send_response(status, reason)
            for name, value in headers:
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)

        return answer

    @staticmethod
    def cut_body():
        """Promises more bytes than it sends."""

        def answer(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"choices": [{"mess')
            handler.close_connection = True

        return answer

    @staticmethod
    def reset():
        """Breaks the connection without an answer."""

        def answer(handler):
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            handler.close_connection = True

        return answer

    @staticmethod
    def silence(seconds=2.0):
        """Says nothing until the client has gone, or for `seconds`."""

        def answer(handler):
            handler.connection.settimeout(seconds)
            handler.connection.recv(1)
            handler.close_connection = True

        return answer

    @staticmethod
    def endless(pause=0.0):
        """A body without end."""

        def answer(handler):
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            while True:
                handler.wfile.write(b"400\r\n" + b" " * 1024 + b"\r\n")
                time.sleep(pause)

        return answer


@pytest.fixture
def model_server():
    """A scripted model server; close it to have the network fail."""
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture
def clock():
    """Time that passes by sleeping only; `timing` is made of it."""
    return Clock()


@pytest.fixture
def timing(clock):
    """A client's clocks on `clock`; chance always says one half."""
    from palaestra.curricula.llm.limits import Timing

    return Timing(clock=clock.read, now=clock.read, sleep=clock.sleep, chance=lambda: 0.5)
