"""Checks that W&B's own client and TensorBoard read what rlvr writes; see check-trackers.sh, which runs it.

    python check_trackers.py RLVR WORK

RLVR is the binary, WORK an empty folder. Real training runs, a server on the loopback address, the real clients.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from wandb_backend import Backend

RLVR, WORK = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
WANDB = Path(sys.executable).parent / "wandb"
KEY = "0123456789abcdef" * 2 + "01234567"

CONFIG = """
[run]
steps = 12
threads = 1

[policy]
preset = "tiny"
sizes = { hidden_size = 32, intermediate_size = 64, n_layers = 2, n_heads = 4, n_kv_heads = 2, max_positions = 64 }
tokenizer = { characters = { list = "0123456789+-=()" } }

[[tasks]]
generator = "arithmetic"
n = 30
prompt_template = "{problem}="
params = { max_operand = 5 }

[warm_start]
steps = 80
examples_per_step = 32
lr = 1e-2

[rollouts]
prompts_per_step = 4
group_size = 4
max_new_tokens = 6

[optimizer]
lr = 1e-3

[eval]
every = 4
samples = 2
sampling = { temperature = 1.0 }

[[eval.tasks]]
generator = "arithmetic"
n = 10
prompt_template = "{problem}="
params = { max_operand = 5 }

[checkpoint]
every = 4

[track]
tensorboard = true

[track.wandb]
project = "check"
entity = "tester"
group = "trackers"
tags = ["a tag", "another"]
"""
# A run that ends when it is told to.
ENDLESS = [
    "run.steps=1000000",
    "checkpoint.every=50",
    "eval.every=100",
    "rollouts.record_every=50",
    "track.wandb.table_every=50",
    "warm_start.steps=20",
]


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(part) for part in what))


def environment(name, backend):
    """The environment of a client that knows nothing but our server."""
    home = WORK / name / "home"
    home.mkdir(parents=True, exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    return {
        **kept,
        "HOME": str(home),
        "WANDB_BASE_URL": backend.url,
        "WANDB_API_KEY": KEY,
        "WANDB_ERROR_REPORTING": "false",
        "NO_COLOR": "1",
    }


def train(name, env, settings=(), resume=False):
    """Starts a run; its stderr goes to a file."""
    folder = WORK / name
    config = folder / "check.toml"
    config.write_text(CONFIG)
    command = [RLVR, "train", config, "--out", folder / "run"]
    for setting in settings:
        command += ["--set", setting]
    with open(folder / "stderr", "a") as stderr:
        return subprocess.Popen(command + (["--resume"] if resume else []), env=env, stderr=stderr)


def finished(process, name, code=0):
    found = process.wait(timeout=120)
    check(found == code, name, "ended with", found, (WORK / name / "stderr").read_text()[-3000:])


def wait_for(what, condition, process=None, timeout=90):
    start = time.monotonic()
    while not condition():
        check(process is None or process.poll() is None, "the run ended before:", what)
        check(time.monotonic() - start < timeout, "never happened:", what)
        time.sleep(0.1)


def is_still(count):
    """Whether a count stays the same for longer than clients wait between two requests."""
    before = count()
    time.sleep(17)
    return count() == before


def records(name):
    """The records of a run that are rows of history."""
    lines = (WORK / name / "run/metrics.jsonl").read_text().splitlines(keepends=True)
    all_records = [json.loads(line) for line in lines if line.endswith("\n")]
    return [record for record in all_records if record["kind"] in ("step", "sft", "eval")]


def newest_log(name):
    return max((WORK / name / "run/wandb").glob("offline-run-*"), key=lambda path: path.stat().st_mtime_ns)


def identity(name):
    return json.loads((WORK / name / "run/run.json").read_text())["id"]


def sync(name, env, log, *options):
    command = [WANDB, "sync", *options, log]
    done = subprocess.run(command, cwd=WORK / name, env=env, capture_output=True, text=True, timeout=120)
    check(done.returncode == 0, "wandb sync:", done.stdout, done.stderr)
    return done.stdout + done.stderr


def check_rows(run, name):
    """The server has exactly the rows of the run's log, in order, with their values."""
    expected, rows = records(name), run.rows()
    check(run.offsets("wandb-history.jsonl") == list(range(len(expected))), name, len(rows), "of", len(expected))
    for i, (record, row) in enumerate(zip(expected, rows)):
        check(row["_step"] == i, name, "row", i, "is", row["_step"])
        for key in ("reward/mean", "compute/flops_total", "sft/loss"):
            check(row.get(key) == record.get(key), name, "row", i, key, row.get(key), record.get(key))
    return rows


