"""The messages of the library, read from its source: log lines, the reasons in them, and the errors it raises.

No list of messages is kept here. A function logs messages when it passes one of its arguments to the logger, or to
another such function; the texts are what all its callers pass to it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from .reading import ROOT

PACKAGE = ROOT / "journy_track"
#: The logging methods of loggers and of `warnings`, with the position of the message.
_LOGS = {"log": 1, "warning": 0, "error": 0, "exception": 0, "critical": 0, "warn": 0}
_LOGGERS = re.compile(r"^(_?log(ger)?|logging|warnings|_?notices)$")
#: Calls that put a reason into a log line, with its position: the `%s` of "delivery is delayed: %s".
REASONS = {
    "dropped": {"Dropped": 1},
    "deferred": {"Deferred": 0, "NotSent": 0, "MaybeSent": 0, "failed": 0},
    "given up": {"Rejected": 1, "given_up": 1, "give_up": 1, "Forbidden": 0},
    "left out": {"NotJson": 0, "Refused": 0},
    "spool": {"SpoolError": 0, "Corrupt": 0, "Newer": 0, "Gone": 0},
}
#: Calls with the word under which a lost item is counted in `stats().dropped`, with its position.
_COUNTS = {"Dropped": 0, "Internal": 0, "refuse": 0, "lost": 1, "end": 0, "withdraw": 1, "_withdraw": 1, "_reject": 1}


@dataclass(frozen=True)
class Message:
    """A text with its placeholders replaced by `…`."""

    text: str
    place: str


@dataclass
class Module:
    """A source file, with the expressions that its names may refer to."""

    path: Path
    tree: ast.Module
    names: dict[str, list[ast.expr]] = field(default_factory=dict)
    #: The expressions that its functions return.
    answers: dict[str, list[ast.expr]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Module:
        module = cls(path, ast.parse(path.read_text()))
        for node in ast.walk(module.tree):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            value = getattr(node, "value", None)
            for target in targets:
                if isinstance(target, ast.Name) and isinstance(value, ast.expr):
                    module.names.setdefault(target.id, []).append(value)
            if isinstance(node, ast.FunctionDef):
                returned = [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return) and inner.value]
                module.answers[node.name] = returned
        return module

    def place(self, node: ast.AST) -> str:
        return f"{self.path.name}:{getattr(node, 'lineno', 0)}"


class Unreadable(Exception):
    """A message is built in a way that cannot be read from the source."""


def modules(root: Path = PACKAGE) -> list[Module]:
    found = [Module.read(path) for path in sorted(root.rglob("*.py"))]
    everywhere = {name: answers for module in found for name, answers in module.answers.items()}
    for module in found:  # imported functions return the same as where they are defined
        for node in ast.walk(module.tree):
            for alias in node.names if isinstance(node, ast.ImportFrom) else ():
                if alias.name in everywhere:
                    module.answers.setdefault(alias.name, everywhere[alias.name])
    return found


def logged(sources: list[Module]) -> list[Message]:
    """Return everything that can be logged as a warning or worse. Raises `Unreadable` for what it cannot read."""
    relays = _relays(sources)
    found: list[Message] = []
    for module in sources:
        for function, call in _calls(module.tree):
            index = _index(call, relays)
            if index is None or len(call.args) <= index or "INFO" in ast.dump(call):
                continue
            message = call.args[index]
            if function is not None and _parameter(function, message) is not None and _name(function.name) in relays:
                continue  # it passes on its own argument
            try:
                found += [Message(text, module.place(call)) for text in _texts(message, module)]
            except Unreadable as error:
                raise Unreadable(f"{module.place(call)}: {ast.unparse(message)}") from error
    return found


def printed(sources: list[Module]) -> list[Message]:
    """Return what is printed to stderr, except by the commands."""
    found: list[Message] = []
    for module in sources:
        for _, call in _calls(module.tree):
            to_stderr = any(k.arg == "file" and "stderr" in ast.unparse(k.value) for k in call.keywords)
            if isinstance(call.func, ast.Name) and call.func.id == "print" and to_stderr:
                found += [Message(text, module.place(call)) for text in _texts(call.args[0], module)]
    return found


def reasons(sources: list[Module], kind: str) -> list[Message]:
    """Return the texts that become part of a log line of that *kind*. Passed-on texts are found at their source."""
    found: list[Message] = []
    for module in sources:
        for _, call in _calls(module.tree):
            index = REASONS[kind].get(_name(call.func))
            if index is None or len(call.args) <= index:
                continue
            try:
                texts = list(_texts(call.args[index], module))
            except Unreadable:
                continue
            found += [Message(text, module.place(call)) for text in texts if re.search(r"[a-z]{2}", text)]
    return found


def counted(sources: list[Module]) -> set[str]:
    """Return the words under which `stats().dropped` counts."""
    found: set[str] = set()
    for module in sources:
        for _, call in _calls(module.tree):
            index = _COUNTS.get(_name(call.func))
            if [ast.unparse(argument) for argument in call.args[1:2]] == ["'dropped'"]:
                index = 2
            if index is not None and len(call.args) > index and isinstance(call.args[index], ast.Constant):
                found.add(str(call.args[index].value))
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith((".lost", "._refused")):
                found |= {node.slice.value} if isinstance(node.slice, ast.Constant) else set()
    return {word for word in found if re.fullmatch(r"[a-z]+(_[a-z]+)*", str(word))}


def raised(sources: list[Module]) -> set[str]:
    """Return the names of all exceptions that are raised."""
    found: set[str] = set()
    for module in sources:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                found.add(_name(node.exc.func))
    return found


# ── Reading ──


def _relays(sources: list[Module]) -> dict[str, int]:
    """Return the functions that log one of their own arguments, with its position."""
    relays: dict[str, int] = {}
    while True:
        known = len(relays)
        for module in sources:
            for function, call in _calls(module.tree):
                index = _index(call, relays)
                if function is None or index is None or len(call.args) <= index:
                    continue
                own = _parameter(function, call.args[index])
                if own is not None:
                    relays[_name(function.name)] = own
        if len(relays) == known:
            return relays


Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache  # each module is searched for many kinds of calls
def _calls(tree: ast.AST) -> list[tuple[Function | None, ast.Call]]:
    """Return each call with the function that contains it."""
    return list(_calls_in(tree, None))


def _calls_in(tree: ast.AST, inside: Function | None) -> Iterator[tuple[Function | None, ast.Call]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield inside, node
        yield from _calls_in(node, node if isinstance(node, Function) else inside)


def _index(call: ast.Call, relays: dict[str, int]) -> int | None:
    """Return the position of the message among the arguments, `None` for a call that does not log."""
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr in _LOGS:
        receiver = ast.unparse(function.value).rpartition(".")[2]
        if _LOGGERS.match(receiver) or receiver.startswith("getLogger("):
            return _LOGS[function.attr]
    return relays.get(_name(function))


def _parameter(function: Function, message: ast.expr) -> int | None:
    """Return the index of the function's own argument that *message* is or begins with, `None` if there is none."""
    while isinstance(message, ast.BinOp):
        message = message.left
    names = [argument.arg for argument in function.args.posonlyargs + function.args.args]
    if names[:1] in (["self"], ["cls"]):
        del names[0]
    return names.index(message.id) if isinstance(message, ast.Name) and message.id in names else None


