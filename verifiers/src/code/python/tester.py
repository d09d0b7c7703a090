

# ---- the side of the tests -----------------------------------------------------------------------------------------

PASSED, FAILED, RAISED, BROKEN, UNREADABLE = 42, 1, 2, 3, 5  # exit codes; never 0, which anyone can bring about


class Line:
    """The line to the program's side. What comes through it is believed to be a value, and nothing else."""

    def __init__(self, requests, replies):
        self.requests, self.replies = requests, replies
        self.functions, self.exceptions = [], {}

    def reference(self, value):
        if isinstance(value, Remote):
            return ["h", object.__getattribute__(value, "number")]
        if callable(value):
            self.functions.append(value)
            return ["x", len(self.functions) - 1]
        raise TypeError("an object of the tests' type `%s` cannot be passed on" % type(value).__name__)

    def resolve(self, letter, number, is_callable=False):
        if letter == "T":
            import builtins

            known = getattr(builtins, number)
            if isinstance(known, type):
                return known
        if letter != "h":
            raise TooMuch(letter)
        return (RemoteFunction if is_callable else Remote)(self, int(number))

    def receive(self):
        """Reads one message; a side that does not keep to the form has lost."""
        try:
            line = self.replies.readline(LONGEST_LINE + 1)
            if not line.endswith(b"\n"):
                os._exit(BROKEN)
            message = json.loads(line)
            if type(message) is not dict:
                os._exit(BROKEN)
            return message
        except (ValueError, RecursionError):
            os._exit(BROKEN)

    def value(self, packed):
        try:
            return unpack(packed, self.resolve)
        except BaseException:
            os._exit(BROKEN)

    def ask(self, operation, *arguments, **named):
        packed = [pack(value, self.reference) for value in arguments]
        message = {"op": operation, "a": packed}
        if named:
            message["k"] = {name: pack(value, self.reference) for name, value in named.items()}
        try:
            write_line(self.requests, message)
        except BrokenPipeError:
            os._exit(BROKEN)
        while True:
            reply = self.receive()
            if "call" not in reply:
                break
            self.serve(reply)
        if "e" in reply:
            raise self.exception(reply["e"])
        for change in reply.get("w", []):
            self.write_back(arguments, change)
        return reply

    def serve(self, request):
        """Calls a function of the tests for the program."""
        try:
            function = self.functions[request["call"]]
            arguments = [self.value(item) for item in request["a"]]
            named = {name: self.value(item) for name, item in request["k"].items()}
            answer = {"v": pack(function(*arguments, **named), self.reference)}
        except Exception as error:
            answer = {"e": str(error)}
        write_line(self.requests, answer)

    def write_back(self, arguments, change):
        """Repeats here what a call has changed there."""
        try:
            number, packed = change
            target, now = arguments[number], self.value(packed)
        except (TypeError, ValueError, IndexError):
            os._exit(BROKEN)
        if type(target) is not type(now):
            os._exit(BROKEN)
        if type(target) in (list, bytearray):
            target[:] = now
        elif type(target) in (dict, set):
            target.clear()
            target.update(now)

    def exception(self, described):
        try:
            name, base, packed = described
            arguments = self.value(packed)
            kind = self.exception_class(name, base)
        except (TypeError, ValueError):
            os._exit(BROKEN)
        try:
            return kind(*arguments)
        except Exception:
            return Exception(name)

    def exception_class(self, name, base):
        import builtins

        known = getattr(builtins, str(base), None)
        if not (isinstance(known, type) and issubclass(known, BaseException)):
            known = Exception
        if name == base:
            return known
        return self.exceptions.setdefault((name, base), type(str(name), (known,), {}))

    def load(self, name):
        reply = self.ask("load", name)
        if "missing" in reply:
            raise KeyError(name)
        if "exception" in reply:
            try:
                return self.exception_class(*reply["exception"])
            except TypeError:
                os._exit(BROKEN)
        return self.value(reply.get("v"))


def remote(operation):
    """A method that asks the object itself."""

    def method(self, *arguments, **named):
        line = object.__getattribute__(self, "line")
        return line.value(line.ask(operation, self, *arguments, **named).get("v"))

    return method


