"""The official SDK, `journyio-sdk`, whose objects are created first and then passed to the client's calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import libcst as cst
from libcst import matchers as m

from journy_track.cli.migrating.calls import Given, Written, key_of
from journy_track.cli.migrating.source import Item, Place, Source
from journy_track.cli.migrating.vendor import Proposal, Vendor

_USER = "journyio.user_identified.UserIdentified"
_ACCOUNT = "journyio.account_identified.AccountIdentified"
_HOLDERS = frozenset({"journyio.client.Properties", "journyio.events.Metadata"})
_EVENT = "journyio.events.Event"
#: Calls that identify by ID alone; here, the plain ID replaces them.
_BY_ID = {f"{_USER}.by_user_id", f"{_ACCOUNT}.by_account_id"}
_MAKERS = {
    name: f"journy_track.{name.removeprefix('journyio.').partition('.')[2]}"
    for kind, by in ((_USER, ("by_user_id", "by_email")), (_ACCOUNT, ("by_account_id", "by_domain")))
    for name in (kind, *(f"{kind}.{one}" for one in by))
}
_PARAMETERS = {
    "add_event": ("event",),
    "upsert_user": ("user", "properties"),
    "upsert_account": ("account", "properties"),
    "delete_user": ("user",),
    "delete_account": ("account",),
    "add_users_to_account": ("account", "users"),
    "remove_users_from_account": ("account", "users"),
    "link": ("user", "device_id"),
}
_EVENTS = {
    "for_user": ("name", "user"),
    "for_account": ("name", "account"),
    "for_user_in_account": ("name", "user", "account"),
}
_READS = {
    "get_tracking_snippet": "journy_track.Client.with_defaults(key).get_tracking_snippet(domain=…)",
    "get_api_key_details": "journy_track.Client.with_defaults(key).get_api_key_details()",
}


class JournyIO(Vendor):
    """See `Vendor`."""

    modules: ClassVar[tuple[str, ...]] = ("journyio",)
    clients: ClassVar[frozenset[str]] = frozenset({"client.Client"})
    distinctive: ClassVar[frozenset[str]] = frozenset(_PARAMETERS) | frozenset(_READS)
    key: ClassVar[frozenset[str]] = frozenset()
    settings: ClassVar[Mapping[str, str]] = {}

    def call(self, source: Source, call: cst.Call, verb: str) -> Proposal | None:
        if verb in _READS:
            return Proposal.none("it returns a value, which queued calls do not", _READS[verb])
        if verb not in _PARAMETERS:
            return None
        given = Given(source, call, _PARAMETERS[verb])
        missing = [name for name in given.parameters if name not in given.arguments]
        if missing:
            given.doubt(f"there is no {missing[0]}=")
            return Proposal(None, given.doubts, f"journy_track.{verb}(…)")
        reading = _SdkCall(source, given)
        lines = reading.lines(verb)
        given.refuse_the_rest({})
        return Proposal(lines, given.doubts, f"journy_track.{_VERBS.get(verb, verb)}(…)", reading.made)

    def creation(self, source: Source, call: cst.Call) -> Proposal:
        given = Given(source, call, ("httpclient", "config"))
        reading = _SdkCall(source, given)
        client, config = (reading.moved(given.take(name)) for name in given.parameters)
        given.refuse_the_rest({})
        if not _is_call_of(source, client, "journyio.httpclient.HttpClientRequests"):
            given.doubt("its HTTP client is not HttpClientRequests()")
        if not _is_call_of(source, config, "journyio.client.Config"):
            given.doubt("its settings are not visible here")
            return Proposal(None, given.doubts, "journy_track.configure(key)")
        assert isinstance(config, cst.Call)
        inner = Given(source, config, ("api_key", "root_url"))
        inner.take("api_key")
        words = [inner.written(None, "api_key")] if "api_key" in inner.arguments else []
        if inner.take("root_url") is not None:
            words.append(inner.written("base_url", "root_url"))
        lines = [inner.render("journy_track.configure", words)]
        given.doubts += inner.doubts
        return Proposal(lines, given.doubts, "", reading.made)

    def others(self, source: Source) -> None:
        """Add the statements that create users, accounts and value holders, or fill the holders."""
        for node in source.nodes:
            if isinstance(node, (cst.Assign, cst.AnnAssign)):
                _read_assignment(source, node)


_VERBS = {"add_event": "track"}


def _read_assignment(source: Source, statement: cst.Assign | cst.AnnAssign) -> None:
    target = statement.targets[0].target if isinstance(statement, cst.Assign) else statement.target
    if statement in source.items or source.assigned(target) is None or statement.value is None:
        return
    value = statement.value
    if isinstance(target, cst.Name) and isinstance(value, cst.Call) and source.class_with(target) is None:
        made = source.imported(value.func)
        if made in _MAKERS:
            new = source.text(value.with_changes(func=cst.parse_expression(_MAKERS[made])))
        elif made in _HOLDERS and not value.args:
            new = "{}"
        else:
            return
        doubts = []
        if isinstance(statement, cst.AnnAssign):
            doubts.append("its type is written beside it")
        uses: list[Place] = [(source, use) for use in source.uses(target)]
        source.add(Item(source, statement, [f"{target.value} = {new}"], doubts, uses=uses, is_part=True))
    elif isinstance(target, cst.Subscript) and isinstance(target.value, cst.Name):
        made_by = _value(source, target.value)
        if not (isinstance(made_by, cst.Call) and source.imported(made_by.func) in _HOLDERS):
            return
        given = Given(source, cst.Call(cst.Name("_")), ())
        key = key_of(target)
        if key is None:
            given.doubt("the key is known only at run time, and the SDK writes it in lower case")
            new_target = source.text(target)
        else:
            new_target = f'{target.value.value}["{key.lower().strip()}"]'
        given.look_at_value(source.text(target), value, "upsert_user")
        lines = [f"{new_target} = {source.text(value)}"]
        made_at = _definitions(source, target.value)
        source.add(Item(source, statement, lines, given.doubts, made=made_at, is_part=True))


def _value(source: Source, name: cst.Name) -> cst.BaseExpression | None:
    """The value of *name*, if everything that is assigned to it is created in the same way; otherwise `None`."""
    values = [made[0] for binding in source.bindings(name) if (made := source.assigned(binding.node)) is not None]
    if not values or len(values) != len(source.bindings(name)) or name.value in source.captured:
        return None
    kinds = {source.imported(value.func) if isinstance(value, cst.Call) else None for value in values}
    kinds = {
        None
        if kind is None
        else kind.removesuffix(f".{kind.rpartition('.')[2]}")
        if kind in _MAKERS and kind.count(".") > 2
        else kind
        for kind in kinds
    }
    return values[0] if len(kinds) == 1 and None not in kinds else None


def _definitions(source: Source, name: cst.Name) -> list[Place]:
    return [(source, binding.node) for binding in source.bindings(name)]


def _is_call_of(source: Source, node: cst.BaseExpression | None, name: str) -> bool:
    return isinstance(node, cst.Call) and source.imported(node.func) == name


class _SdkCall:
    """One call of the client, with the statements that create its arguments."""

    def __init__(self, source: Source, given: Given) -> None:
        self._source = source
        self._given = given
        self.made: list[Place] = []

    def lines(self, verb: str) -> list[str] | None:
        make: Callable[[], list[str] | None] = {
            "add_event": self._event,
            "upsert_user": lambda: self._upsert("user"),
            "upsert_account": lambda: self._upsert("account"),
            "link": self._link,
        }.get(verb, lambda: self._others(verb))
        return make()

    def _others(self, verb: str) -> list[str]:
        words = []
        for name in self._given.parameters:
            if name == "users":
                words.append(Written(None, self._identities(name), self._given.arguments[name]))
            else:
                words.append(self._who(self._given, name, None))
        return [self._given.render(f"journy_track.{verb}", words)]

    def _upsert(self, kind: str) -> list[str]:
        who = self._who(self._given, kind, kind)
        holder = self._given.take("properties")
        values = [] if holder is None else [Written(None, self._holder(holder), self._given.arguments["properties"])]
        if holder is not None and _is_empty_holder(self._source, holder):
            values = []
        return [self._given.render(f"journy_track.upsert_{kind}", values, [who])]

    def _link(self) -> list[str]:
        user = self._who(self._given, "user", "user")
        self._given.take("device_id")
        device = self._given.written(None, "device_id")
        return [self._given.render("journy_track.link", [device], [user])]

    def _event(self) -> list[str] | None:
        argument = self._given.arguments["event"]
        made = self.moved(self._given.take("event"))
        steps: list[cst.Call] = []
        while isinstance(made, cst.Call) and isinstance(made.func, cst.Attribute):
            if self._source.imported(made.func) is not None:
                break
            steps.append(made)
            made = made.func.value
        name = self._source.imported(made.func) if isinstance(made, cst.Call) else None
        kind = (name or "").removeprefix(f"{_EVENT}.")
        if not isinstance(made, cst.Call) or kind not in _EVENTS:
            self._given.doubt("where its event comes from is not visible here")
            return None
        event = Given(self._source, made, _EVENTS[kind])
        if missing := [one for one in event.parameters if one not in event.arguments]:
            self._given.doubt(f"there is no {missing[0]}=")
            return None
        event.take("name")
        groups = [[event.written(None, "name")]]
        identities = [self._who(event, one, one) for one in event.parameters[1:]]
        if "user" not in event.parameters:
            identities.insert(0, Written("user", "None"))
        mappings: list[Written] = []
        moments: list[Written] = []
        for step in reversed(steps):
            assert isinstance(step.func, cst.Attribute)
            self._step(step, step.func.attr.value, mappings, moments)
        self._given.doubts += event.doubts
        if self._source.has_comment(argument) or self._source.has_comment(made):
            self._given.doubt("a comment in it would be lost")
        return [self._given.render("journy_track.track", *groups, mappings, identities, moments)]

    def _step(self, step: cst.Call, name: str, mappings: list[Written], moments: list[Written]) -> None:
        if name == "with_metadata" and not mappings:
            inner = Given(self._source, step, ("metadata",))
            value = inner.take("metadata")
            if value is not None and not _is_empty_holder(self._source, value):
                mappings.append(Written(None, self._holder(value), made_of=(value,)))
        elif name == "happened_at" and not moments:
            inner = Given(self._source, step, ("date",))
            moments += [
                replace(one, of=None, made_of=(inner.arguments["date"].value,)) for one in inner.moment("date")
            ]
        else:
            self._given.doubt(f"{name}() is not known here, or called twice")
            return
        inner.refuse_the_rest({})
        self._given.doubts += inner.doubts

    # ── Arguments ──

    def _who(self, given: Given, name: str, keyword: str | None) -> Written:
        """A user or an account, as an argument of the new call."""
        value = given.take(name)
        made_of: tuple[cst.CSTNode, ...] = ()
        if isinstance(value, cst.Call) and self._source.imported(value.func) in _MAKERS:
            made_of = tuple(value.args)
        return Written(keyword, self._identity(value, name), given.arguments[name], made_of)

    def _identity(self, value: cst.BaseExpression | None, name: str) -> str:
        """The code for a user or an account in this library."""
        if value is None:
            self._given.doubt(f"there is no {name}=")
            return "None"
        if isinstance(value, cst.Call):
            made = self._source.imported(value.func)
            if made in _BY_ID and len(value.args) == 1 and not value.args[0].star:
                return self._source.text(value.args[0].value)
            if made in _MAKERS:
                return self._source.text(value.with_changes(func=cst.parse_expression(_MAKERS[made])))
        elif isinstance(value, cst.Name):
            made_by = _value(self._source, value)
            if isinstance(made_by, cst.Call) and self._source.imported(made_by.func) in _MAKERS:
                self._need(value)
                return value.value
        self._given.doubt(
            f"where {name}= comes from is not visible here: pass an ID, or a user or account of journy_track"
        )
        return self._source.text(value)

    def _identities(self, name: str) -> str:
        """The code for a list of users."""
        value = self._given.take(name)
        if isinstance(value, (cst.List, cst.Tuple)):
            parts = [self._identity(one.value, name) for one in value.elements]
            return f"[{', '.join(parts)}]"
        if isinstance(value, (cst.ListComp, cst.GeneratorExp)):
            element = cst.parse_expression(self._identity(value.elt, name))
            return self._source.text(value.with_changes(elt=element))
        self._given.doubt(f"where {name}= comes from is not visible here: pass IDs, or users of journy_track")
        return self._given.text(name)

    def _holder(self, value: cst.BaseExpression) -> str:
        if isinstance(value, cst.Name):
            made_by = _value(self._source, value)
            if isinstance(made_by, cst.Call) and self._source.imported(made_by.func) in _HOLDERS:
                self._need(value)
                return value.value
        if not _is_empty_holder(self._source, value):
            self._given.doubt(f"what {self._source.first_line(value)} holds is not visible here: pass a dict")
        return self._source.text(value)

    def _need(self, name: cst.Name) -> None:
        self.made += _definitions(self._source, name)

    def moved(self, value: cst.BaseExpression | None) -> cst.BaseExpression | None:
        """*value*, or what is assigned to it just before, if this is its only use. That statement is then removed."""
        if not isinstance(value, cst.Name) or len(self._source.uses(value)) != 1:
            return value
        made = self._source.value_of(value)
        if made is None or not self._is_just_before(made[1], made[0]):
            return value
        self._source.add(Item(self._source, made[1], [], [], uses=[(self._source, value)], is_part=True))
        self.made.append((self._source, made[1]))
        return made[0]

    def _is_just_before(self, statement: cst.CSTNode, value: cst.BaseExpression) -> bool:
        """Whether only assignments to names that *value* does not read are between *statement* and the call."""
        line, call = self._source.parent(statement), self._given.call
        block = self._source.parent(line)
        body = getattr(block, "body", ())
        here = next((one for one in self._source.above(call) if self._source.parent(one) is block), None)
        if here is None or line not in body or not isinstance(here, cst.SimpleStatementLine):
            return False
        read = {str(getattr(name, "value", "")) for name in m.findall(value, m.Name())}
        for between in body[body.index(line) + 1 : body.index(here)]:
            if not m.matches(between, m.SimpleStatementLine([m.Assign([m.AssignTarget(m.Name())])])):
                return False
            if between.body[0].targets[0].target.value in read:
                return False
        return True


def _is_empty_holder(source: Source, value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Call) and source.imported(value.func) in _HOLDERS and not value.args
