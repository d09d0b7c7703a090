"""A stand-in for the server of W&B on the loopback address: it takes what clients send and remembers it.

It answers the calls that the client and rlvr make, and nothing else. With `up = False` it listens to nobody.
"""

import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Run:
    """What was received of a run."""

    def __init__(self):
        self.variables = {}  # of the newest UpsertBucket
        self.lines = {}  # file name -> {offset: line}
        self.uploads = {}  # path -> bytes
        self.complete = False
        self.exit_code = None

    def rows(self):
        lines = self.lines.get("wandb-history.jsonl", {})
        return [json.loads(lines[i]) for i in sorted(lines)]

    def offsets(self, name):
        return sorted(self.lines.get(name, {}))

    def summary(self):
        return json.loads(self.lines["wandb-summary.json"][0])

    def config(self):
        return {key: value["value"] for key, value in json.loads(self.variables["config"]).items()}


class Backend:
    """The server and what it has received, by the identity of runs."""

    def __init__(self):
        self.runs = {}
        self.operations = []
        self.authorizations = set()
        self.stopped = False  # whether Stop has been pressed
        self.lock = threading.Lock()
        self.server = None
        self.port = 0
        self.start()

    def start(self):
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                backend.answer(self)

            do_PUT = do_GET = do_POST

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a client that hangs up is none
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Listens to nobody until it is started again, on the same port."""
        self.server.shutdown()
        self.server.server_close()
        self.server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def run(self, identity):
        return self.runs.setdefault(identity, Run())

    def answer(self, request):
        body = read_body(request)
        if self.server is None:  # a connection of before is kept open by a thread of its own
            request.close_connection = True
            request.connection.close()
            return
        with self.lock:
            reply = self.reply(request, body)
        data = json.dumps(reply).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def reply(self, request, body):
        stream = re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", request.path)
        upload = re.fullmatch(r"/upload/([^/]+)/(.+)", request.path)
        if request.path == "/graphql":
            self.authorizations.add(request.headers.get("Authorization"))
            return self.graphql(json.loads(body))
        if stream:
            return self.stream(self.run(stream[1]), json.loads(body))
        if upload:
            self.run(upload[1]).uploads[upload[2]] = body
        return {}

    def stream(self, run, body):
        for name, file in (body.get("files") or {}).items():
            lines = run.lines.setdefault(name, {})
            for i, line in enumerate(file["content"]):
                lines[file["offset"] + i] = line
        run.complete = run.complete or body.get("complete") is True
        if body.get("exitcode") is not None:
            run.exit_code = body["exitcode"]
        return {"exitcode": None, "limits": {}, "stopped": self.stopped}

    def graphql(self, call):
        query, variables = call["query"], call.get("variables") or {}
        operation = re.search(r"(?:query|mutation)\s+(\w+)", query)
        operation = operation[1] if operation else query.strip()[:40]
        self.operations.append(operation)
        if operation == "UpsertBucket":
            return {"data": {"upsertBucket": {"bucket": self.upsert(variables), "inserted": True}}}
        if operation == "CreateRunFiles":
            run = variables.get("run") or variables.get("name")
            files = [{"name": name, "uploadUrl": f"{self.url}/upload/{run}/{name}"} for name in variables["files"]]
            return {"data": {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": files}}}
        if operation == "Viewer":
            viewer = {"id": "V", "entity": "tester", "username": "tester", "flags": "{}", "teams": {"edges": []}}
            return {"data": {"viewer": viewer}}
        if operation == "ServerInfo":
            return {"data": {"serverInfo": {"cliVersionInfo": {}, "latestLocalVersionInfo": None}}}
        if operation == "RunResumeStatus":
            return {"data": {"model": {"id": "P", "name": "p", "bucket": None}}}
        return {"data": {}}

    def upsert(self, variables):
        run = self.run(variables["name"])
        run.variables = {**run.variables, **{key: value for key, value in variables.items() if value is not None}}
        project = variables.get("project") or "uncategorized"
        return {
            "id": "B",
            "name": variables["name"],
            "displayName": run.variables.get("displayName"),
            "description": "",
            "config": run.variables.get("config"),
            "sweepName": None,
            "historyLineCount": len(run.lines.get("wandb-history.jsonl", {})),
            "project": {"id": "P", "name": project, "entity": {"id": "E", "name": variables.get("entity") or "tester"}},
        }


def read_body(request):
    if request.headers.get("Transfer-Encoding", "").lower() == "chunked":
        parts = []
        while size := int(request.rfile.readline().split(b";")[0], 16):
            parts.append(request.rfile.read(size))
            request.rfile.readline()
        request.rfile.readline()
        body = b"".join(parts)
    else:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
    return gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
