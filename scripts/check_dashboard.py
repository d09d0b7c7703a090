"""Looks at the dashboard in a real browser. Started by check-dashboard.sh, which says what it needs."""

import argparse
import contextlib
import json
import math
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile
import time

from playwright.sync_api import sync_playwright

VIEWS = ["rollouts", "groups", "distribution", "curves", "prompt", "scaling", "verifiers"]
WIDTHS = {"phone": (390, 844), "tablet": (820, 1100), "desktop": (1360, 900)}

# Each would set `pwned`, open a dialog or ask another host if text were ever taken for markup, an address or a script.
BATTERY = [
    "<script>window.pwned=1</script>",
    "<img src=x onerror=\"window.pwned=1\">",
    "<svg/onload=window.pwned=1>",
    "\"><iframe srcdoc=\"<script>parent.pwned=1</script>\">",
    "javascript:window.pwned=1",
    "</pre></template></textarea><script>alert(1)</script>",
    "<a href=javascript:alert(1)>x</a><style>@import 'http://evil.example/a.css'</style>",
    "${window.pwned=1} {{constructor.constructor('window.pwned=1')()}}",
    "<link rel=stylesheet href=//evil.example/x.css><meta http-equiv=refresh content=0;url=//evil.example>",
    "\u202egnp.exe\u202c \u200b\u0000\u001b[31m \u2066x\u2069 \ufeff \U000e0041 ‮",
    "__proto__",
    "W" * 400 + " " + "Z\u0336\u0337" * 60 + " שלום עולם",
]


def rollout(step, group, sample, right, **changes):
    """A line of a rollout file."""
    line = {
        "step": step, "task_id": f"sums-{group}", "source": "sums" if group % 2 == 0 else "products", "group": group,
        "sample": sample, "policy_version": step - 1, "prompt": f"What is {group} + {step}? Think, then answer.",
        "reference": str(group + step), "completion": f"I add {group} and {step}, so the answer is {group + step if right else 7}.",
        "prompt_ids": [1], "ids": [1, 2], "n_prompt": 9, "n_tokens": 10 + sample + step, "stop": "eos" if sample != 3 else "length",
        "verdicts": {"math": {"outcome": "judged", "score": float(right), "finding": "correct" if right else "wrong_value"}},
        "parts": {"correct": float(right)}, "reward": float(right), "outcome": float(right), "advantage": right - 0.5,
        "logp_mean": -0.3 - sample / 10, "entropy_mean": 0.4, "verify_s": 0.002,
    }
    return line | changes


def record(step, reward, **changes):
    """A record of a step."""
    line = {
        "kind": "step", "schema": 1, "step": step, "time_s": 1.79e9 + 10 * step, "reward/mean": reward, "outcome/mean": reward,
        "group/zero_std": 0.3, "group/all_right": 0.2, "group/all_wrong": 0.1, "length/mean": 20 + step, "length/truncated": 0.125,
        "policy/entropy": 1 / step, "policy/mismatch_kl": 1e-7, "policy/clip_high": 0.01, "optim/loss": 0.1, "optim/grad_norm": 1.0,
        "time/generate_s": 2.0, "time/verify_wait_s": 0.2, "time/score_s": 0.3, "time/update_s": 1.0, "time/step_s": 3.6,
        "perf/tokens_per_s": 900, "perf/mfu": 0.4, "perf/memory_gb": 3.5, "compute/flops_total": 1e12 * step, "compute/rollouts": 8 * step,
        "verify/math/correct": reward, "verify/math/wrong_value": 1 - reward, "verify/math/judged": 1, "verify/math/unjudged": 0,
        "verify/math/time_ms/p50": 0.8, "verify/math/time_ms/p95": 2.5,
    }
    return line | changes


def write_run(folder, n_steps, groups, size, hostile=False):
    """A run folder in the format of `rlvr train`."""
    (folder / "rollouts").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"schema": 1, "name": folder.name, "warnings": BATTERY[:1] if hostile else []}))
    chance = random.Random(7)
    with open(folder / "metrics.jsonl", "w") as log:
        for step in range(1, n_steps + 1):
            share = 1 / (1 + math.exp(2 - 4 * step / n_steps))
            log.write(json.dumps(record(step, share)) + "\n")
            evaluation = {"eval/sums/mean@4": share, "eval/sums/pass@4": min(1, share * 1.2), "eval/sums/n_samples": 800}
            if hostile and step == 1:
                log.writelines(json.dumps({"kind": "event", "schema": 1, "step": 1, "time_s": 1.79e9, "message": text}) + "\n" for text in BATTERY)
                evaluation |= {f"eval/{text.replace('/', '')}/mean@1": 0.5 for text in BATTERY}
            if step % max(1, n_steps // 12) == 0 or step == 1:
                log.write(json.dumps({"kind": "eval", "schema": 1, "step": step, "time_s": 1.79e9, "compute/flops_total": 1e12 * step} | evaluation) + "\n")
            lines = [rollout(step, group, sample, chance.random() < share) for group in range(groups) for sample in range(size)]
            if hostile:
                lines += [hostile_rollout(step, groups, i, text) for i, text in enumerate(BATTERY)]
            with open(folder / f"rollouts/step_{step:06d}.jsonl", "w") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)


