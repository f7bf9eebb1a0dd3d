"""Replaces statements and keeps their comments, and updates the imports."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import libcst as cst
from libcst import matchers as m
from libcst.metadata import ImportAssignment

from journy_track.cli.migrating.source import Item, Source

_OURS = "import journy_track"


def rewritten(
    source: Source, items: Mapping[cst.CSTNode, Item], gone: Sequence[ImportAssignment], modules: Sequence[str]
) -> bytes:
    """The file with *items* rewritten and the imports *gone* removed. *modules* are those of the other library."""
    names: dict[cst.CSTNode, set[str]] = {}
    for one in gone:
        names.setdefault(one.node, set()).add(one.name)
    needed = any("journy_track." in line for item in items.values() for line in item.lines or ())
    early = _before(source, items)
    has_ours = any(
        m.matches(node, m.Import(names=[m.ImportAlias(m.Name("journy_track"), asname=None)]))
        for line in early
        for node in line.body
    )
    writer = _Writer(source, items, names, early, needed=needed and not has_ours)
    module = source.module.visit(writer)
    assert isinstance(module, cst.Module)
    if writer.needed:
        top = [name.split(".")[0] for name in modules]
        module = _with_import(module, lambda text: any(re.match(rf"(import|from) {name}\b", text) for name in top))
    return module.bytes


def _before(source: Source, items: Mapping[cst.CSTNode, Item]) -> list[cst.SimpleStatementLine]:
    """The simple statements at the top that run before anything that may need our import."""
    firsts = {list(source.above(node))[-1] for node in items}
    body = source.module.body
    end = next((index for index, line in enumerate(body) if line in firsts), len(body))
    return [line for line in body[:end] if isinstance(line, cst.SimpleStatementLine)]


class _Writer(cst.CSTTransformer):
    def __init__(
        self,
        source: Source,
        items: Mapping[cst.CSTNode, Item],
        gone: Mapping[cst.CSTNode, set[str]],
        early: Sequence[cst.SimpleStatementLine],
        *,
        needed: bool,
    ) -> None:
        super().__init__()
        self._source = source
        self._items = items
        self._gone = gone
        self._early = early
        self.needed = needed
        self._removed: list[cst.BaseStatement] = []

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        if len(original_node.body) == 1 and original_node.body[0] in self._items:
            return self._in_place_of(original_node, self._items[original_node.body[0]].lines or [])
        if not updated_node.body or all(
            one in self._gone and not self._names_left(one) for one in original_node.body
        ):
            if self.needed and original_node in self._early and original_node.body[0] in self._gone:
                self.needed = False
                return self._in_place_of(original_node, [_OURS])
            return self._in_place_of(original_node, [])
        return updated_node

    def _in_place_of(
        self, line: cst.SimpleStatementLine, texts: list[str]
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        made = [self._parsed(text) for text in texts]
        if not made:
            return self._without(line)
        made[0] = made[0].with_changes(leading_lines=line.leading_lines)
        made[-1] = made[-1].with_changes(trailing_whitespace=line.trailing_whitespace)
        return cst.FlattenSentinel(made)

    def _parsed(self, text: str) -> cst.SimpleStatementLine:
        module = self._source.module
        lines = text.replace("\r\n", "\n").replace("\n", module.default_newline)
        statement = cst.parse_statement(lines, module.config_for_parsing)
        assert isinstance(statement, cst.SimpleStatementLine)
        return statement

    def _without(self, line: cst.SimpleStatementLine) -> cst.BaseStatement:
        """Mark *line* for removal when its block is left, so that the comments above it are kept."""
        self._removed.append(line)
        return line

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        body, left = self._folded(updated_node.body)
        return updated_node.with_changes(body=body, footer=[*left, *updated_node.footer])

    def leave_IndentedBlock(self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock) -> cst.BaseSuite:
        body, left = self._folded(updated_node.body)
        return updated_node.with_changes(body=body, footer=[*left, *updated_node.footer])

    def _folded(self, body: Sequence[cst.BaseStatement]) -> tuple[list[cst.BaseStatement], list[cst.EmptyLine]]:
        """*body* without the removed lines. Their comments move to the next line; those at the end are returned."""
        kept: list[cst.BaseStatement] = []
        comments: list[cst.EmptyLine] = []
        for line in body:
            if any(line is one for one in self._removed):
                assert isinstance(line, cst.SimpleStatementLine)
                if any(one.comment is not None for one in line.leading_lines):
                    comments += line.leading_lines
                continue
            assert isinstance(line, (cst.SimpleStatementLine, cst.BaseCompoundStatement))
            if not kept and body[0] is not line and not comments:  # the block's first line was removed
                line = line.with_changes(leading_lines=_without_blanks(line.leading_lines))  # noqa: PLW2901
            if comments:
                line = line.with_changes(leading_lines=[*comments, *line.leading_lines])  # noqa: PLW2901
                comments = []
            kept.append(line)
        return kept, comments

    def leave_Expr(
        self, original_node: cst.Expr, updated_node: cst.Expr
    ) -> cst.BaseSmallStatement | cst.FlattenSentinel[cst.BaseSmallStatement]:
        return self._small(original_node, updated_node)

    def leave_Assign(
        self, original_node: cst.Assign, updated_node: cst.Assign
    ) -> cst.BaseSmallStatement | cst.FlattenSentinel[cst.BaseSmallStatement]:
        return self._small(original_node, updated_node)

    def leave_AnnAssign(
        self, original_node: cst.AnnAssign, updated_node: cst.AnnAssign
    ) -> cst.BaseSmallStatement | cst.FlattenSentinel[cst.BaseSmallStatement]:
        return self._small(original_node, updated_node)

    def _small(
        self, original: cst.BaseSmallStatement, updated: cst.BaseSmallStatement
    ) -> cst.BaseSmallStatement | cst.FlattenSentinel[cst.BaseSmallStatement]:
        """Replace one of several statements on a line, or one after a colon. A single one is replaced as a line."""
        item = self._items.get(original)
        above = self._source.parent(original)
        if item is None or (isinstance(above, cst.SimpleStatementLine) and len(above.body) == 1):
            return updated
        made: list[cst.BaseSmallStatement] = []
        for text in item.lines or ["pass"]:
            made += self._parsed(text).body
        made[-1] = made[-1].with_changes(semicolon=original.semicolon)
        return cst.FlattenSentinel(made)

    def leave_Import(
        self, original_node: cst.Import, updated_node: cst.Import
    ) -> cst.BaseSmallStatement | cst.RemovalSentinel:
        return self._without_names(original_node, updated_node)

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.BaseSmallStatement | cst.RemovalSentinel:
        return self._without_names(original_node, updated_node)

    def _without_names(
        self, original: cst.Import | cst.ImportFrom, updated: cst.Import | cst.ImportFrom
    ) -> cst.BaseSmallStatement | cst.RemovalSentinel:
        if original not in self._gone:
            return updated
        left = self._names_left(original)
        above = self._source.parent(original)
        if not left:
            alone = isinstance(above, cst.SimpleStatementLine) and len(above.body) == 1
            return updated if alone else cst.RemoveFromParent()
        last = left[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        assert not isinstance(updated.names, cst.ImportStar)
        if isinstance(updated, cst.ImportFrom) and updated.lpar is not None:
            last = left[-1]  # within parentheses, a trailing comma and what follows it may stay
        return updated.with_changes(names=[*left[:-1], last])

    def _names_left(self, node: cst.CSTNode) -> list[cst.ImportAlias]:
        if not isinstance(node, (cst.Import, cst.ImportFrom)) or isinstance(node.names, cst.ImportStar):
            return []
        return [one for one in node.names if _bound(one) not in self._gone.get(node, set())]


def _without_blanks(lines: Sequence[cst.EmptyLine]) -> list[cst.EmptyLine]:
    first = next((index for index, line in enumerate(lines) if line.comment is not None), len(lines))
    return list(lines[first:])


def _bound(alias: cst.ImportAlias) -> str:
    """The name of the binding in libcst, which is the full name for a dotted import."""
    return alias.evaluated_alias or alias.evaluated_name


def _with_import(module: cst.Module, beside: Callable[[str], bool]) -> cst.Module:
    """Add our import at the top: after the other library's, or after the last import that is not relative."""
    after, found = 0, False
    for index, line in enumerate(module.body):
        smalls = line.body if isinstance(line, cst.SimpleStatementLine) else ()
        if index == 0 and smalls and m.matches(smalls[0], m.Expr(m.SimpleString() | m.ConcatenatedString())):
            after, smalls = 1, smalls[1:]
        elif not smalls:
            break
        if not all(isinstance(one, (cst.Import, cst.ImportFrom)) for one in smalls):
            break
        for small in smalls:
            is_relative = isinstance(small, cst.ImportFrom) and bool(small.relative)
            is_theirs = beside(cst.Module([]).code_for_node(small))
            if is_theirs or (not found and not is_relative):
                after, found = index + 1, found or is_theirs
    made = cst.parse_statement(_OURS, module.config_for_parsing)
    return module.with_changes(body=[*module.body[:after], made, *module.body[after:]])
