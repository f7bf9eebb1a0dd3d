"""Reads a project, and decides which of its calls can be rewritten."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import libcst as cst
from libcst.helpers import get_full_name_for_node
from libcst.metadata import ImportAssignment

from journy_track.cli.cataloguing.reading import python_files
from journy_track.cli.migrating.found import Changed, LeftAsIs, Migrated, Migration
from journy_track.cli.migrating.journyio import JournyIO
from journy_track.cli.migrating.meaning import Meanings, last_name
from journy_track.cli.migrating.posthog import PostHog
from journy_track.cli.migrating.rewriting import rewritten
from journy_track.cli.migrating.segment import Segment
from journy_track.cli.migrating.source import Item, Place, Source
from journy_track.cli.migrating.vendor import CONFIGURE, Proposal, Vendor

VENDORS: dict[str, Vendor] = {"segment": Segment(), "posthog": PostHog(), "journyio": JournyIO()}


def migrate(vendor: Vendor, paths: Iterable[Path]) -> Migration:
    """The replacements for the calls of *vendor* in the files and folders *paths*. Writes nothing."""
    paths = list(paths)
    project = _Project(vendor, paths)
    for path, file in python_files(paths):
        project.open(path, file)
    project.read()
    return project.decided()


class _Project:
    def __init__(self, vendor: Vendor, paths: list[Path]) -> None:
        self._vendor = vendor
        self._meanings = Meanings(vendor, paths)
        self._roots = [path.resolve() for path in paths]
        self._sources: list[Source] = []
        self._unread: dict[str, str] = {}
        self._contents: dict[str, bytes] = {}
        self._waiting: list[tuple[Path, str, bytes]] = []
        self._dragged: set[Item] = set()  # have no doubt of their own, but depend on items that do
        self._left: list[tuple[Source, cst.CSTNode, str, str]] = []

    # ── Files ──

    def open(self, path: Path, file: str) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            self._unread[file] = error.strerror or str(error)
            return
        self._contents[file] = content
        words = [part.encode() for module in self._vendor.modules for part in module.split(".")[:1]]
        if any(word in content for word in words):
            self._parse(path, file, content)
        else:
            self._waiting.append((path, file, content))

    def _parse(self, path: Path, file: str, content: bytes) -> Source | None:
        try:
            source = Source(path, file, content)
        except (cst.ParserSyntaxError, SyntaxError, UnicodeDecodeError, LookupError) as error:
            line = f", line {error.editor_line}" if isinstance(error, cst.ParserSyntaxError) else ""
            self._unread[file] = f"is not Python that can be read{line}"
        except RecursionError:
            self._unread[file] = "is nested too deeply"
        else:
            self._sources.append(source)
            return source
        return None

    def read(self) -> None:
        """Find the statements to rewrite in all files."""
        for source in self._sources:
            self._meanings.learn(source)
        for path, file, content in self._waiting:
            if self._meanings.may_import(content):
                self._parse(path, file, content)
        for source in self._sources:
            self._read(source)
        for source in self._sources:
            self._needs_of_settings(source)
            self._look_for_the_rest(source)

    # ── Statements ──

    def _read(self, source: Source) -> None:
        for node in source.nodes:
            if isinstance(node, cst.Call):
                self._read_call(source, node)
            elif isinstance(node, cst.Assign) and len(node.targets) == 1:
                self._read_setting(source, node)
        self._vendor.others(source)
        target = source.path.resolve()
        is_outside = not any(target.is_relative_to(root) for root in self._roots)
        for item in source.items.values():
            if source.names_another("journy_track"):
                item.doubts.append("journy_track is the name of something else in this file")
            if is_outside:
                item.doubts.append(f"the file is a link to {target}, which is outside the given paths")
            if item.is_part and self._may_be_imported(source, item.node):
                item.doubts.append("another file may import it")

    def _may_be_imported(self, source: Source, statement: cst.CSTNode) -> bool:
        """Whether another file mentions both the module and the name that *statement* assigns at its top level."""
        if not isinstance(statement, cst.Assign) or source.parent(source.parent(statement)) is not source.module:
            return False
        target, last = statement.targets[0].target, last_name(source.file).encode()
        if not isinstance(target, cst.Name):
            return False
        pattern = re.compile(rf"\b{target.value}\b".encode())
        others = (content for file, content in self._contents.items() if file != source.file)
        return any(last in content and pattern.search(content) for content in others)

    def _read_call(self, source: Source, call: cst.Call) -> None:
        meaning = self._meanings.meaning(source, call.func)
        if meaning in self._vendor.clients:
            self._read_creation(source, call)
            return
        verb = meaning
        if verb is None and isinstance(call.func, cst.Attribute):
            if self._meanings.is_client(source, call.func.value):
                verb = call.func.attr.value
            elif call.func.attr.value in self._vendor.distinctive and self._may_be_one(source, call.func):
                what = source.text(call.func.value)
                hint = f"check whether {what} is a client of the library that you are migrating from"
                self._left.append((source, call, f"it is not clear what {what} is", hint))
        proposal = None if not verb else self._vendor.call(source, call, verb)
        if (
            proposal is not None
            and proposal.lines == ["journy_track.shutdown()"]
            and not self._meanings.is_module(source, call)
        ):
            proposal.lines = ["journy_track.flush()"]  # it ends only one client; ours would end all
        if proposal is not None:
            self._add(source, call, proposal)

    def _may_be_one(self, source: Source, func: cst.Attribute) -> bool:
        if source.could_be(func):  # from another library, or listed by its name
            return False
        return any(
            self._meanings.is_of_vendor(one) or self._meanings.is_handed_on(source, one) for one in source.imports
        )

    def _add(self, source: Source, call: cst.Call, proposal: Proposal) -> None:
        above = source.parent(call)
        node = above if isinstance(above, cst.Expr) else call
        doubts = list(proposal.doubts)
        if node is call and proposal.lines is not None:
            doubts.append("its result is used, or may be, and here a call returns nothing")
        source.add(Item(source, node, proposal.lines, doubts, proposal.hint, made=proposal.made))

    def _read_creation(self, source: Source, call: cst.Call) -> None:
        proposal = self._vendor.creation(source, call)
        above = source.parent(call)
        target = None
        if isinstance(above, cst.Assign) and len(above.targets) == 1:
            target = above.targets[0].target
        elif isinstance(above, cst.AnnAssign):
            target = above.target
        if isinstance(above, cst.Expr):
            uses: list[Place] | None = []
        elif isinstance(target, (cst.Name, cst.Attribute)):
            uses = self._uses_of_client(source, target)
        else:
            uses = None
        if uses is None:
            proposal.doubts.append("it is not clear what happens to the client created here")
            above = call
        source.add(
            Item(source, above, proposal.lines, proposal.doubts, proposal.hint, uses=uses or [], made=proposal.made)
        )

    def _uses_of_client(self, source: Source, target: cst.Name | cst.Attribute) -> list[Place] | None:
        """The places that read the client assigned to *target*; `None` if they cannot be determined."""
        cls = source.class_with(target)
        if cls is not None:
            name = target.attr.value if isinstance(target, cst.Attribute) else target.value
            reads = source.attribute_uses(cls, name)
            if len(source.stores(cls, name)) != 1 or self._is_named_elsewhere(source, name, len(reads)):
                return None
            return [(source, use) for use in [*reads, *(source.uses(target) if isinstance(target, cst.Name) else ())]]
        if not isinstance(target, cst.Name):
            return None
        if len(source.bindings(target)) != 1:
            return None
        uses = [(source, use) for use in source.uses(target)]
        for other in self._sources:
            for node, names in other.imported_names:
                handed_on = [found[0] for name in names if (found := self._meanings.foreign(other, name))]
                uses += [(other, node) for one in handed_on if (one.source, one.name) == (source, target.value)]
        return uses

    def _is_named_elsewhere(self, source: Source, name: str, known: int) -> bool:
        """Whether more than *known* attributes named *name* are read, which may be those of the class's instances."""
        pattern = re.compile(rf"\.\s*{name}\b".encode())
        here = [one for one in source.nodes if isinstance(one, cst.Attribute) and one.attr.value == name]
        stored = [one for one in here if isinstance(source.parent(one), (cst.AssignTarget, cst.AnnAssign))]
        return len(here) - len(stored) > known or any(
            pattern.search(content) for file, content in self._contents.items() if file != source.file
        )

    def _read_setting(self, source: Source, statement: cst.Assign) -> None:
        target = statement.targets[0].target
        if not isinstance(target, cst.Attribute):
            return
        name = self._meanings.meaning(source, target)
        if name in self._vendor.key:
            source.add(Item(source, statement, [CONFIGURE], []))
        elif name is not None and name in self._vendor.settings:
            doubt = "a setting of the other library"
            source.add(Item(source, statement, None, [doubt], self._vendor.settings[name]))

    def _needs_of_settings(self, source: Source) -> None:
        """Let a key setting be removed only if every use of the vendor in all files is rewritten."""
        for item in source.items.values():
            if isinstance(item.node, cst.Assign) and self._is_setting(item.node):
                item.uses += [
                    (other, node) for other in self._sources for node, _ in self._meanings.names_of_vendor(other)
                ]

    def _is_setting(self, statement: cst.Assign) -> bool:
        target = statement.targets[0].target
        return isinstance(target, cst.Attribute) and target.attr.value in self._vendor.key

    def _look_for_the_rest(self, source: Source) -> None:
        """List the uses of the vendor's library that are not understood, which are left unchanged."""
        for node in source.nodes:
            if isinstance(node, cst.ImportFrom) and isinstance(node.names, cst.ImportStar):
                module = get_full_name_for_node(node.module) if node.module and not node.relative else None
                if module is not None and self._meanings.of_vendor(module) is not None:
                    self._left.append((source, node, "it imports everything (*)", "import the names that are used"))
        for node, names in self._meanings.names_of_vendor(source):
            text = source.text(node)
            if any(self._meanings.of_vendor(name) is not None and self._meanings.is_local(name) for name in names):
                reason = f"it may be the local module {min(names).split('.')[0]}"
            elif source.imported(node) is None:
                reason = f"{text} may be something else: its name is bound more than once"
            else:
                reason = f"{text} is used here in a way that is not understood"
            ends = text.rpartition(".")[2] in ("flush", "join", "shutdown")
            hint = "nothing: what waits is delivered at the end of the process" if ends else ""
            self._left.append((source, node, reason, hint))

    # ── The decision ──

    def decided(self) -> Migration:
        sure = self._sure()
        files = []
        for source in self._sources:
            ours = {node: item for node, item in source.items.items() if item in sure}
            gone = [
                one
                for one in source.imports
                if (self._meanings.is_of_vendor(one) or self._meanings.is_handed_on(source, one))
                and self._is_unused(source, one, sure)
                and not self._is_used_from_outside(source, one, sure)
            ]
            after = rewritten(source, ours, gone, self._vendor.modules) if ours else source.content
            files.append(
                Migrated(
                    source.path, source.file, source.content, after, _changed(source, ours), self._rest(source, sure)
                )
            )
        return Migration([one for one in files if one.changed or one.left], self._unread)

    def _is_unused(self, source: Source, one: ImportAssignment, sure: set[Item]) -> bool:
        return bool(one.references) and all(self._is_in(source, access.node, sure) for access in one.references)

    def _is_used_from_outside(self, source: Source, one: ImportAssignment, sure: set[Item]) -> bool:
        """Whether the imported name is in `__all__`, or another file needs it from this module."""
        if one.scope.globals is not one.scope:
            return False
        name, last = one.name.split(".")[0], last_name(source.file)
        if name in source.exported:
            return True
        pattern = re.compile(rf"""\b{last}(\.{name}\b|\s*,\s*["']{name}["'])""".encode())
        if any(pattern.search(content) for file, content in self._contents.items() if file != source.file):
            return True
        return any(
            (found := self._meanings.foreign(other, str(origin.name))) is not None
            and (found[0].source, found[0].name) == (source, one.name)
            for other in self._sources
            for imported in other.imports
            if not self._is_unused(other, imported, sure)
            for origin in imported.get_qualified_names_for(imported.name)
        )

    def _sure(self) -> set[Item]:
        """The items without doubts, whose dependencies all are among them."""
        sure = {item for source in self._sources for item in source.items.values() if self._is_sure(item)}
        while True:
            failing = {item for item in sure if any(not self._is_in(*place, sure) for place in item.uses + item.made)}
            if not failing:
                return sure
            for item in failing:
                uses, made = (
                    [place for place in places if not self._is_in(*place, sure)] for places in (item.uses, item.made)
                )
                if uses:
                    item.doubts.append(f"it is still needed by code that stays as it is: {_listed(uses)}")
                if made:
                    item.doubts.append(f"the code that creates its arguments stays as it is: {_listed(made)}")
            self._dragged |= failing
            sure -= failing

    @staticmethod
    def _reasons(item: Item) -> list[str]:
        """The doubts about *item*, and those about the parts that it is given."""
        parts = {part for where, node in item.made if (part := where.item_around(node)) is not None and part.is_part}
        behind = [f"line {part.source.line(part.node)}: {doubt}" for part in parts for doubt in part.doubts]
        return [*item.doubts, *sorted(behind)]

    @staticmethod
    def _is_sure(item: Item) -> bool:
        return item.lines is not None and not item.doubts

    @staticmethod
    def _is_in(source: Source, node: cst.CSTNode, sure: set[Item]) -> bool:
        return any(source.items.get(one) in sure for one in source.above(node))

    def _rest(self, source: Source, sure: set[Item]) -> list[LeftAsIs]:
        found = [
            LeftAsIs(
                source.file,
                source.line(item.node),
                source.first_line(item.node),
                tuple(self._reasons(item)),
                "\n".join(item.lines) if item.lines else item.hint,
            )
            for item in source.items.values()
            if item not in sure and not (item.is_part and item in self._dragged)
        ]
        known = {one.line for one in found} | {
            source.line(item.node) for item in source.items.values() if item in sure
        }
        for where, node, reason, hint in self._left:
            if where is source and source.line(node) not in known and source.item_around(node) is None:
                known.add(source.line(node))
                found.append(LeftAsIs(source.file, source.line(node), source.first_line(node), (reason,), hint))
        return sorted(found, key=lambda one: one.line)


def _changed(source: Source, items: dict[cst.CSTNode, Item]) -> list[Changed]:
    return sorted(Changed(source.line(node), source.first_line(node)) for node in items)


def _listed(places: list[Place]) -> str:
    """The first few places as text, with the number of others."""
    names = list(dict.fromkeys(f"{source.file}:{source.line(node)}" for source, node in places))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