def check_meaning(run, name, rows):
    """Config, axes, summary, table, machine and console arrived too."""
    check(run.variables["displayName"] == "check", run.variables)
    check(run.variables["groupName"] == "trackers", run.variables)
    check(sorted(run.variables["tags"]) == ["a tag", "another"], run.variables)
    config = run.config()
    check(config["rollouts"]["group_size"] == 4 and config["policy"]["preset"] == "tiny", config)
    check(config["rlvr"]["model"]["layers"] == 2, config["rlvr"])
    found = axes(run)
    check(found["reward/*"] == found["eval/*"] == "compute/flops_total" and found["sft/*"] == "sft/step", found)
    summary = run.summary()
    last = {key: value for row in rows for key, value in row.items()}
    check(summary["reward/mean"] == last["reward/mean"], summary["reward/mean"], last["reward/mean"])
    table = summary["rollouts"]
    uploaded = json.loads(run.uploads[table["path"]])
    check(len(uploaded["data"]) == table["nrows"] == 16 and uploaded["columns"][6] == "completion", table)
    check(last["histogram/length"]["_type"] == "histogram" and sum(last["histogram/length"]["values"]) == 16, last)
    check("wandb-metadata.json" in run.uploads, list(run.uploads))
    events = [json.loads(line) for line in run.lines["wandb-events.jsonl"].values()]
    check(any("system.cpu" in event for event in events), events)
    output = "\n".join(run.lines["output.log"].values())
    check("held-out accuracy" in output and "zero variance" in output, output[-500:])


def axes(run):
    """What the metrics of each pattern are drawn over."""
    metrics = run.config()["_wandb"]["m"]
    return {metric["2"]: metrics[metric["5"] - 1]["1"] for metric in metrics if "2" in metric}


def offline():
    """A short run, its log synced, then exported and synced again."""
    name, backend = "offline", Backend()
    env = environment(name, backend)
    finished(train(name, env), name)
    check(backend.operations == [], "an offline run called the server")
    said = sync(name, env, newest_log(name))
    run = backend.runs[identity(name)]
    rows = check_rows(run, name)
    check_meaning(run, name, rows)
    check(run.complete and run.exit_code == 0, "exit code", run.exit_code, said)
    check(list(newest_log(name).glob("*.synced")), "there is no marker that the log is synced")

    again = Backend()
    out = WORK / name / "exported"
    subprocess.run([RLVR, "export", WORK / name / "run", "--to", "wandb", "--out", out], check=True, capture_output=True)
    sync(name, environment(name, again), next(out.glob("offline-run-*")))
    exported = again.runs[identity(name)]
    check_meaning(exported, name, check_rows(exported, name))
    check(exported.complete and exported.exit_code == 0, "exit code of the export", exported.exit_code)
    check(exported.rows() == run.rows(), "a replay makes other rows")

    # The server loses some rows; what it lacks is sent, and nothing twice.
    kept = dict(list(sorted(exported.lines["wandb-history.jsonl"].items()))[:90])
    exported.lines["wandb-history.jsonl"] = kept
    send = [RLVR, "export", WORK / name / "run", "--to", "wandb", "--send"]
    subprocess.run(send, check=True, capture_output=True, env=environment(name, again))
    check(exported.rows() == run.rows(), "sending again makes other rows")
    return f"{len(rows)} rows, config, axes, summary, table, machine, console and exit code; the export is the same"


