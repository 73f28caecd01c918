"""The mutants of a module: cosmic-ray's, without those that can only crash or change nothing."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPERATORS = (
    "AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer", "NumberReplacer",
    "ZeroIterationForLoop", "ReplaceUnaryOperator_Delete_Not",
    "ReplaceComparisonOperator_Eq_NotEq", "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Lt_LtE", "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_Gt_GtE", "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_Is_IsNot", "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceBinaryOperator_Add_Sub", "ReplaceBinaryOperator_Sub_Add", "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Div_Mul", "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_BitOr_BitAnd", "ReplaceBinaryOperator_BitAnd_BitOr",
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    path: str
    line: int
    function: str  # the qualified name of the outermost function around it; "" at the module's or a class's own level
    before: str
    after: str
    source: str
    statement: int  # the first line of the innermost statement around it

    @property
    def key(self) -> str:
        """What explained.toml calls it: without the line number, which moves."""
        return f"{self.path}: {self.function or 'module'}: {self.before} → {self.after}"


def mutants(path: Path) -> Iterator[Mutant]:
    """Yields the mutants of the module at this path (relative to the project)."""
    sys.path.append(".venv/mutation")  # at the end: this environment's own packages come first
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.operators.provider import OperatorProvider

    source = path.read_text()
    tree = ast.parse(source)
    hidden, functions = _annotations(tree), list(_functions(tree))
    sums = [_span(node) for node in ast.walk(tree) if isinstance(node, ast.BinOp | ast.AugAssign)]
    statements = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.ExceptHandler)}
    lines = source.split("\n")
    for part, begin, end in _parts(tree, lines):  # cosmic-ray parses what it changes once for each mutant
        nodes = list(ast_nodes(get_ast(part)))
        for name in OPERATORS:
            operator = OperatorProvider()[name]()
            places = [place for node in nodes for place in operator.mutation_positions(node)]
            for number, ((line, column), _) in enumerate(places):
                start = (line + begin, column)
                try:
                    changed = mutate_code(part, operator, number)
                except AttributeError:  # ExceptionReplacer cannot change a dotted name
                    continue
                if changed is None or any(first <= start < last for first, last in hidden):
                    continue
                if "Binary" in name and not any(first <= start < last for first, last in sums):
                    continue  # a star of a parameter list
                now = [*lines[:begin], *changed.split("\n"), *lines[end:]]
                at = next((i for i, (a, b) in enumerate(zip(lines, now, strict=False)) if a != b), None)
                if at is None:
                    continue
                function = next((q for first, last, q in functions if first <= at + 1 <= last), "")
                statement = max(n for n in statements if n <= at + 1)
                source = "\n".join(now)
                yield Mutant(str(path), at + 1, function, lines[at].strip(), now[at].strip(), source, statement)


def _parts(tree: ast.Module, lines: list[str]) -> Iterator[tuple[str, int, int]]:
    """The statements at the module's own level, each with the lines before it: text, first line (from 0), end."""
    begin = 0
    for node in tree.body:
        end = node.end_lineno or node.lineno
        yield "\n".join(lines[begin:end]), begin, end
        begin = end


def _annotations(tree: ast.AST) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations stand, which nothing evaluates, code for the type checker, and the options of a struct."""
    found: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node.returns)
        elif isinstance(node, ast.arg | ast.AnnAssign):
            found.append(node.annotation)
        elif isinstance(node, ast.ClassDef):
            found += [k.value for k in node.keywords]
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            found.append(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "cast":
            found.append(node.args[0])
    return [_span(node) for node in found if node]


def _span(node: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _functions(tree: ast.AST, inside: str = "") -> Iterator[tuple[int, int, str]]:
    """First line of the body, last line and qualified name of the functions that are in no other."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.body[0].lineno, node.end_lineno or node.lineno, inside + node.name
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{inside}{node.name}.")
        elif isinstance(node, ast.If | ast.Try):
            yield from _functions(node, inside)
