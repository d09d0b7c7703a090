

# ---- values that cross between two sandboxes -----------------------------------------------------------------------

DEEPEST = 200
LONGEST_LINE = 4 * MB


class TooMuch(ValueError):
    """A value that does not cross: nested too deeply, too long, or of a kind that has no literal."""


def pack(value, reference, depth=0):
    """Makes JSON of a plain value; of anything else a reference to it.

    Scalars are themselves, the rest are lists that begin with a letter for the type. Only exact types are values: an
    object of a subclass could have methods of its own.
    """
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -(1 << 53) < value < 1 << 53 else ["i", hex(value)]
    if kind is float:
        return value if value - value == 0 else ["f", repr(value)]
    if depth >= DEEPEST:
        raise TooMuch("nested deeper than %d" % DEEPEST)
    letter = SEQUENCES.get(kind)
    if letter is not None:
        return [letter] + [pack(item, reference, depth + 1) for item in value]
    if kind in MAPPINGS or getattr(kind, "__module__", None) == "collections" and kind.__name__ in MAPPING_NAMES:
        packed = ["d"]
        for key, item in dict.items(value):
            packed += (pack(key, reference, depth + 1), pack(item, reference, depth + 1))
        return packed
    if kind is bytes or kind is bytearray:
        return ["b" if kind is bytes else "B", value.hex()]
    if kind is complex:
        return ["c", repr(value.real), repr(value.imag)]
    if kind is range:
        return ["r", value.start, value.stop, value.step]
    if is_named_tuple(kind):
        return ["t"] + [pack(item, reference, depth + 1) for item in tuple.__iter__(value)]
    exact = EXACT.get((kind.__module__, kind.__name__))
    if exact is not None:
        return [exact, str(value)]
    if kind.__module__ == "collections" and kind.__name__ == "deque":
        return ["q"] + [pack(item, reference, depth + 1) for item in value]
    if is_builtin(value):
        return ["T", value.__name__]
    if kind.__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return pack(value.item(), reference, depth + 1)
    return reference(value)


SEQUENCES = {list: "l", tuple: "t", set: "s", frozenset: "F"}
MAPPINGS = {dict}
MAPPING_NAMES = {"OrderedDict", "defaultdict", "Counter"}
EXACT = {("decimal", "Decimal"): "D", ("fractions", "Fraction"): "Q"}


def is_builtin(value):
    """Whether both sides know it under the same name."""
    import builtins

    if type(value) is not type and type(value) is not type(len):
        return False
    return getattr(builtins, value.__name__, None) is value


def is_named_tuple(kind):
    return kind.__bases__ == (tuple,) and hasattr(kind, "_fields") and "__eq__" not in kind.__dict__


def unpack(packed, resolve):
    """Makes the value again; raises for what `pack` does not make."""
    if not isinstance(packed, list):
        if isinstance(packed, dict):
            raise TooMuch("an object")
        return packed
    letter, rest = packed[0], packed[1:]
    if letter in CONTAINERS:
        return CONTAINERS[letter]([unpack(item, resolve) for item in rest])
    if letter == "d":
        items = [unpack(item, resolve) for item in rest]
        return dict(zip(items[0::2], items[1::2]))
    if letter in SCALARS:
        return SCALARS[letter](*rest)
    return resolve(letter, *rest)


def decimal_of(text):
    import decimal

    return decimal.Decimal(text)


def fraction_of(text):
    import fractions

    return fractions.Fraction(text)


def deque_of(items):
    import collections

    return collections.deque(items)


CONTAINERS = {"l": list, "t": tuple, "s": set, "F": frozenset, "q": deque_of}
SCALARS = {
    "i": lambda text: int(text, 16),
    "f": float,
    "b": bytes.fromhex,
    "B": bytearray.fromhex,
    "c": lambda real, imaginary: complex(float(real), float(imaginary)),
    "r": range,
    "D": decimal_of,
    "Q": fraction_of,
}


def write_line(file, message):
    line = json.dumps(message)
    if len(line) >= LONGEST_LINE:
        raise TooMuch("longer than %d bytes" % LONGEST_LINE)
    file.write(line.encode() + b"\n")
    file.flush()


