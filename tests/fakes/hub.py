"""A server on the loopback address that speaks as much of the Hugging Face Hub's protocol as files need.

They are fetched one by one or as a commit, with ranges, tokens and errors; and pushed as a commit, large ones by LFS.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Behaviour:
    """What the server has, and how it misbehaves.

    Args:
        files: "repo/filename" (or a bare path, for plain downloads) to bytes.
        private: repositories that need the token.
        token: that opens them.
        busy: status and headers of the first answers, which hold nothing else.
        cut_after: bytes after which the first answers break off, one number per answer.
        announce: "repo/filename" to a SHA-256 that is announced instead of the true one.
        ranges: whether the server knows ranges.
        requests: what was asked: method, path and range.
        blobs: what was pushed by LFS, by SHA-256.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    token: str = "hf_right"
    busy: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    cut_after: list[int] = field(default_factory=list)
    announce: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behaviour: Behaviour

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        if match := re.match(r"/api/models/([^/]+/[^/]+)/(revision|tree)/", self.path):
            return self.describe(match[1], match[2])
        return self.answer(body=True)

    def describe(self, repo, what):
        """Tell a repository's commit, or its files."""
        it = self.behaviour
        names = [name.removeprefix(f"{repo}/") for name in it.files if name.startswith(f"{repo}/")]
        if repo in it.private and not self.allowed():
            return self.refuse(401, "RepoNotFound")
        if not names:
            return self.refuse(404, "RepoNotFound")
        if what == "revision":
            return self.tell({"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]})
        sizes = {name: len(it.files[f"{repo}/{name}"]) for name in names}
        return self.tell([{"type": "file", "path": name, "size": size, "oid": "0"} for name, size in sizes.items()])

    def do_POST(self):
        """Make a repository, or take a commit into it; only with the token."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        it, path = self.behaviour, self.path.partition("?")[0]
        it.requests.append(("POST", path, ""))
        if path == "/api/validate-yaml":
            return self.tell({"errors": [], "warnings": []})
        if not self.allowed():
            return self.refuse(401, "RepoNotFound")
        if path == "/api/repos/create":
            asked = json.loads(body)
            return self.tell({"url": f"http://{self.headers['Host']}/{asked['organization']}/{asked['name']}"})
        if "/preupload/" in path:
            files = [file["path"] for file in json.loads(body)["files"]]
            modes = {name: "lfs" if name.endswith(".safetensors") else "regular" for name in files}
            return self.tell(
                {"files": [{"path": name, "uploadMode": mode, "shouldIgnore": False} for name, mode in modes.items()]}
            )
        if path.endswith("/info/lfs/objects/batch"):
            base = f"http://{self.headers['Host']}/blobs"
            objects = [
                {**wanted, "actions": {"upload": {"href": f"{base}/{wanted['oid']}"}}}
                for wanted in json.loads(body)["objects"]
            ]
            return self.tell({"transfer": "basic", "objects": objects})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/[^/]+", path):
            return self.commit(match[1], body)
        return self.refuse(404, "RepoNotFound")

    def commit(self, repo, body):
        it = self.behaviour
        for line in body.decode().splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                it.files[f"{repo}/{value['path']}"] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                it.files[f"{repo}/{value['path']}"] = it.blobs[value["oid"]]
        address = f"http://{self.headers['Host']}/{repo}/commit/{COMMIT}"
        return self.tell({"success": True, "commitOid": COMMIT, "commitUrl": address, "hookOutput": ""})

    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.behaviour.blobs[hashlib.sha256(data).hexdigest()] = data
        return self.tell({})

    def allowed(self):
        return self.headers.get("Authorization") == f"Bearer {self.behaviour.token}"

    def tell(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, code, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, body):
        it = self.behaviour
        it.requests.append((self.command, self.path, self.headers.get("Range", "")))
        if it.busy:
            status, headers = it.busy.pop(0)
            return self.refuse(status, "Busy", headers)
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        repo, name = (match[1], f"{match[1]}/{match[3]}") if match else ("", self.path.lstrip("/"))
        if repo in it.private and not self.allowed():
            return self.refuse(401, "RepoNotFound")
        if name not in it.files:
            known = any(key.startswith(f"{repo}/") for key in it.files)
            return self.refuse(404, "EntryNotFound" if known and repo else "RepoNotFound")
        data = it.files[name]
        digest = it.announce.get(name, hashlib.sha256(data).hexdigest())
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", f'"{digest}"') == f'"{digest}"'
        if asked and it.ranges and same:
            start = int(asked[1])
        if start >= len(data) > 0 and asked:
            return self.refuse(416, "")
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{digest}"')
        self.send_header("X-Linked-Etag", f'"{digest}"')
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if not body:
            return None
        end = len(data)
        if it.cut_after:
            end = min(end, start + it.cut_after.pop(0))
        self.wfile.write(data[start:end])
        self.wfile.flush()
        if end < len(data):
            self.close_connection = True
            self.connection.close()
        return None


@contextmanager
def serve(behaviour):
    """Run the server and yield its address."""
    handler = type("BoundHandler", (Handler,), {"behaviour": behaviour})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
