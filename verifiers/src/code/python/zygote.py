"""The fork server: waits for cases, and runs each in a fresh sandbox made of a copy of itself.

It has loaded an interpreter and the usual modules. For every case it clones itself into new namespaces; the clone, pid 1
of the case, mounts what is private to the case, forks the process that becomes the program, and watches it. When pid 1
ends the kernel ends whatever else the program has started. No case is ever run here itself, and what a case must not
know never passes through this process: programs and inputs are descriptors, opened by the clone alone.

Requests arrive on descriptor 0, one packet each: {"cases": [...]} with the descriptors that the cases name. The first
packet is the configuration. A case answers on its own `report` descriptor, in lines of JSON.
"""
import ctypes, json, os, resource, select, signal, socket, sys, time

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC_HOLDING_THE_LOCK = ctypes.PyDLL(None, use_errno=True)

BOX = "/box"  # the work dir inside the sandbox
NEW = {"mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
       "pid": 0x20000000, "net": 0x40000000}
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 47
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
MB = 1 << 20


class SetupError(Exception):
    """The sandbox could not be made; nothing of the program has run."""


def checked(result, what):
    if result < 0:
        raise SetupError("%s: %s" % (what, os.strerror(ctypes.get_errno())))
    return result


def mount(source, target, kind, flags, data=""):
    encoded = [text.encode() if text is not None else None for text in (source, target, kind)]
    checked(LIBC.mount(*encoded, ctypes.c_ulong(flags), data.encode()), "mount of " + target)


# ---- pid 1 of a case -----------------------------------------------------------------------------------------------


def clone(flags):
    """Forks into new namespaces; returns as fork does."""
    interpreter = ctypes.pythonapi
    interpreter.PyOS_BeforeFork()
    pid = LIBC_HOLDING_THE_LOCK.syscall(CONFIG["sys_clone"], flags | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        interpreter.PyOS_AfterFork_Child()
    else:
        error = ctypes.get_errno()
        interpreter.PyOS_AfterFork_Parent()
        ctypes.set_errno(error)
    return checked(pid, "clone into new namespaces")


def map_ids(uid, gid):
    for name, text in (("setgroups", "deny"), ("uid_map", "1000 %d 1" % uid), ("gid_map", "1000 %d 1" % gid)):
        fd = os.open("/proc/self/" + name, os.O_WRONLY)
        os.write(fd, text.encode())
        os.close(fd)


def mount_private(limits):
    """Gives the case its own work dir, /tmp and /dev/shm, together of limited size, and its own /proc."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    options = "size=%d,nr_inodes=%d,mode=755" % (limits["disk_mb"] * MB, 16384)
    mount("tmpfs", BOX, "tmpfs", MS_NOSUID | MS_NODEV, options)
    for name, mode in (("work", 0o700), ("tmp", 0o1777), ("shm", 0o1777)):
        os.mkdir(BOX + "/" + name)
        os.chmod(BOX + "/" + name, mode)
    mount(BOX + "/tmp", "/tmp", None, MS_BIND)
    mount(BOX + "/shm", "/dev/shm", None, MS_BIND)
    mount(BOX + "/work", BOX, None, MS_BIND)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)


class Usage:
    """What the processes of the case have used so far."""

    def __init__(self):
        self.tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
        self.sees_processes = "pid" in CONFIG["namespaces"]

    def live(self):
        if not self.sees_processes:
            return []
        return [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]

    def cpu_s(self):
        reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
        total = reaped.ru_utime + reaped.ru_stime
        for pid in self.live():
            try:
                with open("/proc/%s/stat" % pid, "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            total += sum(int(ticks) for ticks in fields[11:15]) * self.tick_s
        return total

    def starved_s(self):
        """The longest time that a process has waited for a core."""
        waited = 0
        for pid in self.live():
            try:
                with open("/proc/%s/schedstat" % pid) as file:
                    waited = max(waited, int(file.read().split()[1]))
            except (OSError, IndexError, ValueError):
                pass
        return waited * 1e-9

    def memory_mb(self):
        total = 0
        for pid in self.live():
            try:
                with open("/proc/%s/smaps_rollup" % pid, "rb") as file:
                    for line in file:
                        if line.startswith(b"Pss:"):
                            total += int(line.split()[1])
                            break
            except OSError:
                pass
        return total / 1024


def reap(program, status):
    """Takes in what has ended; returns the program's wait status once it is among them."""
    while True:
        try:
            pid, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == program:
            status = ended


def breach(limits, usage, wall_s):
    """Names the limit that the case has passed, if any."""
    if usage.cpu_s() > limits["cpu_s"]:
        return "cpu"
    if wall_s > limits["wall_s"] + min(usage.starved_s(), limits["grace_s"]):
        return "wall"
    if limits["watch_memory"] and usage.memory_mb() > limits["memory_mb"]:
        return "memory"
    return None


def watch(program, limits, report):
    """Waits until the program has ended or passed a limit, or the judge has gone."""
    usage, start, status, why = Usage(), time.monotonic(), None, None
    interval = 0.01 if limits["watch_memory"] else 0.03
    poll = select.poll()
    poll.register(report, 0)
    try:
        poll.register(os.pidfd_open(program), select.POLLIN)
    except (OSError, AttributeError):
        interval = 0.003
    while why is None:
        events = dict(poll.poll(interval * 1000))
        if report in events:
            break
        status = reap(program, status)
        why = "exit" if status is not None else breach(limits, usage, time.monotonic() - start)
    peak_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"ended": why, "status": status, "cpu_s": usage.cpu_s(), "wall_s": time.monotonic() - start,
            "peak_mb": peak_kb / 1024}


