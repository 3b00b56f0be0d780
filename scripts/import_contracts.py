"""What import-linter does not know by itself: a room is entered through its face.

The face of a room is `__all__` of its `__init__`: the modules that other rooms may import. Everything else in it is its
own business. A room inside a room has a face of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class Faces(Contract):
    """Of a room, other rooms import only the modules that it names in `__all__`, and it names none for nobody.

    Configuration options:
        - root:   the package whose subpackages are rooms.
        - open:   rooms that may name modules which only tests and scripts import. (Optional.)
    """

    type_name = "faces"

    root = fields.StringField()
    open = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Every import that goes past a face, and every name in a face that nobody uses."""
        root = str(self.root)
        entered, wrong = set(), []
        for importer in sorted(graph.modules):
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                for room, module in _doors(root, importer, imported):
                    entered.add((room, module))
                    if module not in face(room):
                        wrong.append(f"{importer} imports {imported}, which the face of {room} does not name")
        left_open = set(self.open or ())  # type: ignore[call-overload]
        for room in sorted(_rooms(graph, root) - left_open):
            unused = [module for module in face(room) if (room, module) not in entered]
            wrong += [f"the face of {room} names {module}, which no other room imports" for module in unused]
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """A line each."""
        for line in check.metadata["wrong"]:
            output.print_error(f"- {line}")


def _doors(root: str, importer: str, imported: str) -> Iterator[tuple[str, str]]:
    """Each room that an import enters from outside, and which of its modules it goes to."""
    parts = imported.split(".")
    if parts[0] != root:
        return
    for depth in range(2, len(parts)):
        room = ".".join(parts[:depth])
        if importer != room and not importer.startswith(f"{room}."):
            yield room, parts[depth]


def _rooms(graph: ImportGraph, root: str) -> set[str]:
    """Packages below `root` that hold modules."""
    return {module.rsplit(".", 1)[0] for module in graph.modules if module.count(".") > 1}


@cache
def face(room: str) -> tuple[str, ...]:
    """Names in `__all__` of a package, read without importing it; none where it has no face."""
    found = find_spec(room)
    assert found is not None
    assert found.origin is not None
    for node in ast.parse(Path(found.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"]:
            return tuple(ast.literal_eval(node.value))
    return ()
