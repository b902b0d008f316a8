"""What a decoding process gives up before it reads a stranger's byte: files, network, children, new privileges.

Linux gives four layers: resource limits, no_new_privs, Landlock (no file can be opened) and a seccomp filter (no
socket, no new program, no new process). Elsewhere only the limits hold. `what_is_not_enforced` says it plainly.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_GET_SECCOMP, _PR_SET_SECCOMP = 1, 4, 38, 21, 22
_SIGKILL = 9
# The same numbers on every architecture (Linux 5.13).
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_LANDLOCK_VERSION_FLAG = 1
# All file-system rights of the first version of Landlock: bits 0 (execute) to 12 (make symlink).
_LANDLOCK_FS_RIGHTS = (1 << 13) - 1

# Numbers of the refused calls, and AUDIT_ARCH_*: files by name, programs, sockets, other processes.
_X86_64 = (
    *(2, 257, 437, 85),  # open openat openat2 creat
    *(57, 58, 56, 435, 59, 322),  # fork vfork clone clone3 execve execveat
    *(41, 53, 42, 49),  # socket socketpair connect bind
    *(62, 200, 101, 310, 311),  # kill tkill ptrace process_vm_readv process_vm_writev
    *(87, 263, 82, 264, 316, 83, 258),  # unlink unlinkat rename renameat renameat2 mkdir mkdirat
    *(76, 90, 268, 92, 88, 266, 86, 265),  # truncate chmod fchmodat chown symlink symlinkat link linkat
    *(165, 425, 321),  # mount io_uring_setup bpf
)
_AARCH64 = (
    *(56, 437),  # openat openat2
    *(220, 435, 221, 281),  # clone clone3 execve execveat
    *(198, 199, 203, 200),  # socket socketpair connect bind
    *(129, 130, 117, 270, 271),  # kill tkill ptrace process_vm_readv process_vm_writev
    *(35, 38, 276, 34),  # unlinkat renameat renameat2 mkdirat
    *(45, 53, 36, 37),  # truncate fchmodat symlinkat linkat
    *(40, 425, 280),  # mount io_uring_setup bpf
)
_REFUSED = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}
# Calls of another width (x32) carry this bit.
_X32_BIT = 0x40000000


def apply_limits(*, memory_bytes: int) -> list[str]:
    """Cap this process's memory above what it has now, and forbid it to write files or dump core."""
    limits = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_AS": _address_space_bytes() + memory_bytes,
    }
    missing = []
    for name, value in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (OSError, ValueError, AttributeError):
            missing.append(f"limit {name}")
    return missing


def grant_cpu(seconds: int) -> None:
    """Let this process compute for `seconds` more; the kernel stops it afterwards."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def apply_seal() -> list[str]:
    """Give up files, network, children and privileges for good; names the layers that this system refused."""
    if sys.platform != "linux":
        return [f"Landlock and seccomp (this is {sys.platform})"]
    libc = ctypes.CDLL(None, use_errno=True)
    missing = []
    # The child ends with its parent, and no other process of the same user may look into it.
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        missing.append("no_new_privs")
    if not _restrict_files(libc):
        missing.append("Landlock")
    if not _filter_calls(libc):
        missing.append("seccomp")
    return missing


def what_is_not_enforced() -> list[str]:
    """The layers that this system would refuse, asked without giving anything up."""
    if sys.platform != "linux":
        return [f"Landlock and seccomp (this is {sys.platform})"]
    libc = ctypes.CDLL(None, use_errno=True)
    missing = []
    if libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION_FLAG) < 1:
        missing.append(f"Landlock ({_explain(ctypes.get_errno())})")
    if libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) < 0:
        missing.append(f"seccomp ({_explain(ctypes.get_errno())})")
    elif platform.machine() not in _REFUSED:
        missing.append(f"seccomp (no table for {platform.machine()})")
    return missing


def _explain(code: int) -> str:
    return errno.errorcode.get(code, str(code))


def _address_space_bytes() -> int:
    try:
        with open("/proc/self/statm") as stream:  # noqa: PTH123 - a pipe of the kernel, not a file of ours
            return int(stream.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 1 << 30


def _restrict_files(libc: ctypes.CDLL) -> bool:
    """A Landlock ruleset that handles every right and grants none."""
    attributes = struct.pack("<Q", _LANDLOCK_FS_RIGHTS)
    ruleset = libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        return bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _filter_calls(libc: ctypes.CDLL) -> bool:
    """A seccomp filter that answers EPERM to the refused calls."""
    if platform.machine() not in _REFUSED:
        return False
    architecture, refused = _REFUSED[platform.machine()]
    program = _bpf(architecture, refused)
    instructions = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    head = Program(len(program) // 8, ctypes.cast(instructions, ctypes.c_void_p))
    return bool(libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(head), 0, 0) == 0)


def _bpf(architecture: int, refused: tuple[int, ...]) -> bytes:
    """The filter: kill on a foreign architecture, EPERM for the refused calls, allow the rest.

    Source: linux/filter.h (classic BPF), linux/seccomp.h: `nr` lies at offset 0, `arch` at 4.
    """
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    kill, refuse, allow = 0x80000000, 0x00050000 | errno.EPERM, 0x7FFF0000
    n = len(refused)
    steps = [
        (load, 0, 0, 4),
        (equal, 1, 0, architecture),
        (give, 0, 0, kill),
        (load, 0, 0, 0),
        (at_least, n + 1, 0, _X32_BIT),
        *((equal, n - i, 0, number) for i, number in enumerate(refused)),
        (give, 0, 0, allow),
        (give, 0, 0, refuse),
    ]
    return b"".join(struct.pack("<HBBI", *step) for step in steps)