def end_descendants():
    """Without a pid namespace orphans come to us, the subreaper, until none is left."""
    while True:
        try:
            with open("/proc/thread-self/children") as file:
                children = [int(pid) for pid in file.read().split()]
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)
        except (ChildProcessError, ProcessLookupError):
            return
        except OSError:
            return


def empty(folder):
    """Removes what a case leaves in a work dir that outlives it; elsewhere the kernel does.

    The tester and the candidate share it and end at the same time: what the other has removed is no error.
    """
    import contextlib
    import shutil

    for path, folders, _ in os.walk(folder):
        for name in folders:
            inner = os.path.join(path, name)
            with contextlib.suppress(FileNotFoundError):
                if not os.path.islink(inner):
                    os.chmod(inner, 0o700)
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


def export(case, fds):
    """Copies a file that the program has made out of the sandbox."""
    import stat

    source = os.open(os.path.join(CONFIG["box"], case["export"]), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    about = os.fstat(source)
    if not stat.S_ISREG(about.st_mode):
        raise OSError(0, "not a file")
    left = about.st_size
    while left > 0:
        left -= os.sendfile(fds["artefact"], source, None, left) or left


def first_process(case, fds):
    """The life of pid 1 of a case."""
    report, has_begun = fds["report"], False
    try:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if "user" in CONFIG["namespaces"]:
            map_ids(CONFIG["uid"], CONFIG["gid"])
        if "mount" in CONFIG["namespaces"]:
            mount_private(case["limits"])
        if "uts" in CONFIG["namespaces"]:
            LIBC.sethostname(b"sandbox", 7)
        if "pid" not in CONFIG["namespaces"]:
            LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        program = os.fork()
        if program == 0:
            become_program(case, fds)
        has_begun = True
        for name, fd in fds.items():
            if name not in ("report", "artefact"):
                os.close(fd)
        ended = watch(program, case["limits"], report)
        if "pid" not in CONFIG["namespaces"]:
            end_descendants()
        if case.get("export") and ended["status"] == 0:
            try:
                export(case, fds)
            except OSError as error:
                ended["no_export"] = error.strerror
        if "mount" not in CONFIG["namespaces"]:
            empty(CONFIG["box"])
        send(report, ended)
    except BaseException as error:
        if not has_begun:  # what goes wrong from then on may be the program's doing, and is its loss
            send(report, {"failed": "%s: %s" % (type(error).__name__, error)})
    finally:
        os._exit(0)


def send(report, message):
    try:
        os.write(report, json.dumps(message).encode() + b"\n")
    except OSError:
        pass  # the judge has gone


# ---- the process that becomes the program --------------------------------------------------------------------------


def limit_resources(limits, role):
    soft_and_hard = {
        resource.RLIMIT_CPU: int(limits["cpu_s"]) + 2,
        resource.RLIMIT_FSIZE: limits["file_mb"] * MB,
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 64 << 10,
        resource.RLIMIT_MSGQUEUE: 64 << 10,
    }
    if limits["watch_memory"]:
        # Other languages reserve far more than they use. What shared mappings hide from both is seen by the watch.
        which = resource.RLIMIT_DATA if role == "command" else resource.RLIMIT_AS
        soft_and_hard[which] = limits["memory_mb"] * MB + own_address_space()
    if limits["watch_pids"]:
        soft_and_hard[resource.RLIMIT_NPROC] = limits["pids"] + 2
    for which, value in soft_and_hard.items():
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def own_address_space():
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 64 * MB


def landlock_abi():
    return max(0, LIBC.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))


