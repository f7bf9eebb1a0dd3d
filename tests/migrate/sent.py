"""What was sent, by whichever library: the events, and the final state of users and accounts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from journy_track.inspector import Received


@dataclass
class Sent:
    events: list[str] = field(default_factory=list)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def event(self, name: str, user: object, account: object, values: dict[str, Any], at: object) -> None:
        values = {key: value for key, value in values.items() if value is not None and not key.startswith("$")}
        moment = None if at is None else datetime.fromisoformat(str(at)).astimezone(UTC)
        if moment is not None and datetime.now(UTC) - moment < timedelta(hours=1):
            moment = None
        self.events.append(json.dumps([name, _text(user), _text(account), values, _text(moment)], sort_keys=True))

    def user(self, user: object, values: dict[str, Any]) -> None:
        self.users.setdefault(str(user), {}).update(values)

    def account(self, account: object, values: dict[str, Any]) -> None:
        self.accounts.setdefault(str(account), {}).update(values)

    def other(self, *words: object) -> None:
        self.others.append(json.dumps([_text(word) for word in words]))

    def sorted(self) -> Sent:
        return Sent(sorted(self.events), self.users, self.accounts, sorted(set(self.others)))

    # ── Who sent it ──

    def segment(self, messages: Iterable[dict[str, Any]]) -> Sent:
        for one in messages:
            if one["type"] == "track":
                account = one["context"].get("groupId")
                self.event(one["event"], one["userId"], account, one["properties"], one["timestamp"])
            elif one["type"] == "identify":
                self.user(one["userId"], one["traits"])
            elif one["type"] == "group":
                if one["traits"]:
                    self.account(one["groupId"], one["traits"])
                if one["userId"]:
                    self.other("member", one["groupId"], one["userId"])
            else:
                self.other(one["type"], one["userId"])
        return self

    def posthog(self, messages: Iterable[dict[str, Any]]) -> Sent:
        for one in messages:
            values = one.get("properties") or {}
            if one["event"] == "$set":
                self.user(one["distinct_id"], one["$set"])
            elif one["event"] == "$groupidentify":
                self.account(values["$group_key"], values["$group_set"])
            elif one["event"].startswith("$"):
                self.other(one["event"], one.get("distinct_id"))
            else:
                account = (values.get("$groups") or {}).get("company")
                self.event(one["event"], one["distinct_id"], account, values, one.get("timestamp"))
        return self

    def journyio(self, messages: Iterable[dict[str, Any]]) -> Sent:
        assert not list(messages)  # they are sent as requests, which arrive at the inspector
        return self

    def requests(self, requests: Iterable[Received]) -> Sent:
        for one in requests:
            body: Any = one.json or {}
            about = body.get("identification", {})
            if one.path == "/track":
                user, account = (_who(about.get(kind)) for kind in ("user", "account"))
                self.event(body["name"], user, account, body.get("metadata") or {}, body.get("triggeredAt"))
            elif one.path == "/users/upsert":
                self.user(_who(about), {**_address(about, "email"), **body.get("properties", {})})
            elif one.path == "/accounts/upsert":
                self.account(_who(about), {**_address(about, "domain"), **body.get("properties", {})})
            elif one.path == "/accounts/users/add":
                for user in body["users"]:
                    self.other("member", _who(body["account"]), _who(user["identification"]))
            else:
                self.other(one.method, one.path, json.dumps(body, sort_keys=True))
        return self


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _who(about: dict[str, str] | None) -> str | None:
    return (
        None if not about else next(about[key] for key in ("userId", "accountId", "email", "domain") if key in about)
    )


def _address(about: dict[str, str], key: str) -> dict[str, str]:
    return {key: about[key]} if key in about else {}
