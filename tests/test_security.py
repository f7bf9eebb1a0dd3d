"""The API key never appears anywhere: tested with a random key and every way to fail."""

from __future__ import annotations

import copy
import pickle
import socket
import warnings

import pytest

import journy_track
from journy_track import Client, ClientConfig, HttpRequest, MaybeSent, NotSent, Tracker


class Raises:
    """An HTTP client that fails while it holds the request."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def send(self, request: HttpRequest, /):
        raise self.error

    def close(self) -> None:
        """Do nothing: no connection is kept open."""


@pytest.mark.slow
def test_the_key_shows_nowhere_whatever_fails(api, hung_server, canary, everything_said, capfd):
    shown: list[str] = []
    told: list[object] = []

    def before_send(item):
        if item.label() == "event 'broken'":
            raise ValueError("a scrubber's own mistake")
        return item

    with socket.socket() as taken, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        taken.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for settings in (
            {"base_url": api.url},
            {"base_url": refused},
            {"base_url": hung_server, "timeout": 0.1},
            {"base_url": "https://no-such-host.invalid"},
            {"base_url": api.url.replace("http:", "https:")},
            {"http_client": Raises(NotSent("refused"))},
            {"http_client": Raises(MaybeSent("no response"))},
            {"http_client": Raises(ValueError("boom"))},
        ):
            api.answer_next(400, {"message": "no", "errors": {"fields": {"name": "bad"}}, "meta": {"requestId": "r"}})
            api.answer_next(302, headers={"Location": "http://localhost:1/"})
            api.answer_next(500)
            api.answer_next(drop=True)
            tracker = journy_track.configure(
                canary, debug=True, before_send=before_send, on_error=told.append, **settings
            )
            for name in ("refused", "redirected", "broken", "again", "and_again"):
                journy_track.track(name, user="u1", plan="pro")
            tracker.flush(1)
            shown += [repr(tracker), repr(tracker.config), str(vars(tracker)), repr(tracker.stats())]
            shown += [repr(tracker.recent()), repr(told)]
            tracker.shutdown(0.2)
            api.reset()
        shown += map(str, warned)

    everywhere = "\n".join([*shown, everything_said(), *capfd.readouterr()])
    assert "was given up" in everywhere
    assert "is delayed" in everywhere
    assert "before_send raised" in everywhere
    assert told
    assert canary not in everywhere


def test_the_key_is_not_in_what_configuration_errors_say(canary):
    for call in (
        lambda: journy_track.configure(canary + "\nx"),
        lambda: journy_track.configure(canary + "ü"),
        lambda: journy_track.configure(canary.encode()),  # type: ignore[arg-type]
        lambda: journy_track.configure(canary, timeout=-1),
        lambda: journy_track.configure(canary, base_url=f"https://{canary}@api.journy.io"),
        lambda: journy_track.configure(canary, base_url="http://api.journy.io"),
        lambda: journy_track.configure(canary, no_such_setting=1),  # type: ignore[call-arg]
        lambda: ClientConfig(canary + " "),
    ):
        with pytest.raises(journy_track.ConfigurationError) as caught:
            call()
        assert canary not in str(caught.value) + repr(caught.value.args)
        assert caught.value.__context__ is None


def test_objects_that_hold_the_key_show_none_of_it(api, canary):
    tracker = Tracker(canary, base_url=api.url)
    config = ClientConfig(canary, base_url=api.url)
    client = Client(None, config)
    for thing in (tracker, tracker.config, tracker.config.api_key, config, client, vars(tracker), vars(client)):
        assert canary not in repr(thing) + str(thing) + f"{thing}"
    request = HttpRequest("POST", api.url, {"X-Api-Key": canary}, canary.encode(), 1)
    assert canary not in repr(request)
    tracker.shutdown(0)


def test_the_key_is_not_pickled_with_what_holds_it(canary):
    config = Tracker(canary, enabled=False).config
    for thing in (config.api_key, config):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
    assert canary not in repr(copy.copy(config))


@pytest.mark.parametrize("error", [NotSent("no"), MaybeSent("no"), OSError("no")], ids=repr)
def test_a_client_that_fails_answers_without_the_key(api, canary, error, everything_said):
    result = Client(Raises(error), ClientConfig(canary, base_url=api.url)).get_api_key_details()
    assert canary not in repr(result) + everything_said()


@pytest.mark.slow
def test_a_servers_answer_that_repeats_the_request_reaches_no_log(api, canary, everything_said):
    tracker = journy_track.configure(canary, base_url=api.url)
    api.answer_next(400, "<html>a page\n\x1b[31m with a line break</html>")
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert canary not in everything_said()
    assert "\x1b" not in everything_said()


def test_text_of_the_server_is_one_printable_line_in_the_log(api, tracker, caplog):
    message = "no\n2024-01-01 CRITICAL forged \x1b[31m" + "x" * 1000
    api.answer_next(400, {"message": message, "errors": {"fields": {"a\nb": "c\rd"}}, "meta": {"requestId": "r\n1"}})
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    for record in caplog.records:
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 1000


@pytest.mark.slow
def test_what_events_hold_is_in_no_log(api, canary, everything_said):
    tracker = journy_track.configure("a-key", base_url=api.url)
    api.answer_next(400)
    api.answer_next(500)
    journy_track.track("signed_in", user=canary, note=canary, nested={canary: canary}, nan=float("nan"))
    journy_track.upsert_user(user="u1", email=canary)
    journy_track.add_users_to_account("acme", [canary])
    assert tracker.flush(5)
    assert canary not in everything_said()


def test_a_program_that_ends_badly_shows_no_key(hung_server, run_program, canary):
    done = run_program(
        """
        import sys, journy_track
        journy_track.configure(base_url=sys.argv[1], shutdown_timeout=0.2)
        journy_track.track("signed_in", user="u1")
        raise ValueError("boom")
        """,
        hung_server,
        JOURNY_API_KEY=canary,
    )
    assert "boom" in done.err
    assert "could not be delivered" in done.err
    assert canary not in done.err + done.out
