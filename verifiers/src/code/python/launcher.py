"""Makes the room in which the fork server lives, and becomes it.

Run by the judge with one argument, a JSON object. Under root it gives up the uid first; what an ordinary user cannot
reach (an interpreter below a private home) is staged while that is still possible. The room is made by bubblewrap where
there is one, by the same system calls otherwise: the system read-only, no network, no other processes, no environment.
"""
import ctypes, json, os, signal, sys

LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
NEW_NS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PID, NEW_NET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
AT_RECURSIVE, AT_FDCWD, MNT_DETACH = 0x8000, -100, 2


def checked(result, what):
    if result < 0:
        error = ctypes.get_errno()
        sys.exit("%s: %s" % (what, os.strerror(error)))


def mount(source, target, kind=None, flags=0, data=""):
    encoded = [text.encode() if text is not None else None for text in (source, target, kind)]
    checked(LIBC.mount(*encoded, ctypes.c_ulong(flags), data.encode()), "mount of " + target)


def die_with_judge(judge):
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != judge:
        sys.exit(1)


def stage(binds):
    """Under root: binds what the ordinary user cannot reach to a place where they can."""
    if not any(hidden(source) for source, _ in binds):
        return binds
    empty = next((folder for folder in ("/mnt", "/media", "/srv") if os.path.isdir(folder)), None)
    if empty is None:
        sys.exit("no folder to mount at; make `/mnt`, or set `python` to one that every user can run")
    checked(LIBC.unshare(NEW_NS), "unshare of mounts, to reach an interpreter below a private folder")
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", empty, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    staged = []
    for i, (source, target) in enumerate(binds):
        if hidden(source):
            place = "%s/%d" % (empty, i)
            if os.path.isdir(source):
                os.mkdir(place)
            else:
                open(place, "w").close()
            mount(source, place, None, MS_BIND | MS_REC)
            source = place
        staged.append((source, target))
    return staged


def uncover(binds):
    """Without a room: shows what is staged at its own path, in a copy of the private folder that holds nothing else."""
    staged = stage(binds)
    for folder in sorted({hidden(source) for source, _ in binds} - {None}):
        mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for (place, _), (source, target) in zip(staged, binds):
        if place != source:
            os.makedirs(target, exist_ok=True)
            mount(place, target, None, MS_BIND | MS_REC)


def hidden(path):
    """The outermost folder at which a stranger is refused on the way to a path."""
    parts = path.split("/")[1:]
    for i in range(len(parts)):
        folder = "/" + "/".join(parts[:i])
        if not os.stat(folder).st_mode & 0o001:
            return folder
    return None


def give_up_root(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # or `/proc/self` stays root's


def text_file(text):
    fd = os.memfd_create("text")
    os.write(fd, text.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    os.set_inheritable(fd, True)
    return fd


def become_bubblewrap(plan, binds):
    arguments = [plan["bwrap"], "--unshare-all", "--new-session", "--die-with-parent", "--cap-drop", "ALL",
                 "--uid", "1000", "--gid", "1000", "--hostname", "sandbox", "--proc", "/proc", "--dev", "/dev"]
    for source, target in binds:
        arguments += ["--ro-bind", source, target]
    for target, path in plan["links"]:
        arguments += ["--symlink", target, path]
    for path, text in plan["texts"]:
        arguments += ["--ro-bind-data", str(text_file(text)), path]
    for path in plan["folders"]:
        arguments += ["--dir", path]
    arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--"] + plan["command"]
    os.execve(plan["bwrap"], arguments, plan["environment"])


def become_own_room(plan, binds):
    uid, gid = os.geteuid(), os.getegid()
    checked(LIBC.unshare(NEW_USER | NEW_NS | NEW_UTS | NEW_IPC | NEW_PID | NEW_NET), "unshare of namespaces")
    for name, text in (("setgroups", "deny"), ("uid_map", "1000 %d 1" % uid), ("gid_map", "1000 %d 1" % gid)):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
    first = os.fork()
    if first:
        os.dup2(os.open("/dev/null", os.O_RDWR), 0)
        os.waitpid(first, 0)
        os._exit(0)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    build_root(plan, binds)
    drop_capabilities()
    os.execve(plan["command"][0], plan["command"], plan["environment"])


def build_root(plan, binds):
    """A root of its own on a small tmpfs, read-only in the end."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    root = "/tmp"
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
    for source, target in binds:
        place(source, root + target)
        read_only(root + target, AT_RECURSIVE)
    for target, path in plan["links"]:
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        os.symlink(target, root + path)
    for path, text in plan["texts"]:
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        with open(root + path, "w") as file:
            file.write(text)
    for path in plan["folders"] + ["/proc", "/dev", "/dev/shm"]:
        os.makedirs(root + path, exist_ok=True)
    mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for name in ("null", "zero", "full", "random", "urandom"):
        place("/dev/" + name, root + "/dev/" + name)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, root + "/dev/" + name)
    os.chdir(root)
    checked(LIBC.pivot_root(b".", b"."), "pivot_root")
    checked(LIBC.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")
    read_only("/", 0)
    LIBC.sethostname(b"sandbox", 7)


def place(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        open(target, "w").close()
    mount(source, target, None, MS_BIND | MS_REC)


class MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def read_only(path, flags):
    attributes = MountAttributes(MS_RDONLY | MS_NOSUID, 0, 0, 0)
    result = LIBC.syscall(442, AT_FDCWD, path.encode(), flags, ctypes.byref(attributes), ctypes.sizeof(attributes))
    checked(result, "mount_setattr of " + path)


def drop_capabilities():
    for capability in range(64):
        LIBC.prctl(24, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    checked(LIBC.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def main():
    plan = json.loads(sys.argv[1])
    binds = plan["binds"]
    if os.geteuid() == 0 and plan["uid"] is not None:
        if plan["room"] == "none":
            uncover(binds)
        else:
            binds = stage(binds)
        give_up_root(plan["uid"])
    die_with_judge(plan["judge"])
    os.setsid()  # an interrupt from the terminal is for the judge, which may want to finish
    os.umask(0o022)
    if plan["room"] == "bubblewrap":
        become_bubblewrap(plan, binds)
    elif plan["room"] == "own":
        become_own_room(plan, binds)
    os.chdir("/")
    os.execve(plan["command"][0], plan["command"], plan["environment"])


main()
