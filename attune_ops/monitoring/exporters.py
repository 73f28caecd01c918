"""`attune-ops serve` for several environments: an exporter each, read side by side, and one address for all."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote, unquote, urlsplit

from attune_ops.monitoring.env_label import merged
from attune_ops.monitoring.exporter import HTML, PLAIN, Answer, Exporter
from attune_ops.monitoring.prometheus import CONTENT_TYPE_LATEST
from attune_ops.render import html, text

ENV = "/env/"  # the paths of one environment begin with it


class Exporters:
    """One exporter an environment; each reads in its own thread, so that one that is away delays no other."""

    def __init__(self, exporters: Mapping[str, Exporter]) -> None:
        self._exporters = dict(exporters)

    def start(self) -> None:
        """Starts to read."""
        for exporter in self._exporters.values():
            exporter.start()

    def stop(self) -> None:
        """Starts no further reading."""
        for exporter in self._exporters.values():
            exporter.stop()

    def answer(self, path: str) -> Answer:
        """What a GET of this path gets: of all environments, or below /env/NAME/ what one exporter answers."""
        plain = urlsplit(path).path
        if plain.startswith(ENV):
            name, _, rest = plain.removeprefix(ENV).partition("/")
            exporter = self._exporters.get(unquote(name))
            return self._unknown() if exporter is None else exporter.answer(f"/{rest}")
        match plain.strip("/"):
            case "metrics":
                return Answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, self._metrics())
            case "readyz" | "healthz/broker" as asked:
                return self._all(asked)
            case "checks":
                return next(iter(self._exporters.values())).answer("/checks")
            case "":
                return Answer(HTTPStatus.OK, HTML, self._index().encode())
            case _:
                return self._unknown()

    def _unknown(self) -> Answer:
        known = "/, /metrics, /checks, /readyz, /healthz/broker, and below /env/NAME/ those of one environment, with "
        said = f"{known}/env/NAME/healthz/worker/WORKER; NAME is {', '.join(self._exporters)}"
        return Answer(HTTPStatus.NOT_FOUND, PLAIN, f"not found; there are {text.visible(said)}\n".encode())

    def _metrics(self) -> bytes:
        """The metrics of all, each with the label `env`."""
        parts = [e.own_metrics() for e in self._exporters.values()]
        parts += [e.reading.metrics for e in self._exporters.values() if e.reading is not None]
        return merged(parts)

    def _all(self, asked: str) -> Answer:
        """200 where each environment answers so; one line with what each says."""
        answers = {env: e.answer(f"/{asked}") for env, e in self._exporters.items()}
        bad = [a.status for a in answers.values() if a.status is not HTTPStatus.OK]
        said = "; ".join(f"{text.visible(env)}: {a.body.decode().strip()}" for env, a in answers.items())
        return Answer(bad[0] if bad else HTTPStatus.OK, PLAIN, f"{said}\n".encode())

    def _index(self) -> str:
        """The environments, each with its verdict and a link to its report."""
        rows = [
            (env, f"env/{quote(env, safe='')}/", e.reading.verdict if e.reading else "", e.unknown or "")
            for env, e in self._exporters.items()
        ]
        return text.visible_lines(html.page("Environments", html.fragment("environments.html", rows=rows)))
