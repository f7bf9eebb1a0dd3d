"""Reads a call of another library, argument by argument, and writes the call that replaces it."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import libcst as cst
from libcst import matchers as m

from journy_track._capture.lookalikes import is_lookalike
from journy_track.cli.migrating.source import Source

#: Keywords that are not properties.
_OPTIONS = {
    "track": frozenset({"user", "account", "happened_at", "after_commit"}),
    "upsert_user": frozenset({"user", "user_id", "email", "after_commit"}),
    "upsert_account": frozenset({"account", "account_id", "domain", "after_commit"}),
}
#: The property that is a separate argument, because it identifies the user or account.
_ADDRESS = {"upsert_user": "email", "upsert_account": "domain"}
_NESTED = (cst.Dict, cst.DictComp)
_SEVERAL = (cst.List, cst.Tuple, cst.Set, cst.ListComp, cst.SetComp, cst.GeneratorExp)


@dataclass(frozen=True, slots=True)
class Written:
    """An argument of the new call. *of* is the original argument, whose comments are kept with it.

    *made_of* are the expressions that are evaluated for it; if empty, the value of *of* is.
    """

    keyword: str | None
    text: str
    of: cst.Arg | None = None
    made_of: tuple[cst.CSTNode, ...] = ()


@dataclass(eq=False, slots=True)
class Given:
    """The arguments of a call, by parameter name, and the doubts that prevent rewriting it."""

    source: Source
    call: cst.Call
    parameters: Sequence[str]
    doubts: list[str] = field(default_factory=list)
    arguments: dict[str, cst.Arg] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for index, argument in enumerate(self.call.args):
            if argument.star:
                self.doubt(f"what is in {self.source.shown(argument)} can only be known when it runs")
            elif argument.keyword is not None:
                self.arguments[argument.keyword.value] = argument
                if argument.keyword.value not in self.parameters:
                    self.doubt(f"{argument.keyword.value}= is not an argument that is known here")
                    self._used.add(argument.keyword.value)
            elif index < len(self.parameters):
                self.arguments[self.parameters[index]] = argument
            else:
                self.doubt("there are more arguments than it takes")
            if m.findall(argument, m.NamedExpr()):
                self.doubt("an argument assigns a variable")

    def doubt(self, reason: str) -> None:
        if reason not in self.doubts:
            self.doubts.append(reason)

    def take(self, name: str) -> cst.BaseExpression | None:
        """The value of an argument, which is marked as used; `None` if it is missing or a literal `None`."""
        self._used.add(name)
        argument = self.arguments.get(name)
        if argument is None or m.matches(argument.value, m.Name("None")):
            return None
        return argument.value

    def refuse_the_rest(self, reasons: Mapping[str, str]) -> None:
        """Add a doubt for each argument that was not used."""
        for name, argument in self.arguments.items():
            is_nothing = m.matches(argument.value, m.Name("None") | m.Name("False") | m.Dict(elements=[]))
            if name not in self._used and not is_nothing:
                self.doubt(reasons.get(name, f"{name}= has no counterpart"))

    def text(self, name: str) -> str:
        """The source code of an argument's value."""
        return self.source.text(self.arguments[name].value)

    def written(self, keyword: str | None, name: str) -> Written:
        """Argument *name*, passed on as *keyword*."""
        argument = self.arguments[name]
        return Written(keyword, self.source.text(argument.value), argument)

    # ── Values ──

    def identity(self, name: str, *, several: bool = False) -> None:
        """Add a doubt for an ID that this library would not accept."""
        value = self.take(name)
        if isinstance(value, (cst.Float, *_NESTED, *_SEVERAL)):
            self.doubt(f"{name} is not an ID: text, a whole number or a UUID is one")
        elif several and value is not None and not is_repeatable(value):
            self.doubt(f"{self.text(name)} would be evaluated twice: put it in a variable first")

    def moment(self, name: str, keyword: str = "happened_at") -> list[Written]:
        """Pass on a time. Adds a doubt if it may have no time zone, which means local time here and UTC elsewhere."""
        value = self.take(name)
        if value is None:
            return []
        if not _is_aware(self.source, value):
            self.doubt(
                f"{name}= may have no time zone, or be text: happened_at is a datetime, local time if it has no zone"
            )
        return [self.written(keyword, name)]

    def values(self, name: str, verb: str) -> tuple[list[Written], list[Written]]:
        """Metadata or properties, as a mapping, if one is left, and keywords. Adds doubts for what cannot be sent."""
        value = self.take(name)
        if value is None or m.matches(value, m.Dict(elements=[])):
            return [], []
        argument = self.arguments[name]
        if not isinstance(value, cst.Dict):
            self._look_behind(name, value, verb)
            return [self.written(None, name)], []
        keywords: list[Written] = []
        others: list[str] = []
        made_of: list[cst.CSTNode] = []
        seen: set[str] = set()
        # A key that is known only at run time may equal that of another element, and the last one wins.
        keep = self.source.has_comment(value) or None in map(_literal_key, value.elements)
        for element in value.elements:
            key = _literal_key(element)
            self._look_at_element(name, element, key, verb)
            if isinstance(element, cst.DictElement) and key is not None and not keep:
                special = key == _ADDRESS.get(verb)
                taken = key in _OPTIONS[verb] or (verb == "track" and is_lookalike(key))
                # __key would be mangled inside a class, and __debug__= is never valid.
                taken = taken or key.startswith("__")
                plain = key.isidentifier() and not keyword.iskeyword(key) and key.isascii() and not taken
                if key in seen:
                    self.doubt(f"{name} has {key!r} twice")
                elif special or plain:
                    seen.add(key)
                    keywords.append(Written(key, self.source.text(element.value), None, (element.value,)))
                    continue
            elif key is not None and key == _ADDRESS.get(verb):
                self.doubt(f"{key} is an argument of its own here: {key}=…")
            others.append(self.source.text(element.with_changes(comma=cst.MaybeSentinel.DEFAULT)))
            made_of.append(element)
        if keep or len(others) == len(value.elements):
            return [self.written(None, name)], []
        mapping = [Written(None, "{" + ", ".join(others) + "}", argument, tuple(made_of))] if others else []
        if keywords and not mapping:
            first = keywords[0]
            keywords[0] = replace(first, of=argument)
        return mapping, keywords

    def _look_at_element(self, name: str, element: cst.BaseDictElement, key: str | None, verb: str) -> None:
        if not isinstance(element, cst.DictElement):
            self.doubt(f"what is in {self.source.shown(element)} can only be known when it runs")
            return
        if key is None and not isinstance(element.key, (cst.Name, cst.Attribute, cst.FormattedString, cst.Integer)):
            self.doubt(f"a key of {name} is known only at run time")
        if key is not None and key.startswith("$"):
            self.doubt(f"{key} means something to PostHog alone")
        self.look_at_value(f"{key or self.source.text(element.key)!s}", element.value, verb)

    def look_at_value(self, key: str, value: cst.BaseExpression, verb: str) -> None:
        for one in (value.body, value.orelse) if isinstance(value, cst.IfExp) else (value,):
            if isinstance(one, _NESTED):
                self.doubt(f"{key} is a nested object: pass its values under keys of their own")
            elif isinstance(one, _SEVERAL):
                if verb == "track":
                    self.doubt(f"{key} is a list, which metadata does not take: pass text, or one key per element")
                elif not (isinstance(one, cst.List) and all(_may_be_text(part.value) for part in one.elements)):
                    self.doubt(f"{key} is a list, whose elements become text: convert them, or pass a list of texts")
            elif isinstance(one, cst.SimpleString) and isinstance(one.evaluated_value, bytes):
                self.doubt(f"{key} is bytes: decode them to text")

    def _look_behind(self, name: str, value: cst.BaseExpression, verb: str) -> None:
        """Check the contents of a mapping that is created elsewhere. Adds a doubt if they cannot be determined."""
        shown = self.source.text(value)
        unseen = f"what {shown.splitlines()[0]} holds is not visible here: nested objects are not sent"
        unseen += ", nor lists" if verb == "track" else f", and {_ADDRESS[verb]} is an argument of its own"
        made = self.source.value_of(value) if isinstance(value, cst.Name) else None
        if made is None or not isinstance(made[0], cst.Dict):
            self.doubt(unseen)
            return
        keys: set[str | None] = set()
        for element in made[0].elements:
            keys.add(_literal_key(element))
            self._look_at_element(name, element, _literal_key(element), verb)
        assert isinstance(value, cst.Name)
        for use in self.source.uses(value):
            if use is value:
                continue
            above = self.source.parent(use)
            stored = self.source.assigned(above) if isinstance(above, cst.Subscript) else None
            if stored is None:
                self.doubt(unseen)
                return
            self.look_at_value(f"{shown}[…]", stored[0], verb)
            keys.add(key_of(above))
        if verb in _ADDRESS and not keys.isdisjoint({_ADDRESS[verb], None}):
            self.doubt(f"{_ADDRESS[verb]} is an argument of its own here: {_ADDRESS[verb]}=…")

    # ── The new call ──

    def keep_order(self, *arguments: Written) -> None:
        """Add a doubt if calls would run in a different order, because each may depend on the one before."""
        nodes = [
            node
            for one in arguments
            for node in one.made_of or ([one.of.value] if one.of is not None else [])
            if _runs_something(node)
        ]
        places = [self.source.position(node) for node in nodes]
        if places != sorted(places):
            self.doubt("its arguments are made by calls, which would run in another order")

    def render(self, function: str, *groups: list[Written], comments: bool = True) -> str:
        """A call of *function* in this library, formatted like the original call."""
        arguments = [one for group in groups for one in group]
        self.keep_order(*arguments)
        leading, trailing = _comments(self.call) if comments else ({}, {})
        if "\n" not in self.source.text(self.call):
            return f"{function}({', '.join(_argument(one) for one in arguments)})"
        kept = {one.of for one in arguments}
        lost = [
            text
            for where in (leading, trailing)
            for of, texts in where.items()
            if of and of not in kept
            for text in texts
        ]
        indent = self.source.module.default_indent
        opened = trailing.get(None, [])
        lines = [f"{function}(" + (f"  {opened[0]}" if opened else ""), *(f"{indent}{text}" for text in lost)]
        for one in arguments:
            before, after = (where.pop(one.of, []) if one.of else [] for where in (leading, trailing))
            lines += [f"{indent}{text}" for text in before]
            lines.append(f"{indent}{_argument(one)}," + (f"  {after[0]}" if after else ""))
        lines += [f"{indent}{text}" for text in leading.get(None, [])]
        return "\n".join([*lines, ")"]) if arguments else f"{function}()"