def _name(function: ast.expr | str) -> str:
    if isinstance(function, str):
        return function
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _texts(node: ast.expr, module: Module) -> Iterator[str]:
    for text in _raw(node, module):
        yield plain(text)


def _raw(node: ast.expr, module: Module) -> Iterator[str]:  # noqa: PLR0912 - one case for each form
    """Yield the texts that an expression may evaluate to, with placeholders kept or replaced by `…`."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr():
            yield "".join(_part(part, module) for part in node.values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from (one + other for one in _raw(left, module) for other in _raw(right, module))
        case ast.Call(func=ast.Name(id=name)) if name in module.answers:
            for value in module.answers[name]:
                if not (isinstance(value, ast.Constant) and value.value is None):
                    yield from _raw(value, module)
        case ast.BoolOp():  # str(error) or "no response"
            for value in node.values:
                if isinstance(value, ast.Constant):
                    yield from _raw(value, module)
        case ast.IfExp():
            yield from _raw(node.body, module)
            yield from _raw(node.orelse, module)
        case ast.Name(id=name) if name in module.names:
            for value in module.names[name]:
                yield from _raw(value, module)
        case ast.Subscript(value=ast.Name(id=name)) if name in module.names:
            for table in module.names[name]:
                for value in table.values if isinstance(table, ast.Dict) else ():
                    yield from _raw(value, module)
        case _:
            raise Unreadable(ast.dump(node))


def _part(part: ast.expr, module: Module) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    known = module.names.get(part.value.id, []) if isinstance(part.value, ast.Name) else []
    match known:
        case [ast.Constant(value=str(text))]:
            return text
    return "…"


def plain(text: str) -> str:
    """Return *text* with `…` for each placeholder, and without characters that Markdown would interpret."""
    text = re.sub(r"%[.\d]*[srdf]", "…", text).replace("`", "'")
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"…+", "…", text)
