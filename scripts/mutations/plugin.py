"""Runs the tests once, then for each mutant those that reach its line: the shortest first, until one fails.

What is in a function is tried in a fork of the process that has run the tests: the function's code is replaced where
it is, so nothing is imported again. What is not in a function is tried in a fork that has imported pytest only, and
imports the changed module.
"""

from __future__ import annotations

import functools
import gc
import os
import pickle
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType
from typing import Any

import coverage
import pytest
from _pytest.runner import runtestprotocol

from mutations.mutants import Mutant

FUNCTIONS: dict[str, list[FunctionType]] = defaultdict(list)  # that exist, by file
CACHED = type(functools.cache(abs))
CACHES: list[Any] = []  # what they remember was computed without the mutant
KILLED, SURVIVED, UNREACHED = "killed", "survived", "not reached"
OPTIONS = ["-n0", "-q", "-p", "no:cacheprovider", "--no-header"]


class Plugin:
    """Holds the outcome of each mutant of a function, and of the others which tests to run."""

    def __init__(self, wanted: list[Mutant]) -> None:
        self.wanted = wanted
        self.outcomes: dict[int, str] = {}
        self.names: dict[int, list[str]] = {}
        self.seconds: dict[str, float] = {}  # of processor time: the machine may have other work

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Runs all tests under coverage, then the mutants."""
        coverer = coverage.Coverage(
            data_file=None, branch=False, config_file=False, include=sorted({m.path for m in self.wanted})
        )
        coverer.start()
        for number, item in enumerate(session.items):
            following = session.items[number + 1] if number + 1 < len(session.items) else None
            coverer.switch_context(item.nodeid)
            began = _processor_s()
            reports = runtestprotocol(item, nextitem=following, log=False)
            self.seconds[item.nodeid] = _processor_s() - began
            if any(r.failed for r in reports):
                raise pytest.UsageError(f"{item.nodeid} fails without a mutant: {reports}")
        coverer.stop()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no data: no test reaches these modules
            data = coverer.get_data()
        reaching: dict[tuple[str, int], list[str]] = defaultdict(list)
        for path in {m.path for m in self.wanted}:
            for line, contexts in data.contexts_by_lineno(os.path.abspath(path)).items():
                reaching[path, line] = [c for c in contexts if c]
        items = {item.nodeid: item for item in session.items}
        paths = {os.path.abspath(m.path) for m in self.wanted}
        for found in gc.get_objects():
            if isinstance(found, FunctionType) and found.__code__.co_filename in paths:
                FUNCTIONS[found.__code__.co_filename].append(found)
            elif type(found) is CACHED:
                CACHES.append(found)
        gc.collect()  # and no gc.freeze(): the doctor counts what is frozen, which takes 35 ms of many objects
        for number, mutant in enumerate(self.wanted):
            names = self._reaching(mutant, reaching, items)
            if not names:
                self.outcomes[number] = UNREACHED
            elif not mutant.function:
                self.names[number] = names
            else:
                tests = [items[name] for name in names]
                self.outcomes[number] = _outcome(mutant, functools.partial(_forked, mutant, tests, self.seconds))
        return True

    def _reaching(
        self, mutant: Mutant, reaching: dict[tuple[str, int], list[str]], items: dict[str, pytest.Item]
    ) -> list[str]:
        lines = range(mutant.statement, mutant.line + 1)  # an expression may be over several
        names = [name for line in lines for name in reaching.get((mutant.path, line), ())]
        if not mutant.function:
            names = [c for (path, _), found in reaching.items() if path == mutant.path for c in found]
            # What is computed at import is seen by tests that call nothing of it: the default of a parameter.
            module = mutant.path.removesuffix(".py").replace("/", ".")
            names += [n for n, item in items.items() if _imports(item, module)]
        return sorted(set(names), key=lambda n: self.seconds[n])


class Chosen:
    """Runs only these tests, in this order, each within its limit."""

    def __init__(self, names: list[str], seconds: dict[str, float]) -> None:
        self.names, self.seconds = names, seconds

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        by_name = {item.nodeid: item for item in items}
        items[:] = [by_name[name] for name in self.names if name in by_name]

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        _limit(self.seconds[item.nodeid])


def _processor_s() -> float:
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def _imports(item: pytest.Item, module: str) -> bool:
    """Whether the file of this test imports a function or class of that module."""
    return any(getattr(v, "__module__", None) == module for v in vars(getattr(item, "module", None) or object).values())


def _limit(seconds: float) -> None:
    """Ends a loop without end by its processor time, whatever else the machine does, and a wait without end."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + 10 + 20 * seconds), most))
    signal.alarm(int(60 + 100 * seconds))