# ---- the side of the program ---------------------------------------------------------------------------------------


class Program:
    """Does what the tests ask of the program's functions and objects."""

    def __init__(self, module, requests, replies):
        self.module, self.requests, self.replies = module, requests, replies
        self.objects, self.numbers = [], {}

    def reference(self, value):
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        return ["h", number, callable(value)]

    def resolve(self, letter, key, *_):
        if letter == "h":
            return self.objects[key]
        if letter == "n":
            return self.module.__dict__[key]
        if letter == "T":
            import builtins

            return getattr(builtins, key)
        return lambda *arguments, **named: self.call_back(key, arguments, named)

    def call_back(self, number, arguments, named):
        """Calls a function of the tests that was passed to one of the program's."""
        message = {"call": number, "a": [pack(value, self.reference) for value in arguments],
                   "k": {name: pack(value, self.reference) for name, value in named.items()}}
        write_line(self.replies, message)
        answer = json.loads(self.requests.readline())
        if "e" in answer:
            raise RuntimeError(answer["e"])
        return unpack(answer["v"], self.resolve)

    def load(self, name):
        value = self.module.__dict__[name]
        if isinstance(value, type) and issubclass(value, BaseException):
            return {"exception": describe_class(value)}
        return {"v": pack(value, self.reference)}

    def answer(self, request):
        operation, packed = request["op"], request["a"]
        if operation == "load":
            return self.load(packed[0]) if packed[0] in self.module.__dict__ else {"missing": True}
        arguments = [unpack(value, self.resolve) for value in packed]
        named = {name: unpack(value, self.resolve) for name, value in request.get("k", {}).items()}
        result = OPERATIONS[operation](*arguments, **named)
        reply = {"v": pack(result, self.reference)}
        changed = [[i, now] for i, (now, before) in enumerate(zip(self.repacked(arguments), packed))
                   if now is not None and now != before]
        if changed:
            reply["w"] = changed
        return reply

    def repacked(self, arguments):
        """What can be changed in place, as it is now."""
        return [pack(value, self.reference) if type(value) in (list, dict, set, bytearray) else None
                for value in arguments]

    def reply(self, work):
        try:
            message = work()
        except BaseException as error:
            message = {"e": describe(error, self.reference)}
        try:
            write_line(self.replies, message)
        except TooMuch as error:
            write_line(self.replies, {"e": describe(error, self.reference)})


def call(function, *arguments, **named):
    return function(*arguments, **named)


def operations():
    import operator

    names = ("lt le gt ge add sub mul matmul truediv floordiv mod pow and_ or_ xor lshift rshift neg pos invert "
             "getitem setitem delitem index").split()
    table = {name: getattr(operator, name) for name in names}
    table.update(call=call, getattr=getattr, setattr=setattr, delattr=delattr, len=len, iter=iter, next=next, str=str,
                 repr=repr, bool=bool, eq=operator.eq, hash=hash, isinstance=isinstance, abs=abs, int=int, float=float,
                 reversed=reversed)
    return table


OPERATIONS = operations()


def describe_class(kind):
    """Its name, and the nearest class that both sides know."""
    import builtins

    known = [base.__name__ for base in kind.__mro__ if getattr(builtins, base.__name__, None) is base]
    return [kind.__name__, known[0] if known else "Exception"]


def describe(error, reference):
    try:
        arguments = pack(error.args, reference)
    except BaseException:
        arguments = ["t", "(unreadable)"]
    return describe_class(type(error)) + [arguments]


def run_driver(case, fds):
    """Loads the program as a module, and serves the tests."""
    program = read_all(fds.pop("program"))
    module, path = main_module("solution", program)
    code = compiled(program, path, fds["report"])
    os.close(fds.pop("report"))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    requests, replies = os.fdopen(fds["in"], "rb"), os.fdopen(fds["out"], "wb")
    side = Program(module, requests, replies)
    side.reply(lambda: exec(code, module.__dict__) or {"v": None})
    for line in requests:
        side.reply(lambda: side.answer(json.loads(line)))
    os._exit(0)


ROLES["driver"] = run_driver
