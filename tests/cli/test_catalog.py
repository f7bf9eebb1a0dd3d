"""`journy-track catalog`: what a code base tracks, found by reading its source."""

from __future__ import annotations

import ast
import json
import textwrap
from pathlib import Path

import pytest

from journy_track.cli.cataloguing.reading import read

from .commands import journy, run, words


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Return a function that returns the places in a module that track something."""
    monkeypatch.chdir(tmp_path)

    def look(source):
        Path("app.py").write_text(textwrap.dedent(source))
        return read([Path("app.py")]).places

    return look


@pytest.fixture
def only(found):
    """Return a function that returns the only such place."""

    def look(source):
        (place,) = found(source)
        return place

    return look


def test_a_decorated_function_is_an_event_with_its_keys_place_and_docstring(only):
    place = only('''
        from journy_track import track_event

        class Billing:
            @track_event("changed_plan", capture=("plan",), metadata=lambda call: {"amount": 1}, duration=True)
            async def change(self, plan):
                """Moves an account to another plan.

                More of it."""
        ''')
    assert (place.name, place.function, place.line) == ("changed_plan", "Billing.change", 5)
    assert place.keys == ("plan", "amount", "duration_ms")
    assert place.summary == "Moves an account to another plan."
    assert place.problem is None


@pytest.mark.parametrize(
    ("line", "name", "keys"),
    [
        ("journy_track.track('a', {'b c': 3}, user='u', account='x', happened_at=now, d=1)", "a", "b c,d"),
        ("journy_track.track('a', mapping, **more)", "a", "…"),
        ("journy_track.track('a', {'b': 1, **more, key: 2})", "a", "b,…"),
        ("jt.track('a', dict(b=1))", "a", "b"),
        ("send('a')", "a", ""),
        ("tracker.track('a', b=1)", "a", "b"),
        ("self.tracker.track('a')", "a", ""),
        ("journy_track.track(NAME)", "the_name", ""),
        ("journy_track.track(Names.PAID)", "paid", ""),
        ("Event.for_user('a', user)", "a", ""),
        ("Event('a', user, metadata={'b': 1})", "a", "b"),
        ("Event.for_user('a', user).happened_at(at).with_metadata({'b': 1})", "a", "b"),
        ("track_event(function)", "function", ""),
        ("track_event('a', on='error')(function)", "a", "error_type"),
        ("track_event('a', on='success', duration=False)(function)", "a", ""),
    ],
)  # fmt: skip
def test_every_way_to_track_is_found(only, line, name, keys):
    place = only(f"""
        import journy_track
        import journy_track as jt
        from journy_track import Event, Tracker, track_event, track as send
        NAME = "the_name"
        class Names:
            PAID = "paid"
        tracker = journy_track.configure()
        class A:
            def __init__(self):
                self.tracker = Tracker()
            def method(self):
                {line}
        """)
    assert (place.name, ",".join(place.keys)) == (name, keys)


@pytest.mark.parametrize(
    "line",
    ["mixpanel.track('a')", "track('a')", "Event('a')", "journy_track.flush()", "journy_track.upsert_user(a=1)"],
)
def test_what_is_not_ours_is_not_found(found, line):
    assert found(f"import journy_track\n{line}") == []
    assert found(line) == []


@pytest.mark.parametrize("name", ["f'viewed_{page}'", "name", "NAMES[0]", "'a' + b", "TWICE"])
def test_a_name_that_only_a_run_would_tell_is_flagged(only, name):
    place = only(f"import journy_track\nTWICE = 'a'\nTWICE = 'b'\njourny_track.track({name})")
    assert place.name is None
    assert place.written == ast.unparse(ast.parse(name))
    assert "known only when the code runs" in place.problem


@pytest.mark.parametrize(
    ("below", "flagged"),
    [
        ("app.route('/')", True),
        ("app.task", True),
        ("app.task(bind=True)", True),
        ("shared_task", True),
        ("router.get('/users')", True),
        ("receiver(post_save)", True),
        ("cli.command()", True),
        ("cache.get('key')", False),
        ("functools.cache", False),
        ("login_required", False),
    ],
)
def test_a_decorator_above_a_framework_that_registers_the_bare_function_is_flagged(only, below, flagged):
    source = "from journy_track import track_event\n{}\n{}\ndef f(): ..."
    wrong = only(source.format("@track_event('a')", f"@{below}"))
    assert bool(wrong.problem) is flagged
    right = only(source.format(f"@{below}", "@track_event('a')"))
    assert right.problem is None


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(
        "import journy_track\n\ndef pay():\n"
        "    'Takes the money | of a card.'\n    journy_track.track('paid', amount=3)\n"
    )
    for folder in (".venv/lib", "node_modules", "__pycache__", ".git"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "other.py").write_text("import journy_track\njourny_track.track('other')\n")
    return tmp_path


@pytest.mark.slow
def test_nothing_of_the_code_runs_and_other_peoples_folders_are_left_out(project):
    (project / "app.py").write_text((project / "app.py").read_text() + "\nraise SystemExit('it ran')\n")
    ended = journy("catalog", "--json", cwd=project)
    document = json.loads(ended.stdout)
    assert ended.returncode == 0
    (event,) = document["events"]
    (place,) = event["places"]
    assert (event["name"], event["keys"]) == ("paid", ["amount"])
    assert (place["file"], place["line"], place["function"]) == ("app.py", 5, "pay")
    assert place["summary"] == "Takes the money | of a card."


def test_a_table_and_markdown_tell_the_same(project):
    table = run("catalog")
    assert all(word in table.stdout for word in ("paid", "amount", "app.py:5"))
    markdown = run("catalog", "--format", "markdown")
    assert "| `paid` | `amount` | `app.py:5` | Takes the money \\| of a card. |" in markdown.stdout.splitlines()


@pytest.mark.slow
def test_a_path_that_is_too_long_goes_on_behind_a_slash(tmp_path):
    folder = tmp_path / "application" / "billing" / "subscriptions"
    folder.mkdir(parents=True)
    (folder / "cancelling.py").write_text("import journy_track\njourny_track.track('cancelled', user='u')\n")
    ended = journy("catalog", ".", cwd=tmp_path, COLUMNS="50")
    (column,) = {line.find("application") for line in ended.stdout.splitlines() if "application" in line}
    paths = [line[column:].strip() for line in ended.stdout.splitlines()[1:]]
    assert paths == ["application/billing/", "subscriptions/", "cancelling.py:2"]


@pytest.mark.parametrize("name", ["events.md", "events.json"])
def test_check_fails_when_the_code_tracks_something_else_and_not_when_lines_move(project, name):
    assert run("catalog", "--check", name).exit_code == 1  # the file does not exist yet
    assert run("catalog", "--output", name).exit_code == 0
    ended = run("catalog", "--check", name)
    assert (ended.exit_code, ended.stdout) == (0, "")
    app = project / "app.py"
    app.write_text("# a line more\n" + app.read_text())
    assert run("catalog", "--check", name).exit_code == 0
    app.write_text(app.read_text().replace("amount=3", "amount=3, currency='EUR'"))
    ended = run("catalog", "--check", name)
    assert ended.exit_code == 1
    assert any(line.startswith("+") and "currency" in line for line in ended.stdout.splitlines())
    assert "differs from what the code tracks" in words(ended.stderr)


def test_a_file_that_is_no_python_is_said_and_fails(project):
    (project / "old.py").write_text("print 'hello'\n")
    ended = run("catalog")
    assert ended.exit_code == 1
    assert "old.py is not Python" in words(ended.stderr)
    assert "paid" in ended.stdout


def test_wrong_options_are_wrong_usage(project):
    assert run("catalog", "nowhere").exit_code == 2
    assert run("catalog", "--format", "xml").exit_code == 2
    assert run("catalog", "--output", "events.txt").exit_code == 2
    assert run("catalog", "--output", "a.md", "--check", "a.md").exit_code == 2
