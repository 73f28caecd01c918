"""Which setting takes precedence: option, variable or environment, and what is said where that may surprise."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from attune_ops.model.secret import Secret
from attune_ops.model.units import listed

OF_THE_BROKER = ("management_url", "prometheus_url")  # of another broker they would be mixed with this AMQP URL


class Setting(msgspec.Struct, frozen=True):
    """A value, its origin, and a password that is kept outside of it."""

    value: Any
    origin: str
    password: Secret | None = None


Layer = dict[str, Setting]


def layered(given: Layer, variables: Layer, environment: Layer) -> ChainMap[str, Setting]:
    """The settings in order: options, variables, environment; an environment that an option names before variables.

    Such an environment with an AMQP URL also has its own management API: variables that name another are left out.
    """
    if "env" not in given:
        return ChainMap(variables | given, environment)
    other = OF_THE_BROKER if "amqp_url" in environment and "amqp_url" not in given else ()
    return ChainMap(dict(given), environment, {key: said for key, said in variables.items() if key not in other})


def remarks(given: Layer, variables: Layer, below: Sequence[Layer], said: Mapping[str, Setting]) -> tuple[str, ...]:
    """A line for the variables that `--env` overrides, and one for each file that variables override.

    `below` are the environment and Attune's own configuration; `said` are the settings that are used.
    """
    several = {key: v for key, v in variables.items() if key not in given and key not in ("env", "config")}
    lines = []
    ignored = [v.origin for key, v in several.items() if not _used(key, v, said)]
    if "env" in given and ignored:
        env = given["env"]
        lines.append(f"{env.origin} {env.value} takes precedence over {listed(ignored)}")
    winning: dict[str, list[str]] = {}
    for key, v in several.items():
        over = next((layer[key].origin for layer in below if key in layer), None)
        if over is not None and _used(key, v, said):
            winning.setdefault(over, []).append(v.origin)
    for over, names in winning.items():
        lines.append(f"{listed(names)} {'takes' if len(names) == 1 else 'take'} precedence over {over}")
    return tuple(lines)


def _used(key: str, variable: Setting, said: Mapping[str, Setting]) -> bool:
    return key in said and said[key].origin == variable.origin