def tensorboard():
    """The event files of the short run, and an export of it, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    name = "offline"
    run, out = WORK / name / "run", WORK / name / "events"
    subprocess.run([RLVR, "export", run, "--to", "tensorboard", "--out", out], check=True, capture_output=True)
    steps = [record for record in records(name) if record["kind"] == "step"]
    for folder in (run / "tensorboard", out):
        events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0, "histograms": 0}).Reload()
        scalars = [(event.step, event.value) for event in events.Scalars("reward/mean")]
        check([step for step, _ in scalars] == [record["step"] for record in steps], scalars)
        for (_, value), record in zip(scalars, steps):
            check(abs(value - record["reward/mean"]) < 1e-6, value, record["reward/mean"])
        histogram = events.Histograms("histogram/length")[-1].histogram_value
        check(histogram.num == 16 and abs(histogram.sum - 16 * steps[-1]["length/mean"]) < 1e-6, histogram)
        text = events.Tensors("rollouts/0")[0].tensor_proto.string_val[0].decode()
        check("completion:" in text, text)
        content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        settings = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
        check(settings["run.steps"].number_value == 12 and settings["policy.preset"].string_value == "tiny", settings)
        content = events.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
        check(plugin_data_pb2.HParamsPluginData.FromString(content).session_end_info.status == 1, "the end")
        by_tokens = EventAccumulator(str(folder / "by_tokens")).Reload().Scalars("reward/mean")
        check([event.step for event in by_tokens] == [r["compute/tokens_gen"] for r in steps], by_tokens)
    return f"{len(steps)} steps of scalars, histograms, texts, hyperparameters; the second axis counts tokens"


def live():
    """A run streamed while it runs, killed, resumed and stopped; the log of the resumed run is the whole run."""
    name, backend = "live", Backend()
    env = environment(name, backend)
    process = train(name, env, ENDLESS)
    wandb = WORK / name / "run/wandb"
    wait_for("a log", lambda: list(wandb.glob("offline-run-*/*.wandb")), process)
    killed = newest_log(name)
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    stream = subprocess.Popen([WANDB, "beta", "sync", "--live", killed], cwd=WORK / name, env=env, **silent)
    try:
        received = lambda: len(backend.run(identity(name)).rows())
        wait_for("rows of a running run on the server", lambda: received() > 20, process)
        n_live = received()
        wait_for("a checkpoint", lambda: list((WORK / name / "run/checkpoints").glob("step_0*[05]0")), process)
        process.kill()
        process.wait()
        n_killed = len(records(name))
        # The client waits for more, and is ended when it has sent what there is.
        wait_for("what was written before the kill", lambda: n_killed - received() < 300 and is_still(received))
    finally:
        process.kill()
        stream.kill()
        stream.wait()

    process = train(name, env, ENDLESS, resume=True)
    wait_for("more rows than before", lambda: len(records(name)) > n_killed + 5, process)
    process.send_signal(signal.SIGINT)
    finished(process, name)
    log = newest_log(name)
    check(log != killed and identity(name) in log.name and identity(name) in killed.name, log, killed)
    sync(name, env, log)
    run = backend.runs[identity(name)]
    rows = check_rows(run, name)
    check(list(backend.runs) == [identity(name)], "the resumed run is another one", list(backend.runs))
    check(run.complete and run.exit_code == 0, "exit code", run.exit_code)
    return f"{n_live} rows on the server while it ran; killed at {n_killed}, resumed, {len(rows)} rows under one identity"


def online():
    """A run sent while it runs, through an outage of the server, until Stop is pressed."""
    name, backend = "online", Backend()
    env = environment(name, backend)
    stderr = WORK / name / "stderr"
    process = train(name, env, [*ENDLESS, "track.wandb.mode=online"])
    wait_for("rows on the server", lambda: any(run.rows() for run in backend.runs.values()), process)
    run = backend.runs[identity(name)]
    backend.stop()
    wait_for("a warning", lambda: "warning: W&B cannot be reached" in stderr.read_text(), process)
    n_down, before = len(run.rows()), len(records(name))
    wait_for("training during the outage", lambda: len(records(name)) > before + 20, process)
    backend.start()
    wait_for("the rows of the outage", lambda: len(run.rows()) > before + 20, process)
    backend.stopped = True
    finished(process, name)
    check("Stop was pressed" in stderr.read_text(), stderr.read_text()[-2000:])
    rows = check_rows(run, name)
    check_meaning(run, name, rows)
    check(run.complete and run.exit_code == 0, "exit code", run.exit_code)
    check(backend.authorizations == {"Basic " + __import__("base64").b64encode(f"api:{KEY}".encode()).decode()}, "the key")
    again = Backend()
    sync(name, environment(name, again), newest_log(name))
    check(again.runs[identity(name)].rows() == rows, "the offline log holds other rows than were sent")
    theirs, ours = axes(again.runs[identity(name)]), axes(run)
    check(theirs == ours, "what metrics are drawn over online is not that of the log:", ours, theirs)
    return f"{n_down} rows, an outage, {len(rows)} rows in the end; Stop ended the run with 0; the offline log is the same"


def dead():
    """A run whose server was never there costs a warning and nothing else."""
    name, backend = "dead", Backend()
    env = environment(name, backend)
    backend.stop()
    start = time.monotonic()
    finished(train(name, env, ["track.wandb.mode=online"]), name)
    text = (WORK / name / "stderr").read_text()
    check("W&B cannot be reached" in text and "were not sent; send them with: rlvr export" in text, text)
    backend.start()
    sync(name, env, newest_log(name))
    rows = check_rows(backend.runs[identity(name)], name)
    return f"{time.monotonic() - start:.1f} s in all; `wandb sync` then sent {len(rows)} rows"


def main():
    failures = []

    def run(*checks):
        for one in checks:
            start = time.monotonic()
            try:
                print(f"{one.__name__}: {one()} ({time.monotonic() - start:.0f} s)", flush=True)
            except Exception as error:  # the others are told too
                failures.append(one.__name__)
                print(f"{one.__name__}: FAILED: {error}", flush=True)

    threads = [threading.Thread(target=run, args=checks) for checks in ((offline, tensorboard, dead), (live,), (online,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(f"failed: {', '.join(failures)}" if failures else 0)


main()
