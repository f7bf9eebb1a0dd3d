"""What `journy-track inspect` prints while it runs: a line per request, and per item that an app did not send."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.text import Text

from journy_track.cli.console import counted
from journy_track.cli.outside import styled
from journy_track.inspector.reports import AppReport
from journy_track.inspector.summaries import summary
from journy_track.inspector.values import Received

if TYPE_CHECKING:
    from journy_track.inspector import Inspector

#: Requests printed at once, and names shown per batch.
TOGETHER, MAX_NAMES = 200, 4


class RequestLines:
    """Prints what arrives at *inspector* from now on. A context manager; on exit, it prints what is left.

    It prints in its own thread, so that responses do not wait for a terminal.
    """

    def __init__(self, inspector: Inspector, console: Console) -> None:
        self._state = inspector._state
        self._console = console
        self._run = self._state.run
        self._request, self._report = inspector.counts.requests, self._state.reports.number
        self._wake = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._print_all, name="journy-track inspect", daemon=True)

    def __enter__(self) -> Self:
        self._state.listen(self._wake.set)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._state.unlisten(self._wake.set)
        self._ending = True
        self._wake.set()
        self._thread.join()

    def _print_all(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            ending = self._ending
            try:
                while lines := self._new_lines():
                    self._print(lines)
            except (OSError, SystemExit):  # the reader closed the pipe, as in `inspect | head`: rich may exit then
                return
            if ending:
                return

    def _new_lines(self) -> list[Text]:
        state = self._state
        with state.changed:
            if state.run != self._run:  # after a reset, the numbers start at 1 again
                self._run, self._request, self._report = state.run, 0, 0
            received = state.oldest(self._request, TOGETHER)
            reports = [report for report in state.reports.newer(self._report) if report.kind == "dropped"]
            self._report = state.reports.number
        lines = [_line_of_report(report) for report in reports]
        for request in received:
            if missed := request.number - self._request - 1:
                lines.append(styled((f"… {counted(missed, 'request')} came too fast to be printed", "dim")))
            self._request = request.number
            lines.append(line_of(request))
        return lines

    def _print(self, lines: list[Text]) -> None:
        if self._console.is_terminal:
            for line in lines:
                self._console.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self._console.print(Text("\n").join(lines), soft_wrap=True)


def request_lines(inspector: Inspector, console: Console, *, quiet: bool) -> AbstractContextManager[object]:
    """Print a line per request while the block runs, unless *quiet*."""
    return nullcontext() if quiet else RequestLines(inspector, console)


def line_of(request: Received) -> Text:
    """One line for a request: time, method, path, status, event name, user, account and problems."""
    seen = summary(request)
    status = str(request.status) if request.status else "cut"
    call = f"{request.method} {request.path}"
    again = f" (attempt {request.attempt})" if request.attempt > 1 else ""
    return styled(
        (f"{_time(request.received_at)}  ", "dim"),
        f"{call:<22}  ",
        (status, _style(request.status)),
        "".join(f"  {part}" for part in _about(seen) if part),
        again,
        (_trouble(request, seen), "red" if seen["message"] else "yellow"),
    )


def _line_of_report(report: AppReport) -> Text:
    why = f"{report.reason.replace('_', ' ')}{f', {report.place}' if report.place else ''}"
    return styled((f"{_time(report.received_at)}  ", "dim"), ("not sent", "yellow"), f"  {report.name}: {why}")


def _time(moment: datetime) -> str:
    return f"{moment.replace(tzinfo=moment.tzinfo or UTC).astimezone():%H:%M:%S}"


def _style(status: int) -> str:
    return "green" if 200 <= status < 300 else "yellow" if status == 429 else "red"


def _about(seen: dict[str, Any]) -> list[str]:
    """The event's name, and its user and account; for a batch, those of its messages."""
    if "messages" not in seen:
        return [seen["name"] or "", _whom(seen["users"], seen["account"])]
    messages = seen["messages"]
    of_events_first = sorted(messages, key=lambda message: not message["name"])
    names = Counter(message["name"] or message["operation"] or "unknown" for message in of_events_first)
    shown = [name if times == 1 else f"{name} × {times}" for name, times in list(names.items())[:MAX_NAMES]]
    more = [f"{len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES else []
    users = list({str(user): user for message in messages for user in message["users"]}.values())
    accounts = {str(message["account"]): message["account"] for message in messages if message["account"]}
    account = next(iter(accounts.values())) if len(accounts) == 1 else None
    return [f"{counted(len(messages), 'message')}: {', '.join([*shown, *more])}", _whom(users, account)]


def _whom(users: list[dict[str, str]], account: dict[str, str] | None) -> str:
    user = ""
    if users:
        user = next(iter(users[0].values())) + (f" and {len(users) - 1} more" if len(users) > 1 else "")
    of = "" if account is None else next(iter(account.values()))
    return f"{user} at {of}" if user and of else user or of


def _trouble(request: Received, seen: dict[str, Any]) -> str:
    """Why the request was refused, or which parts of it were left out."""
    answer = request.answer if isinstance(request.answer, dict) else {}
    errors = answer.get("errors")
    fields = errors.get("fields") if isinstance(errors, dict) else answer.get("rejected")
    wrong = "; ".join(f"{name}: {why}" for name, why in fields.items()) if isinstance(fields, dict) else ""
    if seen["message"]:
        return f"  {wrong or seen['message']}"
    if wrong:
        return f"  not taken: {wrong}"
    outcomes = Counter(message["outcome"] for message in seen.get("messages", ()) if message["outcome"] != "accepted")
    return "".join(f"  {times} {outcome}" for outcome, times in outcomes.items())
