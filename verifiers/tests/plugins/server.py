"""Judges over HTTP whether the last number of a completion is the reference."""
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def judge(attempt):
    numbers = re.findall(r"-?\d+", attempt["completion"])
    return {"id": attempt["id"], "score": int(numbers[-1:] == [attempt["reference"]])}


class Judge(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = json.dumps({"verdicts": [judge(attempt) for attempt in request["attempts"]]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Judge).serve_forever()
