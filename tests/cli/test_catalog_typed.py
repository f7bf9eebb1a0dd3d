"""`journy-track catalog` with typed events: their fields and types, where they are created, and mistakes there."""

from __future__ import annotations

import json

import pytest

from .commands import run, words

EVENTS = '''
from __future__ import annotations
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, NotRequired, TypedDict, TYPE_CHECKING
import pydantic
import journy_track
from journy_track import Doc
from .plans import Channel, Seats
if TYPE_CHECKING:
    from nowhere import Unknown

Plan = Literal["free", "pro"]

@dataclass(frozen=True, kw_only=True)
class Common:
    source: str = "web"

@journy_track.event("signed_up", renamed_from=("registered", "joined"))
class SignedUp(Common, journy_track.TypedEvent):
    """Somebody made an account.

    More of it."""
    plan: "Plan"
    channel: Channel | None = None
    seats: Annotated[Seats, Doc("Who may sign in", unit="people", examples=(3, 50))] = 1
    at: datetime = field(default_factory=datetime.now)
    other: Unknown = None

@journy_track.event
class CreatedInvoice(pydantic.BaseModel):
    amount: float = pydantic.Field(description="What it costs", gt=0)
    note: str = ""
    "What it says."

@journy_track.event("moved")
class Moved(TypedDict):
    where: str
    steps: NotRequired[int]
'''

