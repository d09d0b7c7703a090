"""Calls a reward function for rlvr: requests come in and answers go out as JSON lines, one for one.

Run as `python3 -c DRIVER CONFIG`. The protocol moves to descriptors of its own before any of the user's code is
loaded: what the function prints goes to stderr, and what it reads is empty. The function runs in the main thread,
since some set alarms, and alarms work nowhere else.
"""

import asyncio
import importlib.util
import inspect
import json
import math
import os
import queue
import signal
import sys
import threading
import time
import traceback
import types

LONGEST_TEXT = 1000
CALLBACKS = ("trainer_state", "log_extra", "log_metric")
RESERVED = ("prompts", "completions", "completion_ids") + CALLBACKS


def main():
    config = json.loads(sys.argv[1])
    requests, replies = take_protocol()
    function = load(config["path"], config["function"])
    adapter = {"trl": Trl, "verl": Verl}[config["kind"]](function, config)
    waiting = queue.Queue()
    threading.Thread(target=read_requests, args=(requests, waiting), daemon=True).start()
    reply(replies, {"ready": True})
    while True:
        line = waiting.get()
        if line is None:
            return
        request = json.loads(line)
        reply(replies, dict(answer(adapter, request), id=request["id"]))


def take_protocol():
    """Moves stdin and stdout away from the user's code."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8", newline="\n")
    replies = os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return requests, replies


def read_requests(requests, waiting):
    """Queues the requests. When they end, rlvr is done or dead: nothing may run on for long."""
    for line in requests:
        waiting.put(line)
    waiting.put(None)
    time.sleep(2.0)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def reply(replies, message):
    replies.write(json.dumps(message, allow_nan=False) + "\n")
    replies.flush()


def give_up(why):
    sys.stderr.write(why + "\n")
    sys.stderr.flush()
    os._exit(2)


# Loading


def load(path, name):
    """Loads a file as Python itself would, under its own name but not as `__main__`, and returns its function."""
    path = os.path.abspath(path)
    module_name, root = module_of(path)
    sys.path[0] = root
    sys.argv = [path]
    spec = importlib.util.spec_from_file_location(module_name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        give_up("`%s` cannot be loaded\n%s" % (path, told(error)[1]))
    function = module
    for part in name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        known = sorted(k for k, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module_name)
        give_up("`%s` has no function `%s`; it has %s" % (path, name, ", ".join(known) or "none"))
    return function


def module_of(path):
    """Returns the name of the module that a file is, and the folder from which Python finds it."""
    folder, name = os.path.dirname(path), os.path.splitext(os.path.basename(path))[0]
    parts = [] if name == "__init__" else [name]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, package = os.path.split(folder)
        parts.insert(0, package)
    name = ".".join(parts)
    taken = name in sys.modules or name in getattr(sys, "stdlib_module_names", ())
    return ("rlvr_user_" + name if taken else name), folder


# Calling


def answer(adapter, request):
    """Answers a request; whatever the user's code raises is an answer, too."""
    try:
        return adapter.answer(request)
    except BaseException as error:
        why, trace = told(error)
        return {"outcome": "unjudged", "why": why, "traceback": trace}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)  # an alarm that was left on would hit the next call


def told(error):
    """Returns the last line of a traceback and the whole of it, without the frames of this file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == "<string>":
        trace = trace.tb_next
    try:
        last = traceback.format_exception_only(type(error), error)[-1].strip()
    except Exception:
        last = type(error).__name__
    try:
        whole = "".join(traceback.format_exception(type(error), error, trace)).rstrip()
    except Exception:
        whole = last
    return cut(last), whole[-4 * LONGEST_TEXT :]


class Function:
    """A function with what its signature accepts."""

    def __init__(self, function):
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        self.loop = None
        try:
            self.parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):  # some built-in functions have no signature
            self.parameters = {}
        kinds = [p.kind for p in self.parameters.values()]
        self.takes_all = not kinds or inspect.Parameter.VAR_KEYWORD in kinds

    def names(self, name):
        return name in self.parameters

    def requires(self, name):
        return self.names(name) and self.parameters[name].default is inspect.Parameter.empty

    def call(self, arguments):
        """Calls it with those of the arguments that it accepts, and waits for the result if that must be awaited."""
        if not self.takes_all:
            arguments = {k: v for k, v in arguments.items() if self.names(k)}
        result = self.function(**arguments)
        if inspect.isawaitable(result):
            if self.loop is None:
                self.loop = asyncio.new_event_loop()
                asyncio.set_event_loop(self.loop)
            result = self.loop.run_until_complete(awaited(result))
        return result


async def awaited(result):
    return await result


class Trl:
    """`f(prompts, completions, **columns) -> list[float | None]`, for a batch."""

    def __init__(self, function, config):
        self.function = Function(function)
        self.columns = config["columns"]
        self.completions = config["completions"]
        self.encode = tokenizer(config["tokenizer"]) if config["tokenizer"] else None
        if self.encode is None and self.function.requires("completion_ids"):
            give_up(
                "`%s` asks for `completion_ids`, but a verifier sees text; name the model's `tokenizer` in the options"
                % self.function.name
            )

    def answer(self, request):
        rows = request["attempts"]
        values = self.function.call(self.arguments(rows))
        if values is None or isinstance(values, (str, bytes, dict)):
            raise TypeError("`%s` returned %s, not a list of numbers" % (self.function.name, type(values).__name__))
        values = list(values)
        if len(values) != len(rows):
            counts = (self.function.name, len(values), len(rows))
            raise ValueError("`%s` returned %d values for %d completions" % counts)
        return {"verdicts": [score_of(value, self.function.name) for value in values]}

    def arguments(self, rows):
        texts = [row["completion"] for row in rows]
        arguments = dict.fromkeys(CALLBACKS)
        arguments.update(trainer_state=TrainerState(), log_extra=ignore, log_metric=ignore)
        arguments.update(columns_of(rows, self.columns))
        arguments["prompts"] = [row["prompt"] for row in rows]
        arguments["completions"] = [self.completion(row) for row in rows]
        if self.encode is not None and self.function.names("completion_ids"):
            arguments["completion_ids"] = [self.encode(text) for text in texts]
        return arguments

    def completion(self, row):
        chat = isinstance(row["prompt"], list) if self.completions == "auto" else self.completions == "chat"
        return [{"role": "assistant", "content": row["completion"]}] if chat else row["completion"]


class TrainerState(types.SimpleNamespace):
    """Stands for the trainer's state: at step 0, with nothing else known."""

    global_step = 0
    max_steps = 0
    epoch = 0.0

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def ignore(*_, **__):
    """Stands for the trainer's log."""


