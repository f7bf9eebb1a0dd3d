"""uWSGI without Python threads or without exit handlers, where items would be lost: logged once."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

import journy_track


@pytest.fixture
def uwsgi(monkeypatch):
    """Pretend to be a uWSGI worker with these options."""

    def be(options: dict[bytes, object], version: tuple[int, ...] = (2, 0, 20, 0, b"")) -> None:
        module = ModuleType("uwsgi")
        module.opt, module.version_info = options, version  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "uwsgi", module)

    return be


@pytest.mark.parametrize("options", [{}, {b"enable-threads": b"false"}, {b"master": True}])
def test_uwsgi_without_threads_is_named_in_one_warning(api, uwsgi, caplog, options):
    uwsgi(options)
    journy_track.configure("a-key", base_url=api.url)
    journy_track.configure("a-key", base_url=api.url, metadata={"a": 1})
    assert caplog.text.count("--enable-threads") == 1


@pytest.mark.parametrize("options", [{b"enable-threads": True}, {b"threads": b"4"}, {"enable-threads": b"true"}])
def test_uwsgi_with_threads_is_fine(api, uwsgi, caplog, options):
    uwsgi(options)
    journy_track.configure("a-key", base_url=api.url)
    assert not caplog.text


def test_a_uwsgi_that_always_runs_threads_is_fine(api, uwsgi, caplog):
    uwsgi({}, version=(2, 0, 31, 0, b""))
    journy_track.configure("a-key", base_url=api.url)
    assert not caplog.text


@pytest.mark.parametrize("options", [{b"gevent": b"100"}, {b"threads": b"2", b"skip-atexit": True}])
def test_uwsgi_without_exit_handlers_is_named_where_what_waits_would_be_lost(api, uwsgi, caplog, tmp_path, options):
    uwsgi(options)
    journy_track.configure("a-key", base_url=api.url, spool=tmp_path)
    assert not caplog.text
    journy_track.configure("a-key", base_url=api.url)
    assert caplog.text.count("without exit handlers") == 1
