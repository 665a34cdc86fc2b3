"""A local HTTP server that serves files as badly as it is told to, and counts what it sends."""

import contextlib
import fcntl
import itertools
import re
import select
import socket
import struct
import termios
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

PIECE_BYTES = 16 * 1024


@dataclass(frozen=True)
class Manner:
    """How one request is answered; the default is as it should be."""

    status: int | None = None
    headers: dict = field(default_factory=dict)
    """Sent besides, or instead of, the right ones; None leaves one out."""
    ignores_range: bool = False
    ignores_if_range: bool = False
    length_error: int = 0
    """Added to the Content-Length of the body."""
    is_chunked: bool = False
    cut_after: int | None = None
    """Bytes of the body after which the connection ends."""
    resets: bool = False
    """Whether it ends with a reset."""
    hold_after: int | None = None
    """Bytes of the body after which nothing more comes until the client has gone."""
    piece_pause_s: float = 0.0
    raw: bytes | None = None
    """Sent as it is, in place of status, headers and body."""
    drips: bytes = b""
    """Sent after `raw`, a byte every now and then and over and over, until the client goes."""


@dataclass
class Request:
    path: str
    headers: dict
    sent_bytes: int = 0


class DownloadServer(HTTPServer):
    """Serves `files` (path → content) with `etags`; `manners` (path → list) answer in turn."""

    def __init__(self, *, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.scheme = "https" if context else "http"
        self.files, self.etags, self.manners = {}, {}, {}
        self.last_modified = "Mon, 02 Feb 2026 10:00:00 GMT"
        self.requests = []
        self.is_stopping = threading.Event()
        self.at_once = self.most_at_once = 0
        self._count_lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=8)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def address(self, path, *, host="127.0.0.1"):
        return f"{self.scheme}://{host}:{self.server_port}{path}"

    def serve(self, path, content, *manners, etag='"one"'):
        self.files[path], self.etags[path], self.manners[path] = content, etag, list(manners)
        return self.address(path)

    @property
    def sent_bytes(self):
        return sum(request.sent_bytes for request in self.requests)

    @contextlib.contextmanager
    def counting(self):
        with self._count_lock:
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            yield
        finally:
            with self._count_lock:
                self.at_once -= 1

    def process_request(self, request, client_address):
        self._pool.submit(self._answer, request, client_address)

    def _answer(self, request, client_address):
        # A client that goes away in between is what many tests are about.
        with contextlib.suppress(OSError):
            self.finish_request(request, client_address)
        self.shutdown_request(request)

    def handle_error(self, request, client_address):
        """Say nothing of a handshake that failed."""

    def stop(self):
        self.is_stopping.set()
        self.shutdown()
        self._thread.join()
        self._pool.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, path = self.server, self.path
        queue = server.manners.get(path)
        manner = queue.pop(0) if queue else Manner()
        self.seen = Request(path, dict(self.headers))
        server.requests.append(self.seen)
        if manner.raw is not None:
            self.answer_raw(manner)
            return
        if path not in server.files:
            manner = Manner(status=404)
        if manner.status is not None:
            self.answer(manner, manner.status, b"refused", {})
            return
        content, etag = server.files[path], server.etags[path]
        marks = {"ETag": etag, "Last-Modified": server.last_modified}
        start = self.wanted_start(manner, marks)
        if start and start >= len(content):
            self.answer(manner, 416, b"", {**marks, "Content-Range": f"bytes */{len(content)}"})
        elif start is not None:
            content_range = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(manner, 206, content[start:], {**marks, "Content-Range": content_range})
        else:
            self.answer(manner, 200, content, marks)

    def wanted_start(self, manner, marks):
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not match or manner.ignores_range:
            return None
        condition = self.headers.get("If-Range")
        is_fresh = condition is None or condition in marks.values()
        return int(match[1]) if is_fresh or manner.ignores_if_range else None

    def do_CONNECT(self):
        """Be a proxy: after half a second all goes on to where the client wants."""
        host, _, port = self.path.rpartition(":")
        self.server.requests.append(Request(self.path, dict(self.headers)))
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        self.server.is_stopping.wait(0.5)
        with socket.create_connection((host, int(port))) as onward:
            other = {self.connection: onward, onward: self.connection}
            while not self.server.is_stopping.is_set():
                for source in select.select(list(other), [], [], 0.02)[0]:
                    if not (piece := source.recv(PIECE_BYTES)):
                        return
                    other[source].sendall(piece)

    def answer_raw(self, manner):
        self.close_connection = True
        self.wfile.write(manner.raw)
        for value in itertools.cycle(manner.drips):
            if self.server.is_stopping.wait(0.02):
                return
            self.wfile.write(bytes([value]))

    def answer(self, manner, status, body, headers):
        headers = {"Content-Length": str(len(body) + manner.length_error), **headers}
        if manner.is_chunked:
            headers |= {"Content-Length": None, "Transfer-Encoding": "chunked"}
        self.protocol_version = "HTTP/1.1" if manner.is_chunked else "HTTP/1.0"
        self.send_response(status)
        for name, value in {**headers, **manner.headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        with self.server.counting():
            self.send_body(manner, memoryview(body))

    def send_body(self, manner, body):
        bounds = [n for n in (manner.cut_after, manner.hold_after) if n is not None]
        end = min([len(body), *bounds])
        for start in range(0, end, PIECE_BYTES):
            piece = body[start : min(end, start + PIECE_BYTES)]
            if manner.is_chunked:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            else:
                self.wfile.write(piece)
            self.seen.sent_bytes += len(piece)
            if manner.piece_pause_s and self.server.is_stopping.wait(manner.piece_pause_s):
                return
        if manner.hold_after is not None:
            self.wait_for_client_to_go()
        elif manner.cut_after is not None and manner.resets:
            # A reset throws away what this side has not sent yet; it must not be counted as sent.
            while self.unsent_bytes() and not self.server.is_stopping.wait(0.005):
                pass
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif manner.is_chunked and manner.cut_after is None:
            self.wfile.write(b"0\r\n\r\n")

    def unsent_bytes(self):
        return struct.unpack("i", fcntl.ioctl(self.connection, termios.TIOCOUTQ, bytes(4)))[0]

    def wait_for_client_to_go(self):
        self.connection.settimeout(0.02)
        while not self.server.is_stopping.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1):
                    return

    def log_message(self, *_):
        pass
