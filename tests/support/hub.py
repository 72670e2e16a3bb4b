"""A small Hub on the loopback: just enough of its HTTP interface to push to and fetch from."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_right"
Files = dict[str, bytes]


def _sha(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


@dataclass
class Repository:
    """Branches point to commits; commits hold files. ``lfs`` says which of them went that way."""

    private: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    lfs: set[str] = field(default_factory=set)

    def commit(self, branch: str, files: Files, message: str = "first") -> str:
        before = self.commits.get(self.branches.get(branch, ""), {})
        sha = _sha(f"{branch} {len(self.commits)}")
        self.commits[sha] = {**before, **files}
        self.branches[branch] = sha
        self.messages.append(message)
        return sha

    def find(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.branches.get(revision)


class Hub:
    """What the stand-in knows; tests read it and corrupt it."""

    def __init__(self) -> None:
        self.address = ""
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.truncate = False
        self.asked: list[str] = []

    def add(self, repo_id: str, files: Files, *, private: bool = False) -> Repository:
        repository = Repository(private=private)
        repository.commit("main", files)
        self.repositories[repo_id] = repository
        return repository


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: object, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), Content_Type="application/json")

    def _refuse(self, status: int, code: str = "") -> None:
        headers = {"X_Error_Code": code} if code else {}
        self._send(status, b'{"error": "refused"}', **headers)

    def _signed_in(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repository(self, repo_id: str) -> Repository | None:
        found = self.hub.repositories.get(repo_id)
        if found is None or (found.private and not self._signed_in()):
            # The real one does not tell strangers what there is.
            self._refuse(404 if self._signed_in() else 401, "RepoNotFound")
            return None
        return found

    def _handle(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        body = self._body()
        if parts[:1] == ["api"]:
            self._api(parts[1:], body)
        elif path.endswith("/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif parts[:1] == ["blob"]:
            self.hub.blobs[parts[1]] = body
            self._send(200)
        elif len(parts) > 4 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._refuse(404)

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815 - http.server's names

    def _api(self, parts: list[str], body: bytes) -> None:
        if parts == ["whoami-v2"]:
            name = {"name": "tester", "type": "user", "orgs": []}
            self._json(name) if self._signed_in() else self._refuse(401)
        elif parts == ["validate-yaml"]:
            self._json({"errors": [], "warnings": []})
        elif parts == ["repos", "create"]:
            self._create(json.loads(body))
        elif parts[0] == "models" and len(parts) >= 3:
            repository = self._repository("/".join(parts[1:3]))
            if repository is not None:
                self._model(repository, "/".join(parts[1:3]), parts[3:], body)
        else:
            self._refuse(404)

    def _create(self, body: dict[str, object]) -> None:
        repo_id = f"{body.get('organization') or 'tester'}/{body['name']}"
        if repo_id in self.hub.repositories:
            self._json({"error": "exists", "url": f"{self.hub.address}/{repo_id}"}, 409)
            return
        private = bool(body.get("private") or body.get("visibility") == "private")
        self.hub.add(repo_id, {".gitattributes": b"*.onnx filter=lfs\n"}, private=private)
        self._json({"url": f"{self.hub.address}/{repo_id}"})

    def _model(self, repository: Repository, repo_id: str, parts: list[str], body: bytes) -> None:
        what, revision = parts[0] if parts else "", parts[-1] if len(parts) > 1 else "main"
        if what == "branch":
            if revision in repository.branches:
                self._refuse(409)
                return
            repository.branches[revision] = repository.branches["main"]
            self._json({})
            return
        sha = repository.find(revision)
        if sha is None:
            self._refuse(404, "RevisionNotFound")
        elif what == "preupload":
            files = [entry["path"] for entry in json.loads(body)["files"]]
            self._json({"files": [self._mode(name) for name in files]})
        elif what == "commit":
            self._commit(repository, repo_id, revision, body)
        else:
            names = [{"rfilename": name} for name in repository.commits[sha]]
            self._json({"id": repo_id, "sha": sha, "siblings": names})

    def _mode(self, name: str) -> dict[str, object]:
        mode = "lfs" if name.endswith((".onnx", ".safetensors")) else "regular"
        return {"path": name, "uploadMode": mode, "shouldIgnore": False, "oid": None}

    def _commit(self, repository: Repository, repo_id: str, branch: str, body: bytes) -> None:
        files: Files = {}
        message = ""
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
                repository.lfs.add(value["path"])
        sha = repository.commit(branch, files, message)
        url = f"{self.hub.address}/{repo_id}/commit/{sha}"
        self._json({"commitUrl": url, "commitOid": sha, "hookOutput": "", "success": True})

    def _batch(self, body: dict[str, list[dict[str, object]]]) -> None:
        objects = [
            {**entry, "actions": {"upload": {"href": f"{self.hub.address}/blob/{entry['oid']}"}}}
            for entry in body["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _resolve(self, repo_id: str, revision: str, name: str) -> None:
        repository = self._repository(repo_id)
        if repository is None:
            return
        sha = repository.find(revision)
        if sha is None:
            self._refuse(404, "RevisionNotFound")
            return
        content = repository.commits[sha].get(name)
        if content is None:
            self._refuse(404, "EntryNotFound")
            return
        headers = {
            "X_Repo_Commit": sha,
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X_Linked_Size": str(len(content)),
        }
        if self.hub.truncate and name.endswith(".onnx") and self.command == "GET":
            content = content[: len(content) // 2]
        self._send(200, content, **headers)


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Yields a Hub that answers on a free port of the loopback."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
