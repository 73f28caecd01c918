"""Taking a service's start-up and stopping it again, as one change in the audit journal."""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from attune_ops.installation import audit
from attune_ops.installation.config.settings import Settings
from attune_ops.model.startup_progress import Step
from attune_ops.startup.preflight import refuse_harm
from attune_ops.startup.refusal import explained
from attune_ops.startup.sequence import OnStep, Service, ignore
from attune_ops.startup.steps import Ending, StartupReport


def run(
    settings: Settings,
    service: str,
    *,
    name: str | None = None,
    skip: Collection[str] = (),
    confirm: str | None = None,
    on_step: OnStep = ignore,
    meanwhile: Callable[[Service, StartupReport], None] | None = None,
    on_end: Callable[[Ending], None] | None = None,
) -> StartupReport:
    """Takes a start-up and stops it again; `meanwhile` is called in between, whether or not it got ready.

    Changes what the service changes: see `Service`. Whatever happens in between, Ctrl-C included, the clean stop is
    done, and `on_end` is told of it; it undoes what is the service's own and leaves the base infrastructure.
    `confirm` is the environment's name where it is protected. Raises `ConfigError` at that gate and for an unknown
    service or step, `ActionError` where it would harm a worker that runs or lose messages that wait (see
    `refuse_harm`); a step that fails is in the report.
    """
    steps = [Step.named(s) for s in skip]
    it = Service(settings, service, name=name, skip=steps, on_step=on_step, explain=explained)
    if service == "worker":
        audit.check_confirmation(settings, confirm)
        refuse_harm(settings, it.name, it.skip)
    with audit.change(settings, "startup", f"{service} {it.name}".strip(), confirm=confirm, skip=list(skip)) as outcome:
        try:
            report = it.start()
            outcome["ok"] = report.ok
            if meanwhile is not None:
                meanwhile(it, report)
        finally:
            ending = it.stop()
            outcome["left"] = list(ending.left)
            if on_end is not None:
                on_end(ending)
    return msgspec.structs.replace(report, ending=ending)
