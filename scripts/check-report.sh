#!/usr/bin/env bash
# Looks at a page in Chromium as a desktop and as a telephone see it: a screenshot each, and failure if the page is wider
# than the screen, says anything on the console, runs a script or asks for anything beyond its own file.
#
#   scripts/check-report.sh                      the report of two short runs, made here
#   scripts/check-report.sh PAGE.html [DIR]      screenshots go to DIR, or to a temporary folder
#
# Needs chromium (or CHROMIUM=/path) and python3, whose standard library is enough.
set -euo pipefail

if [ $# -eq 0 ]; then
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    cargo build --release --locked -p rlvr
    rlvr=${CARGO_TARGET_DIR:-target}/release/rlvr
    work=$(mktemp -d)
    for seed in 0 1; do
        "$rlvr" train configs/quickstart.toml --out "$work/run-$seed" --set "run.seed=$seed" --set run.steps=6 \
            --set warm_start.steps=30 --set eval.every=2 2>/dev/null
    done
    "$rlvr" report "$work/run-0" "$work/run-1" --out "$work/report.html"
    set -- "$work/report.html" "$work/screenshots"
fi
page=$(realpath "$1")
out=${2:-$(mktemp -d)}
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[ -n "$chromium" ] || { echo "error: there is no chromium; install it, or set CHROMIUM" >&2; exit 1; }
mkdir -p "$out"
profile=$(mktemp -d)
trap 'kill "$browser" 2>/dev/null || true; wait "$browser" 2>/dev/null || true; rm -rf "$profile" || true' EXIT

"$chromium" --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-background-networking \
    --remote-debugging-port=0 --user-data-dir="$profile" about:blank >"$profile/log" 2>&1 &
browser=$!
for _ in $(seq 100); do
    [ -s "$profile/DevToolsActivePort" ] && break
    sleep 0.1
done
port=$(head -n 1 "$profile/DevToolsActivePort")

python3 - "$page" "$out" "$port" <<'PYTHON'
"""Drives the browser by its debugging protocol, over a web socket of this file's own."""
import base64, json, os, socket, struct, sys, urllib.request

page, out, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


class Browser:
    def __init__(self):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")
        path = json.load(urllib.request.urlopen(request))["webSocketDebuggerUrl"].split(str(port), 1)[1]
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.socket.recv(4096)
        self.rest = self.rest.split(b"\r\n\r\n", 1)[1]
        self.number, self.events = 0, []

    def read(self, n):
        while len(self.rest) < n:
            chunk = self.socket.recv(1 << 16)
            if not chunk:
                raise ConnectionError("the browser closed the connection")
            self.rest += chunk
        data, self.rest = self.rest[:n], self.rest[n:]
        return data

    def receive(self):
        text = b""
        while True:
            first, second = self.read(2)
            length = second & 127
            if length > 125:
                length = struct.unpack(">H" if length == 126 else ">Q", self.read(2 if length == 126 else 8))[0]
            text += self.read(length)
            if first & 128:
                return json.loads(text)

    def call(self, method, **parameters):
        self.number += 1
        data = json.dumps({"id": self.number, "method": method, "params": parameters}).encode()
        head = bytes([129]) + (bytes([128 | len(data)]) if len(data) < 126 else bytes([254]) + struct.pack(">H", len(data)))
        mask = os.urandom(4)
        self.socket.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))
        while True:
            message = self.receive()
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def wait(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())

    def value(self, expression):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")


# What sticks out: elements wider than the screen that no parent scrolls.
WIDE = """[...document.querySelectorAll('body *')].filter(e => {
    if (e.getBoundingClientRect().right <= innerWidth + 1) return false;
    for (let p = e; p; p = p.parentElement) if (/auto|scroll|hidden/.test(getComputedStyle(p).overflowX)) return false;
    return true;
}).slice(0, 5).map(e => e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 60))"""
complaints = []
for name, width, height, dark in [("desktop", 1280, 900, False), ("phone", 390, 844, False), ("desktop-dark", 1280, 900, True), ("phone-dark", 390, 844, True)]:
    browser = Browser()
    for domain in ["Page", "Log", "Runtime", "Network"]:
        browser.call(f"{domain}.enable")
    phone = width < 600
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.call("Emulation.setEmulatedMedia", features=[scheme])
    browser.call("Page.navigate", url=f"file://{page}")
    browser.wait("Page.loadEventFired")
    unfold = "document.querySelectorAll('details').forEach(d => d.open = true)"
    for state in ["", "-unfolded"]:
        if state:
            browser.value(unfold)
        whole = browser.value("document.documentElement.scrollWidth")
        if whole > width:
            complaints.append(f"{name}{state}: the page is {whole} px wide on a screen of {width}; {browser.value(WIDE)}")
        tall = min(browser.value("document.documentElement.scrollHeight"), 16000)
        clip = {"x": 0, "y": 0, "width": width, "height": tall, "scale": 1}
        shot = browser.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        with open(f"{out}/{name}{state}.png", "wb") as file:
            file.write(base64.b64decode(shot["data"]))
    if n := browser.value("document.scripts.length"):
        complaints.append(f"{name}: the page has {n} scripts")
    if not browser.value("document.querySelectorAll('svg').length"):
        complaints.append(f"{name}: there is no figure")
    for event in browser.events:
        parameters = event.get("params", {})
        if event.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            complaints.append(f"{name}: the console says {json.dumps(parameters)[:300]}")
        if event.get("method") == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if url != f"file://{page}" and not url.startswith(("data:", "about:")):
                complaints.append(f"{name}: the page asked for {url}")
print("\n".join(complaints) or f"the page fits, is quiet and asks for nothing; screenshots: {out}")
sys.exit(bool(complaints))
PYTHON
