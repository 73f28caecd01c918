"""`scripts/mutation`: see there."""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
import tomllib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mutations.mutants import mutants
from mutations.plugin import KILLED, SURVIVED, UNREACHED, run

ROOMS = ("routing", "cleanup", "messages", "doctor")
PAGE = Path("docs/mutation.md")
DATA = Path("scripts/mutations/results.json")
EXPLAINED = Path("scripts/mutations/explained.toml")


def main() -> int:
    """Runs the rooms and writes the page; the exit status is 1 where a survivor is not explained."""
    parser = argparse.ArgumentParser(prog="scripts/mutation")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"{', '.join(ROOMS)}, or ROOM/MODULE")
    parser.add_argument("--only", default="", metavar="NAME", help="only modules whose path contains it; no page")
    parser.add_argument("--sample", type=int, metavar="N", help="at most N mutants of a room")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="which N these are; another takes others")
    parser.add_argument(
        "-k", default="", metavar="WHICH", help="only tests that match, as of pytest: without slow ones"
    )
    options = parser.parse_args()
    for room in options.rooms:
        if room.partition("/")[0] not in ROOMS or not _modules(room):
            parser.error(f"{room} is none of {', '.join(ROOMS)}, and no module of one")
    results: dict[str, Any] = json.loads(DATA.read_text()) if DATA.exists() else {}
    for room in options.rooms:
        one = results_of(room, options.only, options.sample, options.seed, options.k)
        if options.only:
            print(json.dumps(one, indent=1, ensure_ascii=False))
            continue
        results[room] = one
        DATA.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    explained = {e["mutant"]: e["reason"] for e in tomllib.loads(EXPLAINED.read_text()).get("survivor", [])}
    PAGE.write_text(page(results, explained))
    return int(any(s["mutant"] not in explained for r in results.values() for s in r["survived"]))


def results_of(room: str, only: str, sample: int | None, seed: int, which: str) -> dict[str, Any]:
    """What became of the mutants of a room.

    A sample is by a hash of seed and mutant, so that a change of the code leaves the others of the sample in it.
    """
    possible = [m for p in _modules(room) if only in str(p) for m in mutants(p)]
    tried = possible
    if sample:
        chosen = set(sorted(possible, key=lambda m: hashlib.sha256(f"{seed} {m.key}".encode()).digest())[:sample])
        tried = [m for m in possible if m in chosen]
    print(f"{room}: {len(tried)} of {len(possible)} mutants", file=sys.stderr)
    tests = [f"tests/unit/{room.partition('/')[0]}", "-m", "not slow", *(["-k", which] if which else [])]
    outcomes = run(tried, tests)
    counts = Counter(outcomes.values())
    return {
        "command": f"scripts/mutation {room}"
        + (f" --sample {sample} --seed {seed}" if sample else "")
        + (f" -k {shlex.quote(which)}" if which else ""),
        "date": datetime.now(UTC).date().isoformat(),
        "mutants": len(possible),
        "tried": len(tried),
        "killed": counts[KILLED],
        "not reached": dict(sorted(Counter(m.path for m, o in outcomes.items() if o == UNREACHED).items())),
        "survived": [{"mutant": m.key, "line": m.line} for m, o in outcomes.items() if o == SURVIVED],
    }


def _modules(room: str) -> list[Path]:
    """Those of a room, or the one of ROOM/MODULE."""
    found = [Path("attune_ops", f"{room}.py")] if "/" in room else sorted(Path("attune_ops", room).rglob("*.py"))
    return [p for p in found if p.is_file() and not p.name.startswith("view_")]


def page(results: dict[str, Any], explained: dict[str, str]) -> str:
    """The page of the documentation."""
    lines = [
        "# Mutation runs", "",
        "`scripts/mutation ROOM…` changes one thing in the code (a comparison, a number, a condition, a loop) and runs",
        "the room's unit tests. A change that a test notices is killed. One that no test notices has survived. This",
        "page is written by that script; views are left out, since tests do not hold their layout. A mutant on a line",
        "that no unit test runs is not reached: the live tests, which need a broker, are not part of these runs, nor",
        "are unit tests that are marked as slow, which measure large installations.",
        "A sample is chosen by its seed: the same command tries the same mutants, as long as the code stays. With `-k`",
        "only the tests that match are run: another test may notice what survived these.", "",
        "| Command | Date | Mutants | Tried | Killed | Survived | Not reached |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for r in results.values():
        lines.append(
            f"| `{r['command']}` | {r['date']} | {r['mutants']} | {r['tried']} | {r['killed']} | {len(r['survived'])} "
            f"| {sum(r['not reached'].values())} |"
        )
    for room, r in results.items():
        lines += ["", f"## {room}", ""]
        for s in r["survived"]:
            where, function, change = s["mutant"].split(": ", 2)
            reason = explained.get(s["mutant"], "Not explained: a test is missing.")
            lines += [f"- `{where}`, `{function}`", f"    - `` {change} ``", f"    - {reason}"]
        if not r["survived"]:
            lines.append("No mutant survived.")
        if r["not reached"]:
            lines += ["", "Not reached by unit tests:", ""]
            lines += [f"- `{path}`: {count}" for path, count in r["not reached"].items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