PLANS = """
from enum import StrEnum
from typing import NewType
class Channel(StrEnum):
    WEB = "web"
    MAIL = "mail"
Seats = NewType("Seats", int)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shop = tmp_path / "src" / "shop"
    shop.mkdir(parents=True)
    (shop / "__init__.py").write_text("from .events import SignedUp\n")
    (shop / "events.py").write_text(EVENTS)
    (shop / "plans.py").write_text(PLANS)
    return shop


def catalog(*options):
    ended = run("catalog", "--json", *options)
    assert ended.exit_code == 0, ended.stderr
    return {event["name"]: event for event in json.loads(ended.stdout)["events"]}


def problems(project, source):
    """Return the problems in a module of the project, which does not have to import journy_track."""
    (project / "views.py").write_text(source)
    return [
        (place["line"], place["problem"], place["mistake"])
        for event in catalog().values()
        for place in event["places"]
        if place["problem"] and place["file"] == "src/shop/views.py"
    ]


def test_fields_have_the_types_docs_units_and_examples_that_are_written(project):
    (declared,) = catalog()["signed_up"]["declared"]
    assert (declared["class"], declared["file"]) == ("SignedUp", "src/shop/events.py")
    assert declared["renamed_from"] == ["registered", "joined"]
    fields = {field["name"]: field for field in declared["fields"]}
    assert list(fields) == ["source", "plan", "channel", "seats", "at", "other"]
    assert [name for name, field in fields.items() if field["required"]] == ["plan"]
    assert fields["plan"]["schema"] == {"enum": ["free", "pro"]}
    assert fields["channel"]["schema"] == {"enum": ["web", "mail"]}
    assert fields["at"]["schema"] == {"type": "string", "format": "date-time"}
    assert fields["other"]["schema"] == {}
    seats = fields["seats"]
    assert (seats["schema"], seats["unit"], seats["examples"]) == ({"type": "integer"}, "people", [3, 50])
    assert seats["description"] == "Who may sign in"


def test_models_and_typed_dicts_are_read_too(project):
    events = catalog()
    (invoice,) = events["created_invoice"]["declared"]
    assert [(field["name"], field["required"], field["description"]) for field in invoice["fields"]] == [
        ("amount", True, "What it costs"),
        ("note", False, "What it says."),
    ]
    (moved,) = events["moved"]["declared"]
    assert [(field["name"], field["required"]) for field in moved["fields"]] == [("where", True), ("steps", False)]


def test_it_writes_json_schema(project):
    ended = run("catalog", "--format", "schema")
    definitions = json.loads(ended.stdout)["$defs"]
    signed_up = definitions["signed_up"]
    assert signed_up["description"] == "Somebody made an account."
    assert signed_up["required"] == ["plan"]
    assert signed_up["additionalProperties"] is False
    assert signed_up["properties"]["seats"] == {
        "type": "integer",
        "description": "Who may sign in (people)",
        "examples": [3, 50],
    }
    assert run("catalog", "--format", "schema", "--output", "events.json").exit_code == 0
    assert run("catalog", "--format", "schema", "--check", "events.json").exit_code == 0
    (project / "events.py").write_text(EVENTS.replace("steps: NotRequired[int]", "steps: int"))
    assert run("catalog", "--format", "schema", "--check", "events.json").exit_code == 1


def test_markdown_has_the_fields_and_the_former_names(project):
    lines = run("catalog", "--format", "markdown").stdout.splitlines()
    assert "Declared by `SignedUp`, before: `registered`, `joined`." in lines
    assert "| `plan` | `one of 'free', 'pro'` | yes |  |" in lines
    assert "| `seats` | `Seats` |  | Who may sign in (people), such as `3`, `50` |" in lines


@pytest.mark.parametrize(
    "source",
    [
        "from shop.events import SignedUp\nSignedUp(plan='pro').track()",
        "from shop import SignedUp as Event\nEvent('pro')",
        "from . import events\nevents.SignedUp(plan='pro')",
        "import shop.events\nshop.events.SignedUp(plan='pro')",
        "import journy_track\nfrom .events import SignedUp\njourny_track.track(SignedUp(plan='pro'), user='u1')",
        "import journy_track\nfrom .events import SignedUp\none = SignedUp(plan='pro')\njourny_track.track(one)",
        "from .events import SignedUp\nclass Invited(SignedUp): ...\nInvited(plan='pro')",
    ],
)
def test_it_is_found_wherever_it_is_made(project, source):
    (project / "views.py").write_text(source)
    event = catalog()["signed_up"]
    (place,) = [place for place in event["places"] if place["file"] == "src/shop/views.py"]
    assert (place["keys"], place["problem"]) == (["plan"], None)


def test_a_function_that_returns_one_and_a_mapping_after_the_class_are_places(project):
    (project / "views.py").write_text(
        "import journy_track\nfrom .events import Moved, SignedUp\n"
        "@journy_track.track_event(SignedUp, duration=True)\ndef sign_up(): ...\n"
        "journy_track.track(Moved, {'where': place})\njourny_track.track(Moved, Moved(where='x'))\n"
        "def later(one: SignedUp): journy_track.track(one)\n"
    )
    events = catalog()
    places = {
        (name, place["line"]): place["keys"]
        for name, event in events.items()
        for place in event["places"]
        if place["file"] == "src/shop/views.py"
    }
    assert places == {
        ("signed_up", 3): ["source", "plan", "channel", "seats", "at", "other", "duration_ms"],
        ("moved", 5): ["where"],
        ("moved", 6): ["where"],
    }
    assert json.loads(run("catalog", "--json").stdout)["dynamic"] == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("SignedUp(paln='pro')", "SignedUp has no field 'paln': did you mean 'plan'?"),
        ("SignedUp(seats=3)", "SignedUp needs 'plan'"),
        ("SignedUp(plan='por')", "SignedUp.plan must be one of 'free', 'pro', and not 'por'"),
        ("SignedUp(plan='pro', seats='3')", "SignedUp.seats must be Seats, and not '3'"),
        ("journy_track.track(Moved, {'were': 'x'})", "Moved has no field 'were': did you mean 'where'?"),
        ("journy_track.track(Moved, {'steps': 3})", "Moved needs 'where'"),
        ("journy_track.track('signed_up', paln='x')", "SignedUp has no field 'paln': did you mean 'plan'?"),
        ("journy_track.track('registered')", "registered is now called signed_up"),
    ],
)
def test_what_an_event_does_not_take_is_a_mistake_and_fails_the_check(project, line, problem):
    source = f"import journy_track\nfrom .events import Moved, SignedUp\n{line}\n"
    assert problems(project, source) == [(3, problem, True)]
    assert run("catalog", "--output", "events.md").exit_code == 0
    ended = run("catalog", "--check", "events.md")  # the file is up to date, and the check still fails
    assert ended.exit_code == 1
    assert problem in words(ended.stderr)


@pytest.mark.parametrize(
    "line",
    [
        "SignedUp(**row)",
        "SignedUp(*row)",
        "SignedUp(plan=plan, channel='web', seats=seats, at=now)",
        "CreatedInvoice(amount=3)",
        "journy_track.track(Moved, mapping)",
        "journy_track.track(Moved, {KEY: 'x'})",
        "journy_track.track('signed_up', plan='pro', **more)",
    ],
)
def test_what_may_be_right_is_not_a_mistake(project, line):
    source = f"import journy_track\nfrom .events import CreatedInvoice, Moved, SignedUp\n{line}\n"
    assert problems(project, source) == []


def test_two_classes_for_one_event_and_a_type_that_cannot_be_sent_are_mistakes(project):
    assert problems(
        project,
        "import journy_track\n@journy_track.event('moved')\nclass Again: ...\n"
        "@journy_track.event('b')\nclass B:\n    tags: list[str]\n",
    ) == [
        (5, "tags: a list cannot be sent as metadata", True),
        (3, "moved is declared at src/shop/events.py, too", True),
    ]


def test_a_base_that_is_not_in_the_project_may_bring_more_fields(project):
    source = (
        "import journy_track\nfrom elsewhere import Base\n"
        "@journy_track.event\nclass Paid(Base):\n    amount: int\nPaid(amount=3, currency='EUR')\nPaid()\n"
    )
    assert problems(project, source) == []


def test_a_subclass_is_the_same_event_with_its_own_fields_too(project):
    source = (
        "from dataclasses import dataclass\nfrom .events import SignedUp\n"
        "@dataclass(frozen=True)\nclass Invited(SignedUp):\n    by: str = ''\n"
        "Invited(plan='pro', by='u1')\nInvited(plan='pro', bye='u1')\n"
    )
    assert problems(project, source) == [(7, "Invited has no field 'bye': did you mean 'by'?", True)]


def test_classes_that_inherit_from_each_other_do_not_hold_it_up(project):
    assert (
        problems(
            project, "import journy_track\nfrom .events import SignedUp\nclass A(B): ...\nclass B(A): ...\nA()\n"
        )
        == []
    )


def test_an_event_whose_name_is_made_at_run_time_is_flagged(project):
    (project / "views.py").write_text("import journy_track\n@journy_track.event(PREFIX + 'a')\nclass A: ...\n")
    (place,) = json.loads(run("catalog", "--json").stdout)["dynamic"]
    assert (place["written"], place["how"], place["line"]) == ("PREFIX + 'a'", "@event", 3)


def test_github_gets_annotations_at_the_lines(project):
    (project / "views.py").write_text(
        "import journy_track\nfrom .events import SignedUp\nSignedUp(plan='por')\njourny_track.track(name)\n"
    )
    ended = run("catalog", "--format", "github")
    assert ended.stdout.splitlines() == [
        "::error file=src/shop/views.py,line=3::signed_up: SignedUp.plan must be one of 'free', 'pro', and not 'por'",
        "::warning file=src/shop/views.py,line=4::name: the name is known only when the code runs",
    ]
    assert run("catalog", "--output", "events.md").exit_code == 0
    (project / "views.py").write_text("")
    ended = run("catalog", "--format", "github", "--check", "events.md")
    assert ended.exit_code == 1
    assert ended.stdout == (
        "::error file=events.md::it differs from what the code tracks: journy-track catalog --output events.md\n"
    )