def between_remotes(operation):
    """A method for two objects of the program.

    With a value of the tests on the other side the answer would be the program's word about what the tests expect,
    and the expected value would be told to it.
    """
    ask = remote(operation)

    def method(self, other):
        return ask(self, other) if isinstance(other, Remote) else NotImplemented

    return method


class Remote:
    """An object of the program, seen from the tests."""

    __slots__ = ("line", "number")

    def __init__(self, line, number):
        object.__setattr__(self, "line", line)
        object.__setattr__(self, "number", number)

    def __eq__(self, other):
        if not isinstance(other, Remote):
            return False
        if object.__getattribute__(self, "number") == object.__getattribute__(other, "number"):
            return True
        return remote("eq")(self, other) is True

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return object.__getattribute__(self, "number")

    def __getattr__(self, name):
        if name.startswith("__") and name not in ("__name__", "__doc__", "__dict__"):
            raise AttributeError(name)
        return remote("getattr")(self, name)

    def __bool__(self):
        return remote("bool")(self) is True

    def __len__(self):
        return int(remote("len")(self))

    def __str__(self):
        return str(remote("str")(self))

    def __repr__(self):
        return str(remote("repr")(self))

    def __iter__(self):
        iterator = remote("iter")(self)
        while True:
            try:
                value = remote("next")(iterator)
            except StopIteration:
                return
            yield value

    def __enter__(self):
        return remote("getattr")(self, "__enter__")()

    def __exit__(self, *_):
        return remote("getattr")(self, "__exit__")(None, None, None)

    def __instancecheck__(self, value):
        return isinstance(value, Remote) and remote("isinstance")(value, self) is True

    __call__ = remote("call")
    __setattr__ = remote("setattr")
    __delattr__ = remote("delattr")
    __getitem__ = remote("getitem")
    __setitem__ = remote("setitem")
    __delitem__ = remote("delitem")
    __next__ = remote("next")
    __reversed__ = remote("reversed")
    __neg__, __pos__, __invert__, __abs__ = remote("neg"), remote("pos"), remote("invert"), remote("abs")
    __int__, __float__, __index__ = remote("int"), remote("float"), remote("index")


class RemoteFunction(Remote):
    """A function or a class of the program."""

    __slots__ = ()


for _name in "lt le gt ge add sub mul matmul truediv floordiv mod pow lshift rshift".split():
    setattr(Remote, "__%s__" % _name, between_remotes(_name))
for _name in "and or xor".split():
    setattr(Remote, "__%s__" % _name, between_remotes(_name if _name == "xor" else _name + "_"))


class Names(dict):
    """The builtins, and behind them what the program defines."""

    def __init__(self, line):
        import builtins

        super().__init__(vars(builtins))
        self.line = line

    def __missing__(self, name):
        value = self.line.load(name)
        if isinstance(value, RemoteFunction):
            self[name] = value
        return value


def run_tester(case, fds):
    """Runs the tests against a program in another sandbox; the exit code says how they went."""
    try:
        code = compile(read_all(fds.pop("program")), "tests.py", "exec", dont_inherit=True)
    except BaseException as error:
        sys.stderr.write("%s: %s\n" % (type(error).__name__, error))
        sys.stderr.flush()
        os._exit(UNREADABLE)
    os.close(fds.pop("report"))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    line = Line(os.fdopen(fds["out"], "wb"), os.fdopen(fds["in"], "rb"))
    status = RAISED
    try:
        hello = line.receive()
        if "e" in hello:
            raise line.exception(hello["e"])
        names = {"__name__": "tests", "__builtins__": Names(line)}
        if case.get("entry"):
            names[case["entry"]] = line.load(case["entry"])
        exec(code, names)
        status = PASSED
    except AssertionError as error:
        status = FAILED
        tell(error)
    except BaseException as error:
        tell(error)
    finally:
        os._exit(status)


def tell(error):
    try:
        sys.stderr.write("%s: %s\n" % (type(error).__name__, str(error)[:1000]))
        sys.stderr.flush()
    except BaseException:
        pass


ROLES["tester"] = run_tester