class LandlockAttributes(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class LandlockPath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def restrict_paths():
    """Landlock: what may be read, what may be written, no TCP, no signals or sockets to the outside."""
    abi = CONFIG["landlock_abi"]
    read = 0b1101  # execute, read files and directories
    write = (1 << 13) - 1 | (abi >= 2) << 13 | (abi >= 3) << 14
    all_of_it = write | (abi >= 5) << 15
    attributes = LandlockAttributes(all_of_it, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = checked(LIBC.syscall(LANDLOCK_CREATE, ctypes.byref(attributes), size, 0), "landlock_create_ruleset")
    file_only = all_of_it & (1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15)
    for access, paths in ((read, CONFIG["readable"]), (write, CONFIG["writable"]), (all_of_it, CONFIG["devices"])):
        for path in paths:
            try:
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            allowed = access if os.path.isdir(path) else access & file_only
            rule = LandlockPath(allowed, fd)
            checked(LIBC.syscall(LANDLOCK_ADD, ruleset, 1, ctypes.byref(rule), 0), "landlock_add_rule " + path)
            os.close(fd)
    checked(LIBC.syscall(LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


class FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def filter_system_calls():
    code = bytes.fromhex(CONFIG["filter"])
    program = FilterProgram(len(code) // 8, code)
    checked(LIBC.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0), "seccomp")


def drop_capabilities():
    LIBC.prctl(PR_CAP_AMBIENT, 4, 0, 0, 0)
    for capability in range(64):
        if LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 and capability > 40:
            break
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    checked(LIBC.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def confine(case, fds):
    """Puts on the layers, in the order in which each allows the next; returns their names."""
    for name in [name for name in fds if name.startswith("cgroup")]:
        os.write(fds[name], b"0")
        os.close(fds.pop(name))
    limit_resources(case["limits"], case["role"])
    os.setsid()
    if "user" in CONFIG["namespaces"] or os.geteuid() == 0:
        drop_capabilities()
    checked(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    if CONFIG["landlock_abi"]:
        restrict_paths()
    if CONFIG["filter"]:
        filter_system_calls()
    LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def settle(fds, standard):
    """Moves the descriptors wanted out of the way, the standard ones into place, and closes all others."""
    null = os.open("/dev/null", os.O_RDWR)
    kept = {name: os.dup2(fd, 900 + i) for i, (name, fd) in enumerate(sorted(fds.items()))}
    null = os.dup2(null, 899)
    for number, name in enumerate(standard):
        os.dup2(kept.get(name, null), number, inheritable=True)
    os.closerange(3, 899)
    os.close(null)
    return kept


def read_all(fd):
    os.lseek(fd, 0, os.SEEK_SET)
    with os.fdopen(fd, "rb") as file:
        return file.read()


def become_program(case, fds):
    """Confines this process and runs the case in it; never returns."""
    try:
        standard = ("stdin", "stdout", "stderr")
        fds = settle(fds, standard)
        os.chdir(CONFIG["box"])
        confine(case, fds)
        for name in standard:
            if name in fds:
                os.close(fds.pop(name))
        send(fds["report"], {"ready": True})
    except BaseException as error:
        send(fds["report"], {"failed": "%s: %s" % (type(error).__name__, error)})
        os._exit(1)
    try:
        ROLES[case["role"]](case, fds)
    finally:
        os._exit(1)


def run_command(case, fds):
    """Runs a compiler, an interpreter or a compiled program."""
    environment = dict(os.environ, **case["env"])
    argv = [word.replace("{box}", CONFIG["box"]) for word in case["argv"]]
    try:
        for name, mode in case["files"]:
            with open(name, "wb") as file:
                file.write(read_all(fds.pop("file:" + name)))
            os.chmod(name, mode)
    except OSError:
        os._exit(1)
    for fd in [fd for name, fd in fds.items() if name != "report"]:
        os.close(fd)
    os.set_inheritable(fds["report"], False)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, environment)
    except OSError as error:
        if not argv[0].startswith(CONFIG["box"]):
            send(fds["report"], {"missing": "cannot run `%s`: %s" % (argv[0], error.strerror)})
        os._exit(127)


def main_module(name, program):
    """Makes the module that the program runs in, and compiles it; an error is the program's own."""
    path = os.path.join(CONFIG["box"], "main.py")
    with open(path, "wb") as file:
        file.write(program)
    module = type(sys)(name)
    module.__dict__.update(__file__=path, __builtins__=__builtins__)
    sys.modules[name] = module
    sys.argv, sys.path[0:1] = [path], [CONFIG["box"]]
    return module, path


def compiled(program, path, report):
    """Compiles the program, or reports why that is impossible and ends."""
    try:
        return compile(program, path, "exec", dont_inherit=True)
    except BaseException as error:
        send(report, {"syntax_error": "%s: %s" % (type(error).__name__, str(error)[:500])})
        sys.stderr.write("%s: %s\n" % (type(error).__name__, str(error)[:2000]))
        sys.stderr.flush()
        os._exit(1)


def run_python(case, fds):
    """Runs the program as `python main.py` would."""
    module, path = main_module("__main__", read_all(fds.pop("program")))
    code = compiled(read_file(path), path, fds["report"])
    os.close(fds.pop("report"))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = 0
    try:
        exec(code, module.__dict__)
    except SystemExit as error:
        status = exit_status(error.code)
    except BaseException:
        sys.excepthook(*drop_own_frame(sys.exc_info()))
        status = 1
    os._exit(finish(status))


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def drop_own_frame(info):
    return info[0], info[1], info[2].tb_next if info[2] else None


def exit_status(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def finish(status):
    """Ends as the interpreter does: threads, exit functions, buffers."""
    import atexit, threading

    try:
        threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        pass
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException:
            status = status or 120
    return status


# ---- the server ----------------------------------------------------------------------------------------------------


def serve(case, fds, received):
    """Starts one case and returns its pid 1."""
    flags = 0
    for name in CONFIG["namespaces"]:
        flags |= NEW[name]
    try:
        pid = clone(flags)
    except SetupError as error:
        send(fds["report"], {"failed": str(error)})
        return None
    if pid == 0:
        CHANNEL.close()
        for fd in set(received) - set(fds.values()):
            os.close(fd)
        first_process(case, fds)
    return pid


def receive():
    packet, fds, _, _ = socket.recv_fds(CHANNEL, 1 << 16, 32)
    if not packet:
        os._exit(0)
    return json.loads(packet), fds


def main():
    global CHANNEL, CONFIG
    CHANNEL = socket.socket(fileno=os.dup(0))
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    CONFIG, _ = receive()
    CONFIG.update(uid=os.geteuid(), gid=os.getegid(), landlock_abi=landlock_abi() if CONFIG["landlock"] else 0)
    preload()
    CHANNEL.send(json.dumps({"landlock_abi": CONFIG["landlock_abi"]}).encode())
    while True:
        request, received = receive()
        started, others = [], list(received)
        for case in request["cases"]:
            fds = {name: others.pop(0) for name in case["fds"]}
            pid = serve(case, fds, received)
            if pid is not None:
                started.append(pid)
        for fd in received:
            os.close(fd)
        for pid in started:
            os.waitpid(pid, 0)
        CHANNEL.send(b"{}")


def preload():
    """Loads what programs import most, so that no case waits for it."""
    import gc, importlib

    for name in CONFIG["preload"]:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(sys.int_info.default_max_str_digits)
    gc.collect()
    gc.freeze()


ROLES = {"command": run_command, "python": run_python}