def _argument(one: Written) -> str:
    return one.text if one.keyword is None else f"{one.keyword}={one.text}"


def _comments(call: cst.Call) -> tuple[dict[cst.Arg | None, list[str]], dict[cst.Arg | None, list[str]]]:
    """The comments before each argument, and those after it on its line. Comments of no argument are at `None`."""
    leading: dict[cst.Arg | None, list[str]] = {}
    trailing: dict[cst.Arg | None, list[str]] = {}
    before: cst.Arg | None = None
    spaces: list[tuple[cst.Arg | None, cst.BaseParenthesizableWhitespace]] = [(None, call.whitespace_before_args)]
    for argument in call.args:
        spaces.append((argument, argument.whitespace_after_arg))
        if isinstance(argument.comma, cst.Comma):
            spaces += [(argument, argument.comma.whitespace_before), (argument, argument.comma.whitespace_after)]
    following = dict(zip([None, *call.args], [*call.args, None], strict=True))
    for before, space in spaces:
        if isinstance(space, cst.ParenthesizedWhitespace):
            if space.first_line.comment is not None:
                trailing.setdefault(before, []).append(space.first_line.comment.value)
            for line in space.empty_lines:
                if line.comment is not None:
                    leading.setdefault(following[before], []).append(line.comment.value)
    return leading, trailing


