"""Explaining a refusal during a start-up by looking at broker and registry as they are at that moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attune_ops.doctor.explain import explain
from attune_ops.installation.amqp_write import BrokerRefused
from attune_ops.model.facts import Facts, Source
from attune_ops.startup.steps import StepError

if TYPE_CHECKING:
    from attune_ops.startup.sequence import Service

WANTED = (Source.BROKER, Source.CONSUMERS, Source.DEPRECATED, Source.REGISTRY)


def explained(error: BrokerRefused, service: Service) -> StepError:
    """What a refusal means here. Reads the management API and the registry, changes nothing, raises nothing."""
    told = next(iter(explain(error.text, _facts(service), tuple(service.skip))), None)
    if told is None:
        return StepError(error.code, error.text, "")
    paragraphs = (" ".join(told.here), told.meaning, told.remedy)
    return StepError(error.code, error.text, "\n".join(p for p in paragraphs if p), told.commands)


def _facts(service: Service) -> Facts:
    from attune_ops.installation.collect import collect

    return collect(service.settings, WANTED, listings=("exchanges", "queues", "bindings"))
