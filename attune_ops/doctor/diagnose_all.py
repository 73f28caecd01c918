"""The doctor on several environments: read side by side, in the time of the slowest."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from attune_ops.doctor.diagnosis import diagnose_live, read_baseline, wait_until_ok
from attune_ops.doctor.findings import Severity
from attune_ops.doctor.reports import EnvironmentReport, Reports
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.config.several import several
from attune_ops.installation.side_by_side import SideBySide
from attune_ops.model.deadline import Deadline, seconds, whole_command
from attune_ops.model.errors import AttuneOpsError, ConfigError
from attune_ops.model.secret import hold

MOST = 16  # environments that are read at once; each has up to 6 connections

Progress = Callable[[str, str], None]  # environment, sentence


def doctor_all(
    envs: Collection[str] | None = None,
    *,
    config: str | None = None,
    only: Collection[str] = (),
    skip: Collection[str] = (),
    samples: int | None = None,
    interval: float = 7.0,
    target_version: str | None = None,
    baseline: str | None = None,
) -> Reports:
    """Runs the checks on several environments of the configuration file (None: on all), side by side.

    The options are those of `Ops.doctor`. Needs tag monitoring, changes nothing. An environment that cannot be read
    has its reason in the result. Raises `ConfigError` for an unknown environment or check.
    """
    settings = several(envs, {"config": config} if config else {})
    made = diagnose_all(
        settings,
        baseline=baseline,
        only=only,
        skip=skip,
        samples=samples,
        interval=interval,
        target_version=target_version,
    )
    hold(made, secrets_of(settings))
    return made


def secrets_of(settings: Mapping[str, Settings | ConfigError]) -> tuple[Any, ...]:
    """The secrets of all environments, for masking."""
    return tuple(s for one in settings.values() if isinstance(one, Settings) for s in one.secrets)


def diagnose_all(
    settings: Mapping[str, Settings | ConfigError],
    *,
    fail_on: Severity = Severity.ERROR,
    wait: float = 0.0,
    baseline: str | None = None,
    on_progress: Progress = lambda env, said: None,
    **options: Any,
) -> Reports:
    """Diagnoses each environment in a thread of its own; `options` are those of `diagnose_live`.

    Each repeats for at most `wait` s while its findings at or above `fail_on` may recover, and waits for its own
    answers only: one that is away takes no time from the others. Raises `ConfigError` where the request is wrong.
    """
    started, patience = time.perf_counter(), seconds()

    def run(env: str, found: Settings | ConfigError) -> EnvironmentReport:
        if isinstance(found, ConfigError):
            return EnvironmentReport(env, error=str(found), invalid=True)
        own = None if patience is None else Deadline(patience)
        known = baselines[env]
        note = partial(on_progress, env)
        try:
            with whole_command(own):
                report = wait_until_ok(
                    lambda: diagnose_live(found, on_progress=note, known=known, **options), fail_on, wait, note
                )
        except AttuneOpsError as e:
            return EnvironmentReport(env, error=str(e), invalid=isinstance(e, ConfigError))
        except Exception as e:  # noqa: BLE001 - a bug that one environment shows hides no other
            return EnvironmentReport(env, error=f"unexpected {type(e).__name__}: {e} (a bug)")
        return EnvironmentReport(env, report, silent=own is not None and own.silent)

    baselines = {env: read_baseline(baseline, env) for env in settings}
    with SideBySide(max(1, min(MOST, len(settings)))) as pool:
        futures = [pool.submit(partial(run, env, found)) for env, found in settings.items()]
        made = tuple(future.result() for future in futures)
    _raise_common_error(made, settings)
    return Reports(made, datetime.now(UTC), (time.perf_counter() - started) * 1000)


def _raise_common_error(made: tuple[EnvironmentReport, ...], settings: Mapping[str, Settings | ConfigError]) -> None:
    """Raises what is wrong with the request: each environment that has settings refused it with the same words."""
    refused = {e.error for e in made if isinstance(settings[e.env], Settings) and e.invalid}
    asked = [e for e in made if isinstance(settings[e.env], Settings)]
    if len(refused) == 1 and all(e.invalid for e in asked):
        raise ConfigError(next(iter(refused)))
