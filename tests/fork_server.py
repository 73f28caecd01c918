"""The helper process of `tests.forked`: imports `attune_ops`, then forks for each call that it is sent.

`fork_server.py DESCRIPTOR FOLDER SERVERS`: calls come over that socket, each with five file descriptors: stdin, stdout
and stderr of the call, a socket for the answers, a file with the rest. FOLDER is the command's, SERVERS are the folders
in which a lab looks for RabbitMQ.
"""

from __future__ import annotations

import array
import atexit
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any

FDS = 5  # with each call
NOT_AHEAD = (  # not of a command, or heavy and of few
    "attune_ops.__main__", "attune_ops.startup.standins", "attune_ops.notebook", "attune_ops.monitoring.live",
    "attune_ops.monitoring.arrow",
)  # fmt: skip
LIBRARIES = ("pika", "rich.console", "rich.table", "psycopg2")


def main() -> None:
    """Serves calls until the other end of the socket is closed."""
    calls = socket.socket(fileno=int(sys.argv[1]))
    sys.path[0] = sys.argv[2]
    import_ahead()
    lab_server: Any = importlib.import_module("attune_ops.lab.server")
    lab_server.FOLDERS = tuple(sys.argv[3].split(os.pathsep))
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the calls and for pytest
    gc.collect()
    gc.freeze()
    running = dict[int, tuple[int, socket.socket]]()  # by pidfd
    with selectors.DefaultSelector() as events:
        events.register(calls, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fileobj is calls:
                    data, ancillary, _, _ = calls.recvmsg(1, socket.CMSG_SPACE(FDS * array.array("i").itemsize))
                    if not data:
                        return
                    fds = array.array("i")
                    fds.frombytes(ancillary[0][2])
                    pid = os.fork()
                    if pid == 0:
                        signal.signal(signal.SIGINT, interrupted)
                        be_the_call(list(fds))
                    answer = socket.socket(fileno=fds[3])
                    for descriptor in (*fds[:3], fds[4]):
                        os.close(descriptor)
                    tell(answer, str(pid))
                    pidfd = os.pidfd_open(pid)
                    running[pidfd] = pid, answer
                    events.register(pidfd, selectors.EVENT_READ)
                else:
                    events.unregister(key.fd)
                    os.close(key.fd)
                    pid, answer = running.pop(key.fd)
                    _, ended, used = os.wait4(pid, 0)
                    tell(answer, f"{os.waitstatus_to_exitcode(ended)} {used.ru_maxrss}")
                    answer.close()


def import_ahead() -> None:
    """Imports the package, and those of its libraries that most calls use."""
    import attune_ops

    for module in pkgutil.walk_packages(attune_ops.__path__, "attune_ops."):
        if not module.name.startswith(NOT_AHEAD):
            importlib.import_module(module.name)
    for library in LIBRARIES:
        importlib.import_module(library)


def tell(answer: socket.socket, what: str) -> None:
    """Sends a line to whoever waits for it, if somebody still does."""
    try:
        answer.sendall(f"{what}\n".encode())
    except BrokenPipeError:
        return


def be_the_call(fds: list[int]) -> None:
    """Becomes the process of a call; does not return."""
    status = 1
    try:
        gc.unfreeze()
        with open(fds[4], "rb", closefd=False) as file:
            file.seek(0)
            call = json.load(file)
        for number in range(3):
            os.dup2(fds[number], number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 1 << 16 else 1 << 16)
        os.environ.clear()
        os.environ.update(call["env"])
        time.tzset()
        os.umask(call["umask"])
        os.chdir(call["folder"])
        standard_streams()
        sys.argv[:] = call["words"]
        status = run()
    except BaseException:  # noqa: BLE001 - there is nobody above
        traceback.print_exc()
    finally:
        os._exit(status)


def standard_streams() -> None:
    """stdin, stdout and stderr as Python makes them when it starts."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        old: Any = getattr(sys, f"__{name}__")
        raw: Any = io.FileIO(number, mode, closefd=False)
        raw.name = f"<{name}>"
        buffer: Any = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
        made = io.TextIOWrapper(buffer, old.encoding, old.errors, line_buffering=name == "stderr" or raw.isatty())
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)


def run() -> int:
    """Runs the command as its script does and Python around it; returns the exit status."""
    from attune_ops.__main__ import main as command

    try:
        status = exit_status(command())
    except SystemExit as e:
        status = exit_status(e.code)
    except KeyboardInterrupt:
        traceback.print_exc()
        finish()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return 1
    except BaseException:  # noqa: BLE001 - what Python does
        traceback.print_exc()
        status = 1
    return finish() or status


def exit_status(code: object) -> int:
    """What `sys.exit` makes of its argument."""
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)  # noqa: T201 - it does
    return 1


def finish() -> int:
    """What Python does at its end: waits for threads, calls what is registered, flushes. Returns 120 if that fails."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            return 120
    return 0


if __name__ == "__main__":
    main()