def _literal_key(element: cst.BaseDictElement) -> str | None:
    if isinstance(element, cst.DictElement) and isinstance(element.key, cst.SimpleString):
        key = element.key.evaluated_value
        return key if isinstance(key, str) else None
    return None


def key_of(subscript: cst.CSTNode) -> str | None:
    """The key in `holder["key"]`."""
    if m.matches(subscript, m.Subscript(slice=[m.SubscriptElement(m.Index(m.SimpleString()))])):
        key = ast.literal_eval(cst.Module([]).code_for_node(subscript.slice[0].slice.value))  # type: ignore[attr-defined]
        return key if isinstance(key, str) else None
    return None


def _may_be_text(value: cst.BaseExpression) -> bool:
    return not isinstance(value, (cst.Integer, cst.Float, *_NESTED, *_SEVERAL)) and not m.matches(
        value, m.Name("None") | m.Name("True") | m.Name("False")
    )


def is_repeatable(value: cst.BaseExpression) -> bool:
    """Whether *value* can be evaluated twice without effect: names, attributes, literals, and their text."""
    if isinstance(value, (cst.Name, cst.SimpleString, cst.Integer)):
        return True
    if isinstance(value, cst.Attribute):
        return is_repeatable(value.value)
    if isinstance(value, cst.FormattedString):
        parts = [part for part in value.parts if isinstance(part, cst.FormattedStringExpression)]
        return all(is_repeatable(part.expression) for part in parts)
    if m.matches(value, m.Call(func=m.Name("str") | m.Name("int"), args=[m.Arg()])):
        return is_repeatable(value.args[0].value)  # type: ignore[attr-defined]
    return False


def _runs_something(node: cst.CSTNode) -> bool:
    """Whether *node* contains a call, an `await` or a `yield` that may have an effect."""
    found = m.findall(node, m.Call() | m.Await() | m.Yield())
    return any(not (isinstance(one, cst.Call) and is_repeatable(one)) for one in found)


def _is_aware(source: Source, value: cst.BaseExpression) -> bool:
    """Whether *value* looks like a datetime with a time zone."""
    if isinstance(value, cst.Name):
        made = source.value_of(value)
        return made is not None and not isinstance(made[0], cst.Name) and _is_aware(source, made[0])
    if not isinstance(value, cst.Call) or not isinstance(value.func, (cst.Attribute, cst.Name)):
        return False
    name = (value.func.attr if isinstance(value.func, cst.Attribute) else value.func).value
    if source.imported(value.func) == "django.utils.timezone.now":  # aware with USE_TZ, which is the default
        return True
    if name in ("astimezone", "make_aware"):
        return True
    zone = [one for one in value.args if one.keyword is not None and one.keyword.value in ("tz", "tzinfo")]
    if zone:
        return not m.matches(zone[0].value, m.Name("None"))
    positional = [one for one in value.args if one.keyword is None]
    return (name == "now" and len(positional) == 1) or (name == "fromtimestamp" and len(positional) == 2)
