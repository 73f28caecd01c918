"""A change from the live view: the plan of a dry run, a confirmation, the result. The writing is `cleanup`'s."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, ClassVar

from rich.console import Group
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, OptionList, Static

from attune_ops.cleanup.candidates import ReapResult
from attune_ops.cleanup.close_connection import close_connection
from attune_ops.cleanup.reap import reap
from attune_ops.installation.config import Settings
from attune_ops.model import command_lines, deadline, units
from attune_ops.model.errors import AttuneOpsError
from attune_ops.model.secret import scrub
from attune_ops.model.table import Table
from attune_ops.monitoring.live_detail import Action
from attune_ops.render import form
from attune_ops.render.terminal import Visible
from attune_ops.render.text import visible


def perform(settings: Settings, action: Action, *, apply: bool, confirm: str | None) -> Any:
    """Plans an action, or with `apply` does it: by the same functions as `reap` and `connections close`."""
    with deadline.whole_command(None):
        if action.kind == "reap":
            only = command_lines.only(action.subject)
            return reap(settings, only, grace=timedelta(0), apply=apply, confirm=confirm)
        return close_connection(settings, action.subject, apply=apply, confirm=confirm)


def offer(app: App[Any], offered: list[Action], settings: Settings, with_target: Callable[[Any], Any],
          changed: Callable[[bool | None], None]) -> None:  # fmt: skip
    """Opens the plan of the one action, or the choice between several; `changed` gets whether something was changed."""

    def plan(choice: int | None) -> None:
        if choice is not None:
            app.push_screen(ChangeScreen(settings, offered[choice], with_target), changed)

    if len(offered) == 1:
        plan(0)
    else:
        app.push_screen(ChoiceScreen(offered), plan)


class ChangeScreen(ModalScreen[bool]):
    """The plan, then the result. Nothing changes before the key `a`; a protected environment's name is typed first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "apply", "Apply"),
        Binding("escape", "close", "Close"),
    ]

    class Done(Message):
        """A plan or a change has ended, with its result or its error."""

        def __init__(self, result: Any, error: str | None, applied: bool) -> None:
            super().__init__()
            self.result, self.error, self.applied = result, error, applied

    def __init__(self, settings: Settings, action: Action, with_target: Callable[[Any], Any]) -> None:
        super().__init__()
        self._with_target = with_target
        self._settings, self._what = settings, action
        self._state = "planning"  # then planned, applying, done
        self._changed = False

    def compose(self) -> ComposeResult:
        """A panel with the plan, the input of a protected environment, and the keys."""
        with Vertical(id="panel"):
            yield Static(Text(visible(self._what.words).capitalize(), "bold", overflow="fold"), id="title")
            with VerticalScroll(id="plan-box"):
                yield Static(Text("dry run …", "dim"), id="plan")
            if self._settings.protected:
                yield Input(placeholder=f"protected: type {self._settings.env} and press Enter", id="confirm")
            yield Static(id="ask")
            yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Makes the plan; what is typed goes to the input of a protected environment, if there is one."""
        self.query_one("#confirm" if self._settings.protected else "#plan-box").focus()
        self._start(apply=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The name was typed: the same as the key."""
        event.stop()
        self.action_apply()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing can be applied before there is a plan, and nothing twice; a typed name needs no key besides."""
        return action != "apply" or (self._state == "planned" and not self._settings.protected)

    def action_apply(self) -> None:
        """Does what the plan says; only once there is one with something to do."""
        if self._state == "planned":
            self._start(apply=True)

    def action_close(self) -> None:
        """Closes the panel; a change that has begun ends first."""
        if self._state != "applying":
            self.dismiss(self._changed)

    def _start(self, *, apply: bool) -> None:
        confirm = self.query_one("#confirm", Input).value if apply and self._settings.protected else None
        if confirm is not None and confirm != self._settings.env:
            wrong = f"nothing was changed: {confirm!r} is not {self._settings.env!r}; type the name, Esc cancels"
            self.query_one("#ask", Static).update(Text(visible(wrong), "bold yellow", overflow="fold"))
            return
        self._state = "applying" if apply else "planning"
        if apply:
            self.query_one("#ask", Static).update(Text("applying …", "bold"))

        def run() -> None:
            result, error = None, None
            try:
                result = perform(self._settings, self._what, apply=apply, confirm=confirm)
            except AttuneOpsError as e:
                error = " ".join(str(e).split())
            except Exception as e:  # noqa: BLE001 - the view goes on
                error = f"unexpected {type(e).__name__}: {e} (a bug)"
            self.post_message(self.Done(result, error, apply))

        # Not a daemon where it changes something: the process ends after it.
        threading.Thread(target=run, name="attune-ops change", daemon=not apply).start()

    def on_change_screen_done(self, event: Done) -> None:
        """Shows the plan or the result, and what can be done now."""
        self._show(event)
        self.refresh_bindings()

    def _show(self, event: Done) -> None:
        plan, ask = self.query_one("#plan", Static), self.query_one("#ask", Static)
        secrets = self._settings.secrets
        if event.error is not None:
            self._state = "done"
            plan.update(Text(f"× {visible(scrub(event.error, secrets))}", "red", overflow="fold"))
            ask.update(Text("nothing to apply; Esc closes" if not event.applied else "Esc closes"))
            return
        plan.update(Visible(self._shown(event.result), secrets))
        if event.applied:
            self._state, self._changed = "done", True
            ask.update(Text("done; Esc closes", "bold"))
        elif isinstance(event.result, ReapResult) and not event.result.count("deletes"):
            self._state = "done"
            ask.update(Text("nothing to apply; Esc closes"))
        else:
            self._state = "planned"
            name = "type the environment's name, then Enter" if self._settings.protected else "a applies it"
            ask.update(Text(f"dry run: nothing was changed; {name}, Esc cancels", "bold yellow"))

    def _shown(self, result: Any) -> Any:
        undo = (
            "Messages are saved to a file first; undo: the worker redeclares its queue, then restore them to it"
            if self._what.kind == "reap"
            else "No undo: the broker requeues what the connection holds; the client may reconnect"
        )
        note = Text(undo, "dim", overflow="fold")
        command = visible(self._with_target(self._what.command))
        same = Text("the same as $ ", "dim", overflow="fold").append(command, "default")
        if self._what.kind == "reap":  # it has commands to copy, which a terminal's form would cut here
            return Group(Text(self._with_target(form(result, "text")), overflow="fold"), "", note, same)
        return Group(*_lines(result), note, same)


def _lines(table: Table) -> Iterator[Text]:
    """A connection as lines of a name and a value: as columns they do not fit the panel."""
    for row in table.records():
        for name, value in list(row.items())[1:]:  # the title has its name
            if isinstance(value, timedelta):
                said = f"{units.age(value)} ago"
            else:
                said = ", ".join(value) if isinstance(value, tuple) else "—" if value is None else str(value)
            yield Text(f"{name:<11}", "dim", overflow="fold").append(visible(said), "not dim default")


class ChoiceScreen(ModalScreen[int | None]):
    """One of several actions."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, actions: list[Action]) -> None:
        super().__init__()
        self._actions = actions

    def compose(self) -> ComposeResult:
        """The actions as a list."""
        with Vertical(id="panel"):
            yield Static(Text("Which change? Each shows its plan first.", "bold"), id="title")
            yield OptionList(*(Text(visible(a.words), overflow="fold") for a in self._actions))
            yield Footer(show_command_palette=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """The choice."""
        self.dismiss(event.option_index)
