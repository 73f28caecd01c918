"""What each command says about itself, and of a wrong command line; nothing is contacted."""

from __future__ import annotations

import re

import click
import pytest

from attune_ops.cli import _exit
from attune_ops.cli._base import LONGEST, Command
from attune_ops.cli._duration import duration
from attune_ops.cli._main import Commands, main, root
from attune_ops.cli._target_options import TARGET
from attune_ops.cli._watch import _every
from attune_ops.model.topologies import names
from tests.cli.commands import ALL, formats


@pytest.mark.parametrize("name", ALL)
def test_help_is_complete_and_ends_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == _exit.OK
    shown = capsys.readouterr().out
    head, _, example = shown.rpartition("\nExample:\n")
    assert example.strip(), "the help does not end with an example"
    assert "attune-ops" in example
    assert all(f"--{option}" in head for option, _, _ in TARGET)
    assert all(len(line) <= 80 for line in head.splitlines())
    assert ALL[name].help, "no docstring"


def test_the_help_names_every_topology() -> None:
    (text,) = [help_ for option, _, help_ in TARGET if option == "topology"]
    assert set(re.findall(r"attune-[\d.-]*\d", text)) == set(names())


def test_the_list_has_the_sentence_of_each_command_whether_read_from_its_file_or_imported() -> None:
    context = click.Context(root, info_name="attune-ops")
    assert isinstance(root, Commands)
    read = {name: root.sentence_of(context, name) for name in root.list_commands(context)}
    imported = {name: root.get_command(context, name) for name in read}
    assert read == {name: c.get_short_help_str(LONGEST) for name, c in imported.items() if c is not None}
    assert all(read.values())


@pytest.mark.parametrize("name", ALL)
def test_every_option_says_what_it_does(name: str) -> None:
    for param in ALL[name].params:
        if param.param_type_name == "option":
            assert getattr(param, "help", None), f"{param.name} has no help"


@pytest.mark.parametrize("name", ALL)
def test_a_duration_is_called_time(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == _exit.OK
    shown = capsys.readouterr().out
    assert not re.findall(r"^  --[a-z-]+ (?:DURATION|S)$|^  --[a-z-]+ (?:DURATION|S) ", shown, re.MULTILINE)
    for param in ALL[name].params:
        if isinstance(param.type, click.types.FuncParamType) and param.type.func in (duration, _every):
            assert param.metavar == "TIME", param.name


def test_what_a_drill_sets_itself_is_said() -> None:
    unset = [p for p in ALL["drill run"].params if p.type.name in ("integer", "float")]
    assert len(unset) == 7
    assert [p.name for p in unset if "(default: the " not in str(getattr(p, "help", ""))] == []


@pytest.mark.parametrize("name", ALL)
def test_an_unknown_option_is_one_line_and_status_2(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--no-such-option"]) == _exit.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("attune-ops: No such option '--no-such-option'")
    assert f"see attune-ops {name} --help" in err


@pytest.mark.parametrize("name", [n for n, c in ALL.items() if formats(c)])
def test_the_four_formats_are_there(name: str) -> None:
    assert set(formats(ALL[name])) >= {"table", "json", "csv", "markdown"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["quues"], "No such command 'quues' (did you mean 'queues'?); see attune-ops --help"),
        (["queues", "--env"], "Option '--env' requires an argument"),
        (["--env"], "Option '--env' requires an argument"),
        (["queues", "--limit", "many"], "Invalid value for '--limit': 'many' is not a valid integer range"),
        (["queues", "--format", "xml"], "'xml' is not one of 'table', 'json', 'csv', 'markdown'"),
        (["queues", "a", "amqp://user:s3cret@host/"], "Got unexpected extra argument (amqp://user:***@host/)"),
        (["queues", "a", "b\x1b[31m\nc"], r"Got unexpected extra argument (b\x1b[31m c)"),
        (
            ["messages", "peek", "-rf"],
            "No such option '-r'; write -- before a name that begins with -; see attune-ops",
        ),
        (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == _exit.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


def test_without_a_command_the_help_is_shown_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == _exit.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert all(name.split()[0] in err for name in ALL)


def test_the_list_of_commands_cuts_no_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for group in ("", "messages", "topology"):
        assert main([*group.split(), "--help"]) == _exit.OK
        listed = capsys.readouterr().out.partition("\nCommands:\n")[2]
        assert listed.rstrip().endswith(".")
        assert "..." not in listed


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    from attune_ops import __version__

    assert main(["-v", "--version"]) == _exit.OK
    assert capsys.readouterr().out == f"attune-ops {__version__}\n"


def test_help_and_version_as_commands(capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*words: str) -> str:
        assert main([*words]) == _exit.OK
        return capsys.readouterr().out

    assert printed("version") == printed("--version")
    assert printed("help", "topology", "diff") == printed("topology", "diff", "--help")
    assert printed("help", "topology") == printed("topology", "--help")
    assert printed("help") == printed("--help")
    assert main(["help", "topology", "nope"]) == _exit.USAGE
    assert main(["help", "nope"]) == _exit.USAGE
    assert capsys.readouterr().out == ""


def test_every_command_is_made_by_convention() -> None:
    assert all(isinstance(c, Command) for c in ALL.values())
    assert {"queues", "lab up", "completion"} <= set(ALL)


def test_a_group_alone_shows_its_help_with_the_example_of_a_url_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["messages"]) == _exit.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert "amqp://user:pass@host:5672/vhost" in err