def _outcome(mutant: Mutant, passes: Callable[[], bool]) -> str:
    """Whether the tests pass in a fork of this process, or that ends before it could say so."""
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            status = 0 if passes() else 1
        finally:
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    outcome = KILLED if ended else SURVIVED
    seconds = time.monotonic() - began
    print(f"{outcome} {seconds:.1f} s {mutant.path}:{mutant.line} {mutant.before}  →  {mutant.after}", file=sys.stderr)
    return outcome


def _forked(mutant: Mutant, items: list[pytest.Item], seconds: dict[str, float]) -> bool:
    _replace(mutant)
    for cache in CACHES:
        cache.cache_clear()
    for number, item in enumerate(items):
        following = items[number + 1] if number + 1 < len(items) else None
        _limit(seconds[item.nodeid])
        if any(r.failed for r in runtestprotocol(item, nextitem=following, log=False)):
            return False
    return True


def _replace(mutant: Mutant) -> None:
    """Gives the functions that exist the mutant's code."""
    path = os.path.abspath(mutant.path)
    made = _codes(compile(mutant.source, path, "exec", dont_inherit=True))
    for found in FUNCTIONS[path]:
        code = made.get((found.__code__.co_qualname, found.__code__.co_firstlineno))
        if code is not None and code.co_freevars == found.__code__.co_freevars:
            found.__code__ = code


def _codes(code: CodeType) -> dict[tuple[str, int], CodeType]:
    found = {(code.co_qualname, code.co_firstlineno): code}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= _codes(inner)
    return found


def _imported(mutant: Mutant, names: list[str], seconds: dict[str, float]) -> bool:
    path, as_it_is = os.path.abspath(mutant.path), SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        if os.path.abspath(self.path) != path:
            return as_it_is(self, fullname)
        return compile(mutant.source, self.path, "exec", dont_inherit=True)

    def end(number: int, frame: object) -> None:
        raise TimeoutError  # rather than the end of the process, so that pytest removes its folders

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    signal.signal(signal.SIGXCPU, end)
    signal.signal(signal.SIGALRM, end)
    files = sorted({name.partition("::")[0] for name in names})
    return pytest.main(["-x", *OPTIONS, *files], plugins=[Chosen(names, seconds)]) == 0


def run(wanted: list[Mutant], tests: list[str]) -> dict[Mutant, str]:
    """The outcomes of these mutants under these tests."""
    with tempfile.TemporaryFile() as file:
        if os.fork() == 0:  # this process imports no module that a mutant changes
            status = 3
            try:
                plugin = Plugin(wanted)
                status = pytest.main([*OPTIONS, *tests], plugins=[plugin])
                pickle.dump((plugin.outcomes, plugin.names, plugin.seconds), file)
                file.flush()
            finally:
                os._exit(status)
        _, ended = os.wait()
        if os.waitstatus_to_exitcode(ended) not in (0, 5):
            raise SystemExit(3)
        file.seek(0)
        outcomes, names, seconds = pickle.load(file)
    for number, chosen in names.items():
        mutant = wanted[number]
        outcomes[number] = _outcome(mutant, functools.partial(_imported, mutant, chosen, seconds))
    return {mutant: outcomes[number] for number, mutant in enumerate(wanted)}
