"""The diagnoses of several environments, read side by side."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import msgspec

from attune_ops.doctor.findings import Finding, Report
from attune_ops.model.display import Shown

NOT_DIAGNOSED = "not diagnosed"
LATE = "an answer did not come in time"


class EnvironmentReport(msgspec.Struct, frozen=True):
    """The diagnosis of one environment, or the `error` that prevented it.

    `invalid`: its configuration is wrong. `silent`: an answer did not come in time, so the report is incomplete.
    """

    env: str
    report: Report | None = None
    error: str = ""
    invalid: bool = False
    silent: bool = False

    @property
    def status(self) -> str:
        """That of the report, or "not diagnosed"."""
        return self.report.status if self.report else NOT_DIAGNOSED

    @property
    def headline(self) -> str:
        """The status with the numbers, in one line; or why there is no report."""
        return self.report.headline if self.report else f"{NOT_DIAGNOSED}: {self.error}"

    @property
    def verdict(self) -> str:
        """The headline and the worst finding; or why there is no report."""
        return self.report.verdict if self.report else self.headline

    @property
    def incomplete(self) -> str:
        """That the report is incomplete, to be added to the verdict; '' where it is not."""
        return f" (incomplete: {LATE})" if self.silent else ""

    @property
    def named(self) -> Report | None:
        """The report with the environment in front of each finding's sentence, for a reader of one list."""
        if self.report is None:
            return None
        replace = msgspec.structs.replace
        named = tuple(replace(f, detail=f"{self.env}: {f.detail}") for f in self.report.findings)
        return replace(self.report, findings=named)


class Reports(Shown, msgspec.Struct, frozen=True, eq=False, weakref=True):
    """One report an environment, in the order in which they were named."""

    environments: tuple[EnvironmentReport, ...]
    taken_at: datetime
    duration_ms: float = 0.0

    def __getitem__(self, env: str) -> Report:
        """The report of an environment; raises `KeyError` where there is none."""
        found = {e.env: e.report for e in self.environments}[env]
        if found is None:
            raise KeyError(env)
        return found

    def in_full(self) -> Reports:
        """The same, and the JSON has every subject of each finding."""
        replace = msgspec.structs.replace
        full = (replace(e, report=replace(e.report, full=True)) if e.report else e for e in self.environments)
        return replace(self, environments=tuple(full))

    @property
    def findings(self) -> tuple[tuple[str, Finding], ...]:
        """Environment and finding, for all of them."""
        return tuple((e.env, f) for e in self.environments if e.report for f in e.report.findings)

    @property
    def headline(self) -> str:
        """How many environments have which status."""
        counts = Counter(e.status for e in self.environments)
        words = ("unhealthy", NOT_DIAGNOSED, "unknown", "degraded", "healthy")
        total = len(self.environments)
        said = ", ".join(f"{counts[w]} {w}" for w in words if counts[w])
        return f"{total} environment{'s' if total != 1 else ''}: {said}"

    @property
    def ok(self) -> bool:
        """Whether each environment was diagnosed and is healthy or degraded."""
        return all(e.report is not None and e.report.ok and not e.silent for e in self.environments)