def hostile_rollout(step, group, sample, text):
    """A rollout in which every text is hostile."""
    verdicts = {text: {"outcome": "judged", "score": 0.0, "finding": text, "detail": {text: text}}}
    texts = {"task_id": text, "source": text, "prompt": text, "reference": text, "completion": text * 3, "stop": text}
    return rollout(step, group + sample % 2, sample, False, verdicts=verdicts, parts={text: 0.5}, **texts)


@contextlib.contextmanager
def served(command, *folders):
    """The address of a dashboard over run folders."""
    process = subprocess.Popen([*command, *map(str, folders)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        line = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", line), f"not an address: {line!r}"
        yield line
    finally:
        process.terminate()
        process.wait()


class Watch:
    """A page of which everything that goes wrong is noted."""

    def __init__(self, browser, url, width, height, scheme="light"):
        self.url, self.troubles = url, []
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
        self.page = self.context.new_page()
        note = self.troubles.append
        self.page.on("console", lambda message: message.type in ("error", "warning") and note(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: note(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (note(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: request.url.startswith(url) or note(f"asked {request.url}"))
        self.page.on("requestfailed", lambda request: "ERR_ABORTED" in (request.failure or "") or note(f"failed: {request.url}"))

    def open(self, address, wait="main > :nth-child(2)"):
        self.page.goto(f"{self.url}#{address}")
        self.page.wait_for_selector(wait, state="attached")
        self.page.wait_for_timeout(350)
        return self.page

    def check(self, where):
        page = self.page
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        wide <= 0 or self.troubles.append(f"{wide} pixels too wide")
        page.evaluate("window.pwned === undefined") or self.troubles.append("a script of a rollout has run")
        self.troubles += page.evaluate(UNNAMED) + page.evaluate(FAINT)
        assert not self.troubles, f"{where}: " + "; ".join(self.troubles[:5])

    def close(self):
        self.context.close()


# Inputs and buttons that a screen reader could not name, headings and names that are there twice.
UNNAMED = """() => [...document.querySelectorAll('input, select, button, a, meter, svg[role=img], img')].filter((node) => {
  if (node.ariaHidden === 'true') return false;
  const words = [node.textContent, node.ariaLabel, node.alt, ...[...(node.labels ?? [])].map((label) => label.textContent)];
  return !words.some((word) => word?.trim());
}).map((node) => `without a name: ${node.outerHTML.slice(0, 80)}`)"""

# Text that stands out too little from what is behind it: less than 4.5 to 1, as WCAG 2 asks for.
FAINT = """() => {
  const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const colour = (text) => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = text; pen.fillRect(0, 0, 1, 1); return [...pen.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => { for (; node; node = node.parentElement) { const c = colour(getComputedStyle(node).backgroundColor); if (c[3] > 250) return c; } return [255, 255, 255]; };
  const seen = new Set();
  for (const node of document.querySelectorAll('body *')) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()) || !node.checkVisibility() || node.disabled || node.tagName === 'OPTION') continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(colour(node instanceof SVGElement ? style.fill : style.color)), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) seen.add(`faint text (${ratio.toFixed(1)} to 1): ${node.tagName.toLowerCase()}.${node.getAttribute('class')}`);
  }
  return [...seen];
}"""


def check_pages(browser, url, where):
    """Every view at every width, and in the dark, without an error, an overflow or a control without a name."""
    for name, (width, height) in WIDTHS.items():
        for scheme in ("light", "dark") if name == "desktop" else ("light",):
            watch = Watch(browser, url, width, height, scheme)
            for view in VIEWS:
                watch.open(view)
                watch.check(f"{where}, {view}, {name}, {scheme}")
            watch.close()


def check_hostile(browser, url):
    """Hostile texts are shown as they are, wherever they stand."""
    check_pages(browser, url, "hostile run")
    watch = Watch(browser, url, 1360, 900)
    page = watch.open("rollouts?order=worst")
    for _ in range(2):
        for summary in page.locator(".rollout > summary").all()[:40]:
            summary.click()
        page.wait_for_timeout(300)
        watch.check("opened rollouts")
        page.get_by_role("button", name="Next").click()
        page.wait_for_timeout(300)
    for address in ["groups?step=2&group=4", "groups?step=2&group=5", "curves?find=eval"]:
        watch.open(address)
        for summary in page.locator(".card summary").all():
            summary.click()
        watch.check(address)
    page = watch.open("groups?step=2&group=5")
    holds(lambda: all(code in page.locator("main").inner_text() for code in ["U+202E", "U+001B", "U+E0041"]))
    assert not re.search("[\u202e\u200b\u2066]", page.content()), "a hidden character is on the page"
    for text in BATTERY:
        watch.open("prompt")
        page.evaluate("([name, id]) => { location.hash = `#prompt?${new URLSearchParams({[name]: id})}`; }", ["id", text])
        page.wait_for_timeout(100)
    for text in BATTERY[:4]:
        page.evaluate("(text) => { location.hash = `#rollouts?${new URLSearchParams({text, finding: text})}`; }", text)
        page.wait_for_timeout(200)
    watch.check("hostile addresses")
    watch.close()


def until(page, condition, argument=None, timeout_s=5.0):
    """Waits until a condition holds; the page itself may not evaluate texts."""
    end = time.monotonic() + timeout_s
    while not page.evaluate(condition, argument):
        assert time.monotonic() < end, f"did not happen within {timeout_s} s: {condition} {argument or ''}"
        time.sleep(0.02)


def holds(condition, timeout_s=5.0):
    """Waits until what is seen is as it should be; a busy machine takes its time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"line {sys._getframe(1).f_lineno}: not within {timeout_s} s"
        time.sleep(0.02)


def count(page):
    """How many rollouts are said to be listed; none if it is not said yet."""
    words = page.locator(".count").inner_text().replace(",", "").split()
    return int(words[0]) if words and words[0].isdigit() else None


def first_place(page):
    """Where the first rollout of the list stands."""
    return page.evaluate("document.querySelector('.rollout .place')?.textContent ?? ''")


def check_filters(browser, url):
    """Filters, order, search, pages, opening, and the way back."""
    watch = Watch(browser, url, 1360, 900)
    page = watch.open("rollouts", ".rollout")
    holds(lambda: count(page) == 960)
    page.get_by_label("Judged").select_option("wrong")
    holds(lambda: 0 < count(page) < 960)
    wrong = count(page)
    holds(lambda: page.locator(".rollout.right").count() == 0 and page.locator(".rollout.wrong").count() == 40)
    page.get_by_label("Source").select_option("products")
    holds(lambda: 0 < count(page) < wrong)
    page.go_back()
    holds(lambda: count(page) == wrong and page.get_by_label("Source").input_value() == "")
    page.get_by_label("Judged").select_option("")
    page.get_by_role("button", name="Longest").click()
    holds(lambda: re.fullmatch("step 30 · group . · sample 7", first_place(page)))
    page.get_by_role("button", name="Next").click()
    holds(lambda: "41 to 80" in page.locator(".count").inner_text())
    page.get_by_label("Search in texts").fill("i add 3 AND 12,")
    until(page, "document.querySelector('.count').textContent.startsWith('8 found')")
    first = page.locator(".rollout > summary").first
    first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".rollout[open] .completion pre")
    assert "I add 3 and 12," in page.locator(".rollout[open] .completion pre").inner_text()
    page.get_by_role("link", name="side by side").click()
    page.wait_for_selector(".card")
    watch.check("filters")
    check_group(page)
    watch.close()


def check_group(page):
    """The rollouts of one prompt, the best first, and how many are right."""
    heading = page.locator(".group-head h3").inner_text()
    found = re.fullmatch(r"Step 12, group 3: (\d) of 8 right", heading)
    assert found, heading
    badges = page.locator(".card .badge").all_inner_texts()
    assert badges == sorted(badges) and badges.count("right") == int(found[1]) and len(badges) == 8, badges
    page.get_by_role("link", name="the same prompt across steps").click()
    page.wait_for_selector(".diff")
    holds(lambda: page.locator(".diff ins").count() > 0 and page.locator(".diff del").count() > 0)


def check_keyboard(browser, url):
    """The first stop is the link to the content, and arrows read a chart."""
    watch = Watch(browser, url, 1360, 900)
    page = watch.open("curves", ".chart path.line")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main" and "#curves" in page.url
    page.locator(".chart .canvas").first.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    said = page.locator(".chart p[aria-live]").first.inner_text()
    assert said.startswith("step 29: mean 0.86"), said
    watch.check("keyboard")
    watch.close()


def check_zoom(browser, url):
    """A stretch that is drawn over is shown alone, and all again."""
    watch = Watch(browser, url, 1360, 900)
    page = watch.open("curves", ".chart path.line")
    box = page.locator(".chart .canvas").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 60)
    page.mouse.up()
    page.wait_for_selector(".moves button")
    dots = page.locator(".chart").first.locator("circle.line")
    holds(lambda: 5 <= dots.count() <= 15)
    page.get_by_role("button", name="Show all").click()
    holds(lambda: dots.count() == 0)  # 30 points are drawn without dots
    watch.check("a stretch")
    watch.close()


# What the modules of the page compute, by values: module, expression, what it must be.
VALUES = [
    ("/dom.js", "m.number(0.000123)", "1.23e−4"),
    ("/dom.js", "m.number(-1234.4)", "−1234"),
    ("/dom.js", "m.number(null)", "–"),
    ("/dom.js", "m.number('NaN')", "NaN"),
    ("/dom.js", "m.percent(0.0312)", "3.1 %"),
    ("/dom.js", "m.seconds(0.00025)", "250 µs"),
    ("/dom.js", "m.plain('a\\u202eb')", "aU+202Eb"),
    ("/axis.js", "m.axis(0, 1, 150, 0, false).ticks.map((t) => t.label).join(' ')", "0 0.2 0.4 0.6 0.8 1.0"),
    ("/axis.js", "m.axis(1e3, 1e6, 0, 300, true).ticks.map((t) => t.label).join(' ')", "1,000 10,000 1e5 1e6"),
    ("/axis.js", "m.axis(1, 100, 0, 200, true).place(10)", 100),
    ("/axis.js", "m.axis(0, 10, 0, 200, false).value(50)", 2.5),
    ("/axis.js", "m.axis(3, 3, 0, 100, false).place(3)", 50),
    ("/diff.js", "m.difference('a b c', 'a x c').innerHTML.replaceAll(/<\\/?bdi>/g, '')", "a <del>b</del><ins>x</ins> c"),
    ("/diff.js", "m.difference('<b>', '<b>').textContent", "<b>"),
]


def check_values(browser, url):
    """The modules of the page by values."""
    watch = Watch(browser, url, 1360, 900)
    page = watch.open("verifiers")
    for module, expression, expected in VALUES:
        found = page.evaluate(f"import({module!r}).then((m) => {expression})")
        assert found == expected, f"{expression} is {found!r}, not {expected!r}"
    watch.close()


def check_live(browser, url, folder):
    """What a run writes is seen within three seconds: a point, rollouts, an evaluation; a torn line waits."""
    watch = Watch(browser, url, 1360, 900)
    page = watch.open("curves", ".chart path.line")
    log = open(folder / "metrics.jsonl", "a")
    slowest = 0.0
    for step in range(31, 34):
        lines = [json.dumps(rollout(step, 0, sample, True)) + "\n" for sample in range(4)]
        part = folder / f"rollouts/step_{step:06d}.jsonl.part"
        part.write_text("".join(lines))
        part.rename(part.with_suffix(""))
        line = json.dumps(record(step, 0.9 + step / 1000, time_s=time.time())) + "\n"
        log.write(line[:40])
        log.flush()
        page.wait_for_timeout(200)
        log.write(line[40:])
        log.flush()
        start = time.monotonic()
        wanted = f"0.{930 + step - 30}"
        until(page, "(value) => document.querySelector('.chart .legend b').textContent === value", wanted, 3)
        until(page, "(step) => document.getElementById('pulse').textContent.startsWith(`step ${step} `)", step, 3)
        slowest = max(slowest, time.monotonic() - start)
    page = watch.open("rollouts", ".rollout")
    holds(lambda: "step 33" in first_place(page))
    page = watch.open("scaling", ".figure")
    before = page.locator(".figure").get_attribute("src")
    log.write(json.dumps({"kind": "eval", "schema": 1, "step": 33, "time_s": time.time(), "compute/flops_total": 3.3e13, "eval/sums/mean@4": 0.9, "eval/sums/n_samples": 800}) + "\n")
    log.flush()
    until(page, "(before) => document.querySelector('.figure').getAttribute('src') !== before", before, 6)
    watch.check("a run that goes on")
    watch.close()
    return slowest


def check_several(browser, url, folder):
    """Runs over each other, on an axis of compute; one that is begun meanwhile is offered too."""
    watch = Watch(browser, url, 1360, 900)
    page = watch.open("curves?x=compute/flops_total&scale=log", ".chart path.line")
    holds(lambda: page.locator(".chart").first.locator("path.line").count() == 2)
    page.get_by_role("checkbox", name="second").uncheck()
    until(page, "document.querySelector('.chart').querySelectorAll('path.line').length === 1")
    write_run(folder / "third", 2, 1, 4)
    holds(lambda: page.get_by_role("checkbox", name="third").count() == 1, 6)
    watch.check("several runs")
    watch.close()


def raw(url, request):
    """The status of an answer to bytes."""
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request.encode())
        reply = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                reply += part
    return reply.decode("utf-8", "replace")


def check_server(url):
    """Who may ask, for what, and what goes along with an answer."""
    get = lambda path, host="localhost", method="GET", more="": raw(url, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n")
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "0.0.0.0", "169.254.169.254"]:
        assert " 403 " in get("/", host)[:20], host
    assert " 400 " in raw(url, "GET / HTTP/1.1\r\nHost : localhost\r\nConnection: close\r\n\r\n")[:20]
    tricks = ["/../config.toml", "/..%2f..%2fetc/passwd", "/%2e%2e/run.json", "//etc/passwd", "/api/runs/../metrics.jsonl", "/api/runs/0/..%2fmetrics.jsonl",
              "/style.css/../main.js", "/style.css%00", "/api/runs/0%20/events", "http://localhost/", "/api/runs/18446744073709551616/events"]
    for path in tricks:
        assert " 404 " in get(path)[:20], (path, get(path)[:40])
    for method in ["POST", "PUT", "DELETE", "OPTIONS"]:
        assert " 405 " in get("/api/runs", method=method)[:20], method
    assert " 403 " in get("/api/runs", more="Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n")[:20]
    page = get("/", more="Origin: http://evil.example\r\n")
    assert " 200 " in page[:20] and "access-control" not in page.lower()
    assert "default-src 'none'" in page and "nosniff" in page and "frame-ancestors 'none'" in page
    port = int(url.rstrip("/").rsplit(":", 1)[1])
    sockets = pathlib.Path("/proc/net/tcp")
    if sockets.exists():
        # Addresses are written backwards, in hexadecimal; 0A is listening.
        local = [line.split()[1] for line in sockets.read_text().splitlines()[1:] if line.split()[3] == "0A"]
        assert [address for address in local if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def check_large(browser, command, folder):
    """The first paint and the first rollouts of a run of 512,000, before and after it is indexed."""
    write_run(folder, 1000, 64, 8)
    with served(command, folder) as url:
        for when in ["at once", "indexed"]:
            watch = Watch(browser, url, 1360, 900)
            start = time.monotonic()
            watch.page.goto(f"{url}#rollouts")
            watch.page.wait_for_selector(".rollout")
            took = time.monotonic() - start
            paint = watch.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            print(f"512,000 rollouts, {when}: first paint after {paint:.0f} ms, rollouts after {took * 1000:.0f} ms")
            assert paint < 1000, "the first paint takes more than a second"
            until(watch.page, "document.getElementById('pulse').textContent.includes('512,000')", timeout_s=120)
            watch.close()


def take_screenshots(browser, url, folder):
    """Pictures of every view, for people to look at."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (width, height) in WIDTHS.items():
        for scheme in ("light", "dark"):
            watch = Watch(browser, url, width, height, scheme)
            for view in VIEWS:
                watch.open(view).wait_for_timeout(500)
                watch.page.screenshot(path=folder / f"{view}-{name}-{scheme}.png")
            watch.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", required=True)
    parser.add_argument("--screenshots", type=pathlib.Path)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        # As root, as in a container, Chromium refuses its sandbox.
        browser = playwright.chromium.launch(executable_path=arguments.browser, args=["--no-sandbox"])
        work = pathlib.Path(work)
        first, second, hostile = work / "runs/first", work / "runs/second", work / "<img src=x onerror=alert(1)>"
        write_run(first, 30, 4, 8)
        write_run(second, 20, 4, 8)
        write_run(hostile, 3, 4, 8, hostile=True)
        with served(arguments.command, first) as url:
            check_server(url)
            check_pages(browser, url, "a run")
            check_filters(browser, url)
            check_keyboard(browser, url)
            check_zoom(browser, url)
            check_values(browser, url)
            print(f"a run that goes on: seen after {check_live(browser, url, first):.1f} s at most")
            if arguments.screenshots:
                take_screenshots(browser, url, arguments.screenshots)
        with served(arguments.command, first.parent) as url:
            check_several(browser, url, first.parent)
        with served(arguments.command, hostile) as url:
            check_hostile(browser, url)
        if arguments.large:
            check_large(browser, arguments.command, work / "large")
        browser.close()
    print(f"the dashboard is as it should be, in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
