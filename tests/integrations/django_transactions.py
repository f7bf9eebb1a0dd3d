"""after_commit in Django, as a separate suite that its test runs, because Django's settings apply process-wide."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import unittest

import django
from django.conf import settings

import journy_track
from journy_track import testing, track_event

if __name__ == "__main__":
    with testing.capture() as before:  # Django's settings do not exist yet
        journy_track.track("at_once", user="u1", after_commit=True)
        assert len(before) == 1
    settings.configure(
        DATABASES={
            alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"} for alias in ("default", "other")
        },
    )
    django.setup()

import pytest
from django.db import connections, transaction
from django.test import TestCase, TransactionTestCase
from django.test.runner import DiscoverRunner


class Undone(Exception):
    """Causes a rollback."""


class _Captured:
    def run(self, result=None):
        with testing.capture() as self.events:
            return super().run(result)

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]


def track(name: str, **options: object) -> None:
    journy_track.track(name, user="u1", after_commit=True, **options)


class Transactions(_Captured, TransactionTestCase):
    databases = ("default", "other")

    def test_outside_a_transaction_at_once(self):
        track("opened")
        assert self.names == ["opened"]

    def test_when_it_commits_and_not_before(self):
        with transaction.atomic():
            track("opened")
            assert self.names == []
        assert self.names == ["opened"]

    def test_never_when_it_rolls_back(self):
        with pytest.raises(Undone), transaction.atomic():
            track("opened")
            raise Undone
        assert self.names == []
        track("next")
        assert self.names == ["next"]

    def test_what_an_inner_block_rolls_back_is_gone_and_the_rest_goes_out_with_the_outer(self):
        with transaction.atomic():
            track("outer")
            with pytest.raises(Undone), transaction.atomic():
                track("undone")
                raise Undone
            with transaction.atomic():
                track("inner")
            assert self.names == []
        assert self.names == ["outer", "inner"]

    def test_an_outer_that_rolls_back_takes_the_inner_along(self):
        with pytest.raises(Undone), transaction.atomic():
            with transaction.atomic():
                track("inner")
            raise Undone
        assert self.names == []

    def test_it_waits_for_the_database_that_is_in_a_transaction(self):
        with transaction.atomic(using="other"):
            track("opened")
            with transaction.atomic(using="default"):
                pass
            assert self.names == []
        assert self.names == ["opened"]

    def test_with_two_databases_it_waits_for_both(self):
        with transaction.atomic(using="default"):
            with transaction.atomic(using="other"):
                track("opened")
            assert self.names == []
        assert self.names == ["opened"]
        with pytest.raises(Undone), transaction.atomic(using="default"):
            with transaction.atomic(using="other"):
                track("undone")
            raise Undone
        assert self.names == ["opened"]

    def test_context_and_time_are_those_of_the_capture(self):
        with transaction.atomic():
            with journy_track.user("u2"), journy_track.metadata(step=1):
                journy_track.track("opened", after_commit=True)
            journy_track.track("at_once", user="u3")
        at_once, opened = self.events
        assert (opened.user.user_id, opened.metadata) == ("u2", {"step": 1})
        assert opened.triggered_at < at_once.triggered_at

    def test_decorated_functions(self):
        @track_event("paid", user="u1", after_commit=True)
        def pay(fails):
            if fails:
                raise Undone

        with transaction.atomic():
            pay(False)
            assert self.names == []
        assert self.names == ["paid"]

        @transaction.atomic
        def view():
            pay(False)
            pay(True)

        with pytest.raises(Undone):
            view()
        assert self.names == ["paid"]

    def test_every_verb(self):
        def all_of_them():
            journy_track.upsert_user(user="u1", plan="pro", after_commit=True)
            journy_track.upsert_account(account="acme", plan="pro", after_commit=True)
            journy_track.add_users_to_account("acme", ["u1"], after_commit=True)
            journy_track.remove_users_from_account("acme", ["u1"], after_commit=True)
            journy_track.link("a-device", user="u1", after_commit=True)
            journy_track.delete_user("u1", after_commit=True)
            journy_track.delete_account("acme", after_commit=True)

        with pytest.raises(Undone), transaction.atomic():
            all_of_them()
            raise Undone
        assert len(self.events) == 0
        with transaction.atomic():
            all_of_them()
            assert len(self.events) == 0
        assert [type(item).__name__ for item in self.events] == [
            "UpsertUser",
            "UpsertAccount",
            "AddUsersToAccount",
            "RemoveUsersFromAccount",
            "Link",
            "DeleteUser",
            "DeleteAccount",
        ]

    def test_another_threads_transaction_is_not_ours(self):
        thread = threading.Thread(target=track, args=("in_thread",))
        with transaction.atomic():
            thread.start()
            thread.join()
            assert self.names == ["in_thread"]

    def test_in_async_code(self):
        async def main():
            track("in_loop")
            await asyncio.to_thread(in_thread)

        def in_thread():
            with transaction.atomic():
                track("in_pool")
            connections.close_all()

        asyncio.run(main())
        assert self.names == ["in_loop", "in_pool"]

    def test_with_autocommit_off_nobody_tells_of_the_commit(self):
        transaction.set_autocommit(False)
        try:
            with self.assertLogs("journy_track", "WARNING") as said:
                track("opened")
            transaction.rollback()
        finally:
            transaction.set_autocommit(True)
        assert "autocommit off" in said.output[0]
        assert self.names == ["opened"]


class Counted(TransactionTestCase):
    def setUp(self):
        self.tracker = journy_track.configure(base_url="http://127.0.0.1:9", queue_size=5, shutdown_timeout=0)

    def tearDown(self):
        journy_track.shutdown()

    def test_what_is_rolled_back_is_not_counted_and_leaves_its_place(self):
        for _ in range(4):
            with pytest.raises(Undone), transaction.atomic():
                for _ in range(4):
                    track("undone")
                raise Undone
        gc.collect()
        assert self.tracker.stats().captured == 0

    def test_what_waits_is_bounded_and_the_rest_counted(self):
        with pytest.raises(Undone), transaction.atomic():
            for _ in range(8):
                track("undone")
            raise Undone
        stats = self.tracker.stats()
        assert (stats.captured, stats.dropped) == (3, {"queue_full": 3})

    def test_what_was_shut_down_meanwhile_counts_as_closed(self):
        with transaction.atomic():
            track("late")
            journy_track.shutdown(0)
        assert self.tracker.stats().dropped == {"closed": 1}


class InATestCase(_Captured, TestCase):
    databases = ("default", "other")

    def test_a_test_case_never_commits(self):
        track("opened")
        with transaction.atomic():
            track("opened")
        assert self.names == []

    def test_its_callbacks_can_be_run(self):
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            with transaction.atomic():
                track("opened")
                with transaction.atomic():
                    track("inner")
            assert self.names == []
        assert len(callbacks) == 2
        assert self.names == ["opened", "inner"]

    def test_its_callbacks_can_be_run_without_a_block_of_ones_own(self):
        with self.captureOnCommitCallbacks(execute=True):
            track("opened")
        assert self.names == ["opened"]

    def test_those_of_another_database_too(self):
        with self.captureOnCommitCallbacks(using="other", execute=True), transaction.atomic(using="other"):
            track("opened")
        assert self.names == ["opened"]

    def test_what_rolls_back_leaves_no_callback(self):
        with (
            self.captureOnCommitCallbacks(execute=True) as callbacks,
            pytest.raises(Undone),
            transaction.atomic(),
        ):
            track("opened")
            raise Undone
        assert callbacks == []
        assert self.names == []


if __name__ == "__main__":
    suites = unittest.TestSuite(
        unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in (Transactions, Counted, InATestCase)
    )
    runner = DiscoverRunner(verbosity=0)
    databases = runner.setup_databases()
    done = unittest.TextTestRunner(verbosity=2).run(suites)
    runner.teardown_databases(databases)
    print("Django", django.get_version(), "ran", done.testsRun)
    sys.exit(not done.wasSuccessful())
