"""Job systems: objects that represent a registered function, and exceptions that end a job without failing it."""

from __future__ import annotations

from typing import Final

from journy_track._model.frameworks import Framework, Holder

FRAMEWORK: Final = Framework(
    interruptions=frozenset(
        {
            ("arq.worker", "Retry"),
            ("arq.worker", "RetryJob"),
            ("dramatiq.errors", "RateLimitExceeded"),
            ("dramatiq.errors", "Retry"),
            ("huey.exceptions", "CancelExecution"),
            ("huey.exceptions", "RateLimitExceeded"),
            ("huey.exceptions", "RetryTask"),
            ("huey.exceptions", "TaskLockedException"),
            ("taskiq.exceptions", "NoResultError"),
            ("taskiq.exceptions", "TaskRejectedError"),
        }
    ),
    registered={
        ("arq.cron", "CronJob"): "an arq cron job",
        ("arq.worker", "Function"): "an arq function",
        ("django_tasks.base", "Task"): "a Django task",
        ("dramatiq.actor", "Actor"): "a Dramatiq actor",
        ("huey.api", "TaskWrapper"): "a Huey task",
        ("taskiq.decor", "AsyncTaskiqDecoratedTask"): "a Taskiq task",
    },
    holders={
        # Before it starts, the scheduler holds the jobs itself.
        ("apscheduler.schedulers.base", "BaseScheduler"): Holder(("_pending_jobs",), "@scheduler.scheduled_job"),
        ("apscheduler.job", "Job"): Holder(("func",)),
    },
)
