"""Which setting takes precedence: option, variable or environment, and what is said where that may surprise."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from attune_ops.installation.config.urls import host_of
from attune_ops.model.secret import Secret
from attune_ops.model.units import listed

OF_THE_BROKER = ("management_url", "prometheus_url")  # of another broker they would be mixed with this AMQP URL


class Setting(msgspec.Struct, frozen=True):
    """A value, its origin, and a password that is kept outside of it."""

    value: Any
    origin: str
    password: Secret | None = None


Layer = dict[str, Setting]


def layered(given: Layer, variables: Layer, environment: Layer) -> tuple[ChainMap[str, Setting], Layer]:
    """The settings in order: options, variables, environment; an environment that an option names before variables.

    Such an environment with an AMQP URL also has its own management API: variables that name another are left out.
    So is the management API of another broker than the AMQP URL's. The second value has those that would be used.
    """
    layers = [given, variables, environment]
    if "env" in given:
        other = OF_THE_BROKER if "amqp_url" in environment and "amqp_url" not in given else ()
        layers = [given, environment, {key: said for key, said in variables.items() if key not in other}]
    every, said = ChainMap(*layers), ChainMap(*_of_one_broker(layers))
    return said, {key: every[key] for key in OF_THE_BROKER if key in every and said.get(key) is not every[key]}


def _of_one_broker(layers: Sequence[Layer]) -> Iterator[Layer]:
    """The layers, without the URLs of another host's broker in those below the AMQP URL that is used.

    Which broker they are of says the AMQP URL beside them, else their own host.
    """
    amqp: Setting | None = None
    for layer in layers:
        host = None if amqp is None else host_of(str(amqp.value))
        yield {
            key: said
            for key, said in layer.items()
            if host is None or key not in OF_THE_BROKER or host_of(str(layer.get("amqp_url", said).value)) == host
        }
        amqp = amqp or layer.get("amqp_url")


def other_broker(amqp: Setting, dropped: Layer) -> str:
    """The line for settings of another broker than that of the AMQP URL; "" where there are none."""
    names = [s.origin if s.origin.startswith("ATTUNE_OPS_") else f"{key} of {s.origin}" for key, s in dropped.items()]
    are = "is" if len(names) == 1 else "are"
    return f"{listed(names)} {are} not used: {amqp.origin} names another broker" if names else ""


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
