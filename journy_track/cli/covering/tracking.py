"""Finds which functions of a project track, either themselves or through another function that they use."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from journy_track.cli.cataloguing.calls import registers
from journy_track.cli.cataloguing.declaring import Declarations
from journy_track.cli.covering.names import Definition, Foreign, Function, Meaning, NameResolver, Scope

#: The functions that send something. Setting the user (`set_user`, `user()`) does not send an event.
_VERBS = frozenset(
    {
        *("track", "track_event", "upsert_user", "upsert_account", "add_users_to_account"),
        *("remove_users_from_account", "link", "delete_user", "delete_account", "sync_users", "sync_accounts"),
        *("add_event", "for_user", "for_account", "for_user_in_account"),
    }
)
#: Methods that run when a class is called or used in a `with` block.
_IMPLIED = ("__init__", "__new__", "__post_init__", "__call__", "__enter__", "__exit__", "__aenter__", "__aexit__")
#: The maximum depth to which aliases, such as names for annotations or lists, are followed.
_MAX_ALIASES = 5


class Tracking:
    """Determines which functions of a project track.

    *handlers* are the functions that a framework calls. A function that defines handlers inside itself, such as an
    app factory, does not count as tracking because of them.
    """

    def __init__(self, names: NameResolver, declarations: Declarations, handlers: Collection[ast.AST]) -> None:
        self._names = names
        self._declarations = declarations
        self._handlers = handlers
        self._read: dict[Definition, tuple[bool, list[Definition]]] = {}

    def by(self, definition: Definition) -> Definition | None:
        """The nearest function that tracks when this one is called, possibly itself; `None` if nothing tracks."""
        return self._nearest([definition])

    def passed_by(self, definition: Definition) -> bool:
        """Whether a decorator of this library never runs, because it is above the one that registers the function."""
        node = definition.node
        if not isinstance(node, Function):
            return False
        applied = _applied_decorators(node)
        above = [decorator for decorator in node.decorator_list if decorator not in applied]
        return any(map(_is_verb, self._meanings(Scope(definition.module), above)))

    def by_expression(self, scope: Scope, node: ast.AST) -> bool:
        """Whether an expression outside of functions tracks: `track_event("viewed")(view)`."""
        meanings = list(self._meanings(scope, [node]))
        used = [meaning for meaning in meanings if isinstance(meaning, Definition)]
        return any(map(_is_verb, meanings)) or self._nearest(used) is not None

    def _nearest(self, waiting: list[Definition]) -> Definition | None:
        seen = set(waiting)
        for definition in waiting:
            tracks, used = self._look_into(definition)
            if tracks:
                return definition
            waiting += [one for one in used if one not in seen]
            seen.update(used)
        return None

    def _look_into(self, definition: Definition) -> tuple[bool, list[Definition]]:
        """Whether a function tracks by itself, and which definitions of the project it uses."""
        if definition not in self._read:
            node = definition.node
            if isinstance(node, ast.ClassDef):
                methods = (self._names.method(definition, name) for name in _IMPLIED)
                self._read[definition] = False, [method for method in methods if method is not None]
            else:
                meanings = list(dict.fromkeys(self._meanings(self._names.scope_of(definition), [node])))
                used = [meaning for meaning in meanings if isinstance(meaning, Definition)]
                self._read[definition] = any(map(_is_verb, meanings)), used
        return self._read[definition]

    def _meanings(self, scope: Scope, nodes: Collection[ast.AST], aliases: int = _MAX_ALIASES) -> Iterator[Meaning]:
        """What the names in *nodes* refer to. `.track()` of a typed event is a call of this library."""
        for node in nodes:
            for inner in self._parts(node):
                if isinstance(inner, ast.Attribute) and inner.attr == "track" and self._is_typed(scope, inner.value):
                    yield Foreign("journy_track.track")
                elif isinstance(inner, (ast.Name, ast.Attribute)):
                    meaning = self._names.meaning(scope, inner)
                    if meaning is not None:
                        yield meaning
                    if aliases and not isinstance(meaning, Definition):
                        alias = self._names.alias(scope.module, inner)
                        if alias is not None:  # Annotated[User, Depends(get_user)]
                            yield from self._meanings(Scope(alias[0]), [alias[1]], aliases - 1)

    def _parts(self, node: ast.AST) -> Iterator[ast.AST]:
        """*node* and its parts, without functions that it only defines. `a.b.c` is one part, without `a.b` and `a`.

        A function without a decorator runs where its name is used, and that name is resolved like any other.
        """
        waiting = [node]
        while waiting:
            part = waiting.pop()
            yield part
            below = ast.iter_child_nodes(part)
            if isinstance(part, Function):
                returns = [] if part.returns is None else [part.returns]
                below = iter([part.args, *returns, *part.body, *_applied_decorators(part)])
            if isinstance(part, ast.Attribute):
                while isinstance(part, ast.Attribute):
                    part = part.value
                below = iter(() if isinstance(part, ast.Name) else (part,))
            waiting += (inner for inner in below if inner not in self._handlers and not _only_defined(inner))

    def _is_typed(self, scope: Scope, node: ast.expr) -> bool:
        held = self._names.instance(scope, node)
        return isinstance(held, Definition) and self._declarations.declares(held.module, held.name)


def _is_verb(meaning: Meaning) -> bool:
    package, _, rest = meaning.name.partition(".")
    return (
        isinstance(meaning, Foreign)
        and package == "journy_track"
        and not _VERBS.isdisjoint(rest.replace("()", "").split("."))
    )


def _only_defined(node: ast.AST) -> bool:
    return isinstance(node, Function) and not node.decorator_list


def _applied_decorators(node: Function) -> list[ast.expr]:
    """The decorators that run when a framework calls the function: the one that registers it, and those below."""
    for position, decorator in enumerate(node.decorator_list):
        if registers(decorator):
            return node.decorator_list[position:]
    return node.decorator_list