def columns_of(rows, fields):
    """Returns the columns of a batch, None where a row lacks one: named fields, then `meta`, then `spec` over it."""
    tables = []
    for row in rows:
        table = {name: row[field] for name, field in fields.items() if row[field] is not None}
        table.update(row["meta"])
        if isinstance(row["spec"], dict):
            table.update(row["spec"])
        tables.append(table)
    names = dict.fromkeys(name for table in tables for name in table if name not in RESERVED)
    return {name: [table.get(name) for table in tables] for name in names}


def tokenizer(path):
    from tokenizers import Tokenizer

    path = os.path.join(path, "tokenizer.json") if os.path.isdir(path) else path
    encoder = Tokenizer.from_file(path)
    return lambda text: encoder.encode(text, add_special_tokens=False).ids


class Verl:
    """`compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs) -> float | dict`, for one."""

    def __init__(self, function, config):
        self.function = Function(function)
        self.extra = config["kwargs"]
        self.judge_by = config["judge_by"]
        known = ["data_source", "solution_str", "ground_truth", "extra_info", *self.extra]
        unknown = [name for name in self.function.parameters if self.function.requires(name) and name not in known]
        unknown = [n for n in unknown if self.function.parameters[n].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        # Some of verl's own files call the completion by another name.
        alone = len(unknown) == 1 and not self.function.names("solution_str")
        self.completion_name = unknown[0] if alone else "solution_str"

    def answer(self, row):
        spec = row["spec"] if isinstance(row["spec"], dict) else {}
        meta = row["meta"]
        reward_model = meta.get("reward_model")
        reward_model = reward_model if isinstance(reward_model, dict) else {}
        extra = first("extra_info", spec, meta)
        arguments = {
            "data_source": first("data_source", spec, meta) or row["source"],
            self.completion_name: row["completion"],
            "ground_truth": first("ground_truth", spec, reward_model, {"ground_truth": row["reference"]}),
            "extra_info": dict(extra if isinstance(extra, dict) else meta),
        }
        arguments.update(self.extra)
        result = self.function.call(arguments)
        return self.verdict(result)

    def verdict(self, result):
        if isinstance(result, dict):
            return self.verdict_of_dict(result)
        if isinstance(result, (list, tuple)) and result:
            result = result[0]
        return score_of(result, self.function.name)

    def verdict_of_dict(self, result):
        by_acc = self.judge_by == "acc" or (self.judge_by is None and result.get("acc") is not None)
        key = "acc" if by_acc else "score"
        if key not in result:
            raise KeyError("`%s` returned a dict without `%s`" % (self.function.name, key))
        verdict = score_of(result[key], self.function.name)
        if by_acc and "score" in verdict:
            verdict["acc"] = verdict.pop("score")
        verdict["detail"] = {str(k): plain(v) for k, v in result.items() if k != key}
        return verdict


def first(key, *tables):
    return next((table[key] for table in tables if table.get(key) is not None), None)


def score_of(value, name):
    """Returns the verdict that a number is; the range is checked by rlvr."""
    if value is None:
        return {"outcome": "abstained"}  # it does not apply to this attempt
    if hasattr(value, "item") and not isinstance(value, (int, float)):
        value = value.item()  # a number of numpy or torch
    if not isinstance(value, (int, float)):
        return unjudged("`%s` returned %s, not a number" % (name, cut(repr(value))))
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        return unjudged("`%s` returned %s, which is no score" % (name, value))
    return {"score": value}


def unjudged(why):
    return {"outcome": "unjudged", "why": why}


def plain(value):
    """Returns a value that a record can hold."""
    if hasattr(value, "item") and not isinstance(value, (int, float)):
        try:
            value = value.item()
        except Exception:
            return cut(repr(value))
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**53):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return cut(value if isinstance(value, str) else repr(value))


def cut(text):
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"


main()
