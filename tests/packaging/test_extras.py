"""It works without extras, and if a dependency is missing, one sentence names it."""

from __future__ import annotations

import journy_track

TRACK = """
import journy_track
journy_track.configure()
journy_track.track("signed_in", user="u1")
assert journy_track.flush(20, delivered=True)
print(journy_track.__version__)
"""


def test_a_bare_install_tracks(bare, api):
    done = bare.run("python", "-c", TRACK, JOURNY_BASE_URL=api.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == journy_track.__version__
    assert [event.name for event in api.events] == ["signed_in"]


def test_a_bare_install_is_bare(bare):
    done = bare.run("python", "-c", "import importlib.util as u; print([u.find_spec(n) for n in ('typer', 'redis')])")
    assert done.stdout.strip() == "[None, None]"


def test_the_command_names_the_extra_that_it_needs(bare):
    done = bare.run("journy-track", "--help")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: journy-track needs typer: pip install 'journy-track[cli]'\n"


def test_the_inspector_names_the_extra_that_it_needs(bare):
    done = bare.run("python", "-c", "import journy_track.inspector")
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("ModuleNotFoundError: The inspector needs ")
    assert said.endswith(": pip install 'journy-track[inspector]'")


def test_a_broker_names_the_extra_that_it_needs(bare):
    source = "import journy_track; journy_track.configure(broker='redis://127.0.0.1/0')"
    done = bare.run("python", "-c", source)
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert said.endswith("broker needs redis-py: pip install 'journy-track[broker]'")


def test_with_cli_the_commands_are_there_and_name_the_other_extras(with_extras):
    with_extras.add("cli")
    shown = with_extras.run("journy-track", "--version")
    assert (shown.returncode, shown.stdout) == (0, f"journy-track {journy_track.__version__}\n")
    demo = with_extras.run("journy-track", "demo")
    assert demo.returncode == 2
    assert "pip install 'journy-track[inspector]'" in demo.stderr
    assert len(demo.stderr.strip().splitlines()) == 1


def test_with_inspector_it_serves(with_extras):
    with_extras.add("inspector")
    source = "from journy_track.inspector import Inspector\nwith Inspector() as api: print(api.url)"
    done = with_extras.run("python", "-c", source)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("http://127.0.0.1:")


def test_with_broker_a_url_is_taken(with_extras):
    with_extras.add("broker")
    source = "import journy_track; print(journy_track.configure(broker='redis://127.0.0.1:1/0', shutdown_timeout=0))"
    done = with_extras.run("python", "-c", source)
    assert done.returncode == 0, done.stderr
    assert "enabled" in done.stdout
