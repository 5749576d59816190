"""A stand-in of the Hub: as much of its interface as huggingface_hub uses to create, upload and fetch."""

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

API = re.compile(r"/api/(model|dataset)s/([\w.-]+/[\w.-]+)(?:/(preupload|commit|revision|tree)/([^/]+).*)?")
FILE = re.compile(r"/(datasets/)?([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")


class StandIn:
    """What was created and uploaded: repositories by type and id, each with its files."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], dict[str, bytes]] = {}
        self.private: dict[tuple[str, str], bool] = {}
        self.asked: list[str] = []

    def sha(self, key: tuple[str, str]) -> str:
        """The commit that everything is at."""
        digest = hashlib.sha1(usedforsecurity=False)
        for name, content in sorted(self.repositories[key].items()):
            digest.update(name.encode() + content)
        return digest.hexdigest()


@contextlib.contextmanager
def standing_in() -> Iterator[tuple[str, StandIn]]:
    """A stand-in that serves, and its address."""
    hub = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def say(self, value: object) -> None:
            self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

        def missing(self) -> None:
            self.answer(404, b"{}", X_Error_Code="RepoNotFound", X_Error_Message="Repository Not Found")

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            if found := FILE.fullmatch(path):
                key = ("dataset" if found[1] else "model", found[2])
                content = hub.repositories.get(key, {}).get(found[4])
                if content is None:
                    return self.missing()
                etag = f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"'
                return self.answer(200, content, ETag=etag, X_Repo_Commit=hub.sha(key))
            found = API.fullmatch(path)
            key = (found[1], found[2]) if found else None
            if key not in hub.repositories:
                return self.missing()
            files = hub.repositories[key]
            if found[3] == "tree":
                return self.say([{"type": "file", "path": n, "size": len(c), "oid": "0"} for n, c in files.items()])
            siblings = [{"rfilename": name} for name in files]
            about = {"id": key[1], "sha": hub.sha(key), "private": hub.private[key], "siblings": siblings, "tags": []}
            return self.say(about)

        def do_POST(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"POST {path}")
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if path == "/api/repos/create":
                wanted = json.loads(body)
                name = "/".join(filter(None, (wanted.get("organization"), wanted["name"])))
                key = (wanted.get("type") or "model", name)
                hub.repositories.setdefault(key, {})
                hub.private.setdefault(key, bool(wanted.get("private")) or wanted.get("visibility") == "private")
                return self.say({"url": f"http://{self.headers['Host']}/{name}", "id": name})
            if path == "/api/validate-yaml":
                return self.say({"errors": [], "warnings": []})
            found = API.fullmatch(path)
            key = (found[1], found[2])
            if found[3] == "preupload":
                files = [{"path": each["path"], "uploadMode": "regular"} for each in json.loads(body)["files"]]
                return self.say({"files": [each | {"shouldIgnore": False} for each in files]})
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    hub.repositories[key][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            place = f"http://{self.headers['Host']}/{'datasets/' if key[0] == 'dataset' else ''}{key[1]}"
            return self.say({"commitUrl": f"{place}/commit/{hub.sha(key)}", "commitOid": hub.sha(key)})

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", hub
        server.shutdown()
        thread.join()
