"""A pytest plugin that runs the tests once, then once for each mutant those that reach its line.

A mutant is tried in a fork of this process: the function's code is replaced where it is, so nothing is imported again.
What is not in a function is tried in a new process that imports the changed module.
"""

from __future__ import annotations

import functools
import gc
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
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


class Plugin:
    """Holds the outcome of each mutant after pytest has run with it."""

    def __init__(self, wanted: list[Mutant]) -> None:
        self.wanted = wanted
        self.outcomes: dict[Mutant, str] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Runs all tests under coverage, then the mutants."""
        coverer = coverage.Coverage(
            data_file=None, branch=False, config_file=False, include=sorted({m.path for m in self.wanted})
        )
        seconds: dict[str, float] = {}
        coverer.start()
        for number, item in enumerate(session.items):
            following = session.items[number + 1] if number + 1 < len(session.items) else None
            coverer.switch_context(item.nodeid)
            began = time.monotonic()
            reports = runtestprotocol(item, nextitem=following, log=False)
            seconds[item.nodeid] = time.monotonic() - began
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
        for found in gc.get_objects():  # before they are frozen, which hides them
            if isinstance(found, FunctionType) and found.__code__.co_filename in paths:
                FUNCTIONS[found.__code__.co_filename].append(found)
            elif type(found) is CACHED:
                CACHES.append(found)
        gc.collect()
        gc.freeze()
        for number, mutant in enumerate(self.wanted):
            self.outcomes[mutant] = outcome = self._outcome(mutant, reaching, items, seconds)
            if outcome == SURVIVED:
                print(f"\n{number}/{len(self.wanted)} {outcome}: {mutant.path}:{mutant.line} {mutant.before}  →  "
                      f"{mutant.after}", flush=True)  # fmt: skip
        return True

    def _outcome(
        self,
        mutant: Mutant,
        reaching: dict[tuple[str, int], list[str]],
        items: dict[str, pytest.Item],
        seconds: dict[str, float],
    ) -> str:
        lines = range(mutant.statement, mutant.line + 1)  # an expression may be over several
        names = [name for line in lines for name in reaching.get((mutant.path, line), ())]
        if not mutant.function:
            names = [c for (path, _), found in reaching.items() if path == mutant.path for c in found]
            # What is computed at import is seen by tests that call nothing of it: the default of a parameter.
            module = mutant.path.removesuffix(".py").replace("/", ".")
            names += [n for n, item in items.items() if _imports(item, module)]
        names = sorted(set(names), key=lambda n: seconds[n])
        if not names:
            return UNREACHED
        limit = 20 + 10 * sum(seconds[n] for n in names)
        if mutant.function:
            return _forked(mutant, [items[n] for n in names], limit)
        return _fresh(mutant, names, limit)


def _imports(item: pytest.Item, module: str) -> bool:
    """Whether the file of this test imports a function or class of that module."""
    return any(getattr(v, "__module__", None) == module for v in vars(getattr(item, "module", None) or object).values())


def _forked(mutant: Mutant, items: list[pytest.Item], limit: float) -> str:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            # Either ends this process: a loop by its processor time, whatever else the machine does, and a wait.
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit)))
            signal.alarm(int(limit) * 10)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            _replace(mutant)
            for cache in CACHES:
                cache.cache_clear()
            for number, item in enumerate(items):
                following = items[number + 1] if number + 1 < len(items) else None
                if any(r.failed for r in runtestprotocol(item, nextitem=following, log=False)):
                    break
            else:
                status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    return KILLED if ended else SURVIVED


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


def _fresh(mutant: Mutant, names: list[str], limit: float) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(mutant.source)
        file.flush()
        words = [sys.executable, "-m", "pytest", "-p", "mutations.fresh", "-p", "no:cacheprovider", "-n0", "-x", "-q"]
        environment = os.environ | {"MUTATION_PATH": mutant.path, "MUTATION_SOURCE": file.name}
        environment.pop("ATTUNE_OPS_TEST_FOLDER", None)
        try:
            done = subprocess.run(
                [*words, *names], env=environment, capture_output=True, timeout=limit * 10, check=False
            )
        except subprocess.TimeoutExpired:
            return KILLED
    if done.returncode not in (0, 1, 2, 3, 4):
        raise RuntimeError(done.stdout.decode() + done.stderr.decode())
    return SURVIVED if done.returncode == 0 else KILLED


def run(wanted: list[Mutant], tests: list[str]) -> dict[Mutant, str]:
    """The outcomes of these mutants under these tests."""
    plugin = Plugin(wanted)
    if pytest.main(["-n0", "-q", "-p", "no:cacheprovider", "--no-header", *tests], plugins=[plugin]) not in (0, 5):
        raise SystemExit(3)
    return plugin.outcomes
