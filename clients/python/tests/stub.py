"""A server whose answers a test chooses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Response = tuple[int, dict[str, str], bytes]


def stored(items: list[dict[str, Any]]) -> Response:
    results = [{"index": index, "id": item["id"], "status": "stored", "errors": []} for index, item in enumerate(items)]
    return 201, {}, json.dumps({"revisions": {}, "results": results}).encode()


class Stub:
    """Answers each request by `respond`; `requests` are the items that it received."""

    def __init__(self, respond: Callable[[list[dict[str, Any]]], Response] = stored) -> None:
        self.respond = respond
        self.requests: list[list[dict[str, Any]]] = []
        self.tokens: list[str | None] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                items = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.requests.append(items)
                stub.tokens.append(self.headers["Authorization"])
                status, headers, body = stub.respond(items)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def __enter__(self) -> Stub:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
