"""A pytest plugin: the module MUTATION_PATH has the source that is in the file MUTATION_SOURCE."""

import os
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

PATH = os.path.abspath(os.environ["MUTATION_PATH"])
as_it_is = SourceFileLoader.get_code


def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
    if os.path.abspath(self.path) != PATH:
        return as_it_is(self, fullname)
    return compile(Path(os.environ["MUTATION_SOURCE"]).read_text(), self.path, "exec", dont_inherit=True)


SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
