"""Keeps other work on this host out of the figures: one run of the benchmarks at a time, and for as long as it measures
nearly all of the CPU's time, soon after asking for it."""
import contextlib
import ctypes
import fcntl
import glob
import os
import pathlib
import platform
import sys

LOCK = "/run/lock/dewar-bench"
CPU = pathlib.Path("/sys/fs/cgroup/cpu")
# We and what we start; what drive_attempts, limit_launch and the OCI runtimes start.
GROUP, OTHERS = "dewar-bench-shield", ("dewar-bench", "dewar-bench-limit", "dewar-bench-peer")
TOP_SHARES = "262144"
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
SLICE_NS = 100_000


class SchedAttr(ctypes.Structure):
    """sched_setattr(2), its first version."""
    _fields_ = [("size", ctypes.c_uint32), ("policy", ctypes.c_uint32), ("flags", ctypes.c_uint64), ("nice", ctypes.c_int32),
                ("priority", ctypes.c_uint32), ("runtime", ctypes.c_uint64), ("deadline", ctypes.c_uint64),
                ("period", ctypes.c_uint64)]


@contextlib.contextmanager
def alone():
    """Waits for other benchmarks of this host to end. Removes the groups at its own end."""
    with open(LOCK, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another tests/bench/run measures; waiting for its end", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            remove_groups()


@contextlib.contextmanager
def shield():
    """A v1 cpu group of the highest weight for this process and all it starts; `dewar run` makes its groups there too. A short
    slice (Linux 6.12 and later) lets what wakes up run before others' slices are over; nice values would not do, for
    weights count between groups. Yields whether there is such a hierarchy: without one nothing is changed."""
    if not (CPU / "cpu.shares").exists():
        yield False
        return
    make_everywhere(GROUP)
    for name in OTHERS:
        make(CPU / name)
    (CPU / GROUP / "cgroup.procs").write_text("0")
    wake_soon(SLICE_NS)
    os.environ["DEWAR_CGROUP"] = "/" + GROUP
    try:
        yield True
    finally:
        del os.environ["DEWAR_CGROUP"]
        wake_soon(0)
        (CPU / "cgroup.procs").write_text("0")


def remove_groups():
    for folder in [f for h in hierarchies() for f in glob.glob(f"{h}/dewar-bench*/")]:
        for path, _, _ in os.walk(folder, topdown=False):
            try:
                os.rmdir(path)
            except OSError:
                pass  # the kernel may still hold one for a moment; it is empty


def hierarchies():
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return [pathlib.Path("/sys/fs/cgroup")]
    return [pathlib.Path(folder) for folder in glob.glob("/sys/fs/cgroup/*/") if os.path.exists(folder + "cgroup.procs")]


def make_everywhere(name):
    """A group that `dewar run --cgroup /NAME` can use. NAME begins with dewar-bench, so that it is removed at the end."""
    for hierarchy in hierarchies():
        make(hierarchy / name)


def members(name):
    """The processes in a group and below it."""
    there = hierarchies()
    hierarchy = next((h for h in there if h.name == "unified"), there[0])
    pids = []
    for folder, _, _ in os.walk(hierarchy / name):
        try:
            pids += [int(pid) for pid in (pathlib.Path(folder) / "cgroup.procs").read_text().split()]
        except OSError:
            pass  # it has gone meanwhile, and so have they
    return pids


def make(group):
    group.mkdir(exist_ok=True)
    for name in ("cpuset.cpus", "cpuset.mems"):  # empty in a new group of v1, and then nobody can enter it
        if (group.parent / name).exists():
            (group / name).write_text((group.parent / name).read_text())
    if (group / "cpu.shares").exists():
        (group / "cpu.shares").write_text(TOP_SHARES)


def wake_soon(slice_ns):
    """0: the kernel's own slice."""
    number = SCHED_SETATTR.get(platform.machine())
    attr = SchedAttr(size=48, runtime=slice_ns)
    if number is None or ctypes.CDLL(None, use_errno=True).syscall(number, 0, ctypes.byref(attr), 0) != 0:
        print("the slice stays as it is: no sched_setattr(2) here", file=sys.stderr)
