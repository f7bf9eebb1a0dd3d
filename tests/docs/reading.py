"""Reads README, the pages and the docstrings for their tests: sections, blocks of code, tables.

The requests that a block must send are in a comment before it, which the site shows below the block:

    <!-- runs: flask
    POST /track signed_in user=u1 account=acme {"plan": "pro"}
    -->

The word after `runs:` names the scene (`scenes.py`) in which the block runs; without one it only runs. The lines are
all the requests that arrive, in any order. A block that cannot run has the comment `<!-- not run: the reason -->`.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
#: Links of README and the pages to files that are not pages: absolute, so that they work wherever they are read.
REPOSITORY = re.compile(
    r"https://(?:github|raw\.githubusercontent)\.com/journy-io/journy-track/(?:(?:blob|tree)/)?main/"
)

#: The text with which a page states that a test follows it from top to bottom, as a reader would.
FOLLOWED = "tests/docs/following.py"


def page(name: str) -> str:
    """Return the text of a page, such as `guides/events`."""
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    """Return the name that `page` accepts; the file name for a file that is not a page."""
    return str(path.relative_to(DOCS).with_suffix("")) if path.is_relative_to(DOCS) else path.name


@dataclass(frozen=True)
class Block:
    """A block of code. *scene* is `None` where no scene is given."""

    section: str
    line: int  # of its first line of code, in *file*
    language: str
    source: str
    scene: str | None = None
    requests: tuple[str, ...] = ()
    not_run: str | None = None
    file: str = "README.md"

    @property
    def label(self) -> str:
        where = "" if self.file == "README.md" else f"{self.file}, "
        return f"{where}{self.section}, line {self.line}"


@dataclass
class Section:
    """A heading and the text below it, up to the next heading of any level."""

    title: str
    lines: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[list[str]]:
        """The cells of its tables, without the header rows."""
        return list(_rows(self.lines))


def anchor(title: str) -> str:
    """Return the fragment by which GitHub links to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def code_spans(text: str) -> list[str]:
    """Return the texts in single backticks."""
    return re.findall(r"`([^`]+)`", text)


def sections(text: str) -> list[Section]:
    """Return the headings with their texts, without blocks of code."""
    found = [Section("")]
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and (heading := re.match(r"#+ (.*)", line)):
            found.append(Section(heading[1]))
        elif not fenced:
            found[-1].lines.append(line)
    return found


def section(text: str, title: str) -> Section:
    """Return one section with everything below it, up to the next heading of the same or a higher level."""
    lines = text.splitlines()
    (start,) = (number for number, line in enumerate(lines) if re.fullmatch(r"#+ " + re.escape(title), line))
    level = len(lines[start].split(" ")[0])
    made, fenced = Section(title), False
    for line in lines[start + 1 :]:
        fenced ^= line.startswith("```")
        if not fenced and re.match(rf"#{{1,{level}}} ", line):
            break
        made.lines.append(line)
    return made


def blocks(text: str, file: str = "README.md") -> list[Block]:
    """Return every block of code with the contents of the comment before it. *file* is the source of *text*."""
    found: list[Block] = []
    title, comment = "", ""
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if line.startswith("<!--"):
            comment = line
            while not comment.endswith("-->"):
                comment += "\n" + next(lines)[1]
        elif opened := re.match(r"( *)```(\S*)", line):
            code: list[str] = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                code.append(inner.removeprefix(opened[1]))
            if opened[2].startswith("{"):  # a directive of the site
                continue
            scene, requests, not_run = _said(comment)
            source = "\n".join(code) + "\n"
            found.append(Block(title, number + 1, opened[2], source, scene, requests, not_run, file))
            comment = ""
        else:
            if heading := re.match(r"#+ (.*)", line):
                title = heading[1]
            if line:
                comment = ""
    return found


def _said(comment: str) -> tuple[str | None, tuple[str, ...], str | None]:
    """Return the scene, the requests, and the reason why the block is not run."""
    head, *rest = comment.removeprefix("<!--").removesuffix("-->").strip().splitlines() or [""]
    if reason := re.fullmatch(r"not run: (.+)", head):
        return None, (), reason[1]
    if run := re.fullmatch(r"runs(?:: (\w+))?", head):
        return run[1] or "", tuple(line.strip() for line in rest if line.strip()), None
    assert not head.startswith(("run", "not run")), f"not understood: {head}"
    return None, (), None


def _rows(lines: list[str]) -> Iterator[list[str]]:
    body = False
    for line in lines:
        if not line.startswith("|"):
            body = False
        elif re.fullmatch(r"\|[\s:|-]+\|", line):
            body = True
        elif body:
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


# ── Docstrings ──


def docstring_blocks() -> list[Block]:
    """Return the indented or fenced blocks in the docstrings of the package. *section* is the dotted name."""
    found: list[Block] = []
    for path in sorted((ROOT / "journy_track").rglob("*.py")):
        relative = path.relative_to(ROOT)
        module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        for name, node in documented(ast.parse(path.read_text()), module):
            text = ast.get_docstring(node) or ""
            for source in _indented(text):
                assert node.body
                found.append(Block(name, node.body[0].lineno, "python", source, file=str(relative)))
    return found


Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(node: Documented, name: str) -> Iterator[tuple[str, Documented]]:
    yield name, node
    for inner in node.body:
        if isinstance(inner, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from documented(inner, f"{name}.{inner.name}")


def code_in_prose() -> list[str]:
    """Return paragraphs of docstrings that are code but not marked as code."""
    found: list[str] = []
    for path in sorted((ROOT / "journy_track").rglob("*.py")):
        for name, node in documented(ast.parse(path.read_text()), path.stem):
            for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                if not paragraph.startswith(" ") and _is_code(paragraph):
                    found.append(f"{name}: {paragraph}")
    return found


def _is_code(paragraph: str) -> bool:
    try:
        parsed = ast.parse(paragraph)
    except SyntaxError:
        return False
    return any(isinstance(node, (ast.Call, ast.Import, ast.ImportFrom, ast.FunctionDef)) for node in ast.walk(parsed))


def _indented(text: str) -> Iterator[str]:
    """Yield blocks as Markdown defines them: indented by four spaces after an empty line, or fenced."""
    for _, fenced in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield fenced
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for part in re.findall(r"(?:\A|(?<=\n\n))((?: {4}.*\n?|\n(?= {4}))+)", text):
        yield textwrap.dedent(part).rstrip("\n") + "\n"
