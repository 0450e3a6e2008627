"""How the function is run: in a forked child, whose calls are stopped, and which outlives neither its function nor pytest."""

from __future__ import annotations

import _socket
import array
import atexit
import contextlib
import ctypes
import faulthandler
import inspect
import json
import posix
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from io import FileIO, TextIOWrapper
from typing import Any, Final, NoReturn

from ._calls import Machine
from ._filter import TRACE_FD, Unavailable, install
from ._process import TRACE_SIGNAL

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_SOL_SOCKET: Final = _socket.SOL_SOCKET
_SCM_RIGHTS: Final = _socket.SCM_RIGHTS

#: The exit status of a child that was not killed.
FAILED: Final = 1


@dataclass
class Ending:
    """How a function has ended.

    Attributes:
        reached: the faults of the test that have come about, by their number.
        status: what it wants to be the status of its process; None if it has returned.
        raised: whether it has raised; the traceback is in its output.
        returned: what it has returned, if that is something that had to be awaited, iterated or entered.
        is_lazy: whether it has then done nothing at all, whatever there is to be seen.
    """

    reached: list[int] = field(default_factory=list)
    status: int | None = None
    raised: bool = False
    returned: str = ""
    is_lazy: bool = False


def run_in_child(
    target: Machine,
    func: Callable[[], object],
    parent: _socket.socket,
    trace: int,
    output: int,
    supervisor: int,
    faults_reached: Callable[[], list[int]],
) -> NoReturn:
    """Run `func`, tell `parent` how it has ended, and wait to be killed.

    Args:
        target: the machine that this is.
        func: the function.
        parent: is sent the descriptor of the filter, and later the ending.
        trace: a file for Python tracebacks.
        output: a file for what the function prints.
        supervisor: the process that has forked this one.
        faults_reached: says which faults of the test have come about.
    """
    pid = posix.getpid()
    try:
        _detach(trace, output, supervisor)
        try:
            listener = install(target)
        except Unavailable as why:
            parent.sendmsg([str(why).encode()])
            posix._exit(FAILED)
        parent.sendmsg([b"."], [(_SOL_SOCKET, _SCM_RIGHTS, array.array("i", [listener]))])  # is not itself stopped
        posix.close(listener)
        ending = _call(func)
        if posix.getpid() != pid:
            posix._exit(FAILED)  # a child of the function's own that has come back from it
        ending.reached = faults_reached()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        parent.sendmsg([json.dumps(vars(ending)).encode()])
        while True:
            signal.pause()
    finally:
        posix._exit(FAILED)


def die_with(parent: int) -> None:
    """Let this process be killed when its parent ends, which it perhaps has done."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if posix.getppid() != parent:
        posix._exit(FAILED)


def _detach(trace: int, output: int, supervisor: int) -> None:
    """Become a session of its own, that dies with the supervisor and adopts what its processes leave alone."""
    die_with(supervisor)
    posix.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    posix.dup2(trace, TRACE_FD, inheritable=True)
    faulthandler.register(TRACE_SIGNAL, file=TRACE_FD, all_threads=False)
    posix.dup2(output, 1)
    posix.dup2(output, 2)
    sys.stdout = sys.stderr = TextIOWrapper(FileIO(output, "w"), line_buffering=True, errors="backslashreplace")
    # What pytest wants to be done at its own end is not the function's.
    atexit._clear()
    _forget_processes()


def _forget_processes() -> None:
    """Let the function start helpers of its own: those of the parent are not this process's children."""
    manager: Any = sys.modules.get("multiprocessing.forkserver")
    with contextlib.suppress(Exception):
        if manager is not None:
            manager._forkserver = type(manager._forkserver)()
            for name in ("ensure_running", "get_inherited_fds", "connect_to_new_process", "set_forkserver_preload"):
                setattr(manager, name, getattr(manager._forkserver, name))


def _call(func: Callable[[], object]) -> Ending:
    """Call the function, and wait for all that its process does at its end."""
    ending = Ending()
    try:
        ending.returned, ending.is_lazy = _laziness(func())
        current = threading.current_thread()
        for thread in threading.enumerate():
            if thread is not current and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()
    except SystemExit as end:
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()
        if end.code not in {None, 0}:
            ending.status = end.code if isinstance(end.code, int) else FAILED
    except BaseException as error:  # noqa: BLE001 - whatever it is, it must not run on as a second pytest
        ending.raised = True
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        with contextlib.suppress(Exception):
            traceback.print_exception(error.with_traceback(trace))
    return ending


def _laziness(returned: Any) -> tuple[str, bool]:
    """Return what has been returned instead of being done, and whether it is certain that nothing of it was done."""
    if inspect.iscoroutine(returned):
        returned.close()
        return "a coroutine, which nobody has awaited", True
    if inspect.isasyncgen(returned):
        return "an asynchronous generator, which nobody has iterated over", True
    if inspect.isgenerator(returned):
        return "a generator, which nobody has iterated over", True
    if hasattr(type(returned), "__await__"):
        return f"an awaitable ({type(returned).__name__}), which nobody has awaited", False
    if hasattr(type(returned), "__enter__") or hasattr(type(returned), "__aenter__"):
        return f"a context manager ({type(returned).__name__}), which nobody has entered", False
    if hasattr(type(returned), "__next__"):
        return f"an iterator ({type(returned).__name__}), which nobody has iterated over", False
    if callable(returned):
        return f"a function ({type(returned).__name__}), which nobody has called", False
    return "", False
