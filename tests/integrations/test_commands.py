"""Commands of click and Typer, and notebook cells: each run has its own user."""

from __future__ import annotations

import getpass
import threading
from types import SimpleNamespace

import pytest

import journy_track
from journy_track import InvalidArgument, UserIdentified, track


def whoami() -> str | None:
    user = journy_track.current_context().user
    return user and user.user_id


# ── click and Typer ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def click():
    return pytest.importorskip("click", reason="needs click")


def test_a_command_acts_for_whom_an_option_names(click, kept):
    from click.testing import CliRunner

    from journy_track.integrations.click import instrument_click

    @click.group()
    @click.option("--as-user")
    def cli(as_user): ...

    @cli.command()
    def export():
        track("exported")

    assert (
        instrument_click(cli, user=lambda context: context.params["as_user"], account=lambda context: "acme") is cli
    )
    for user in ("u1", "u2"):
        assert CliRunner().invoke(cli, ["--as-user", user, "export"]).exit_code == 0
    assert [(event.user.user_id, event.account.account_id) for event in kept()] == [("u1", "acme"), ("u2", "acme")]
    assert journy_track.current_context().user is None


def test_a_command_acts_for_who_runs_the_process_and_keeps_its_exit_code(click, kept):
    from click.testing import CliRunner

    from journy_track.integrations.click import instrument_click, system_user

    @click.command()
    def fail():
        track("failed")
        raise SystemExit(3)

    assert CliRunner().invoke(instrument_click(fail, user=system_user)).exit_code == 3
    assert kept.who() == {"failed": (getpass.getuser(), None)}


def test_without_a_name_of_the_system_nobody_acts(monkeypatch):
    from journy_track.integrations.click import system_user

    def missing():
        raise OSError("No username set in the environment")

    monkeypatch.setattr(getpass, "getuser", missing)
    assert system_user() is None


def test_what_is_not_a_command_is_refused():
    from journy_track.integrations.click import instrument_click

    with pytest.raises(InvalidArgument, match="instrument_click\\(\\) takes a click command, got"):
        instrument_click(print)


@pytest.mark.parametrize("commands", [1, 2])
def test_typer_acts_for_whom_an_option_names(kept, commands):
    typer = pytest.importorskip("typer", reason="needs Typer")
    from journy_track.integrations.click import instrument_click

    app = typer.Typer()

    def export(as_user: str = ""):
        track("exported", user=as_user or journy_track.current_context().user)

    for number in range(commands):
        app.command(f"export{number}")(export)
    command = instrument_click(typer.main.get_command(app), user=lambda context: "u1")
    command(["export0"] if commands > 1 else [], standalone_mode=False)
    assert kept.who() == {"exported": ("u1", None)}


# ── Jupyter ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def shell(kept):
    pytest.importorskip("IPython", reason="needs IPython")
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.history_manager.enabled = False
    return shell


def run(shell, *cells: str) -> None:
    for cell in cells:
        shell.run_cell(cell).raise_error()


def test_what_a_cell_sets_holds_in_those_that_follow(shell, kept, monkeypatch):
    from journy_track.integrations.jupyter import instrument_jupyter

    instrument_jupyter(shell, user="jane", account="acme")
    run(
        shell,
        "import asyncio, journy_track",
        "journy_track.track('first')",
        "journy_track.set_user('joe')",
        "await asyncio.sleep(0); journy_track.track('second')",
        "with journy_track.user('jim'): journy_track.track('third')",
        "journy_track.track('fourth')",
    )
    assert kept.who() == {
        "first": ("jane", "acme"),
        "second": ("joe", "acme"),
        "third": ("jim", "acme"),
        "fourth": ("joe", "acme"),
    }
    assert whoami() is None


@pytest.mark.parametrize("hub", [True, False])
def test_the_extension_acts_for_who_has_signed_in_to_the_hub_or_runs_the_kernel(shell, kept, monkeypatch, hub):
    monkeypatch.setattr(getpass, "getuser", lambda: "kernel")
    if hub:
        monkeypatch.setenv("JUPYTERHUB_USER", "jane")
    run(
        shell,
        "%load_ext journy_track.integrations.jupyter",
        "import journy_track; journy_track.track('ran')",
        "1 / 1",
    )
    assert kept.who() == {"ran": ("jane" if hub else "kernel", None)}


def test_set_again_it_is_another_user_and_no_cell_leaves_a_scope_behind(shell, kept):
    from journy_track.integrations.jupyter import instrument_jupyter

    for user in ("jane", "joe"):
        instrument_jupyter(shell, user=user)
        assert not shell.run_cell("import journy_track; journy_track.track('ran'); 1 / 0").success
        assert whoami() is None
    assert [event.user for event in kept()] == [UserIdentified("jane"), UserIdentified("joe")]


def test_a_cell_that_ends_does_not_end_the_scope_of_one_on_another_thread(kept):
    from journy_track.integrations.jupyter import _Session

    session = _Session()
    session.cell.set(user=UserIdentified("jane"))
    first, second, entered, ended = object(), object(), threading.Event(), threading.Event()

    def cell() -> None:
        session.begin(second)
        entered.set()
        assert ended.wait(10)
        journy_track.track("second")
        session.end(SimpleNamespace(info=second))
        assert whoami() is None

    thread = threading.Thread(target=cell)
    session.begin(first)
    thread.start()
    assert entered.wait(10)
    session.end(SimpleNamespace(info=first))
    assert whoami() is None
    ended.set()
    thread.join(10)
    assert kept.who() == {"second": ("jane", None)}


def test_a_cell_that_is_interrupted_leaves_no_scope_behind(kept):
    from journy_track.integrations.jupyter import _Session

    session = _Session()
    session.end(SimpleNamespace(info=SimpleNamespace(raw_cell="%load_ext …")))
    session.cell.set(user=UserIdentified("jane"))
    session.begin(SimpleNamespace(raw_cell="1 / 0"))
    assert whoami() == "jane"
    session.end(SimpleNamespace(info=SimpleNamespace(raw_cell="1 / 0")))
    assert whoami() is None


def test_outside_ipython_it_is_refused():
    pytest.importorskip("IPython", reason="needs IPython")
    from journy_track.integrations.jupyter import instrument_jupyter

    with pytest.raises(InvalidArgument, match="takes IPython's shell"):
        instrument_jupyter()


@pytest.mark.slow
def test_in_a_real_kernel_too(api, tmp_path):
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    manager = pytest.importorskip("jupyter_client.manager", reason="needs jupyter_client")
    kernel, client = manager.start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        for cell in (
            f"import journy_track; journy_track.configure('a-key', base_url={api.url!r})",
            "from journy_track.integrations.jupyter import instrument_jupyter; instrument_jupyter(user='jane')",
            "journy_track.track('first')",
            "journy_track.set_user('joe')",
            "journy_track.track('second'); assert journy_track.flush(20)",
        ):
            assert client.execute_interactive(cell, timeout=60)["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    assert [(event.name, event.user["userId"]) for event in api.events] == [("first", "jane"), ("second", "joe")]
