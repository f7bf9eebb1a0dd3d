"""All accounts and users of an app with SQLAlchemy, once a day.

pip install sqlalchemy
journy-track inspect                                            # in another terminal
export JOURNY_BASE_URL=http://127.0.0.1:8470
python examples/sync/with_sqlalchemy.py sqlite:///shop.db shop.state    # sends all
python examples/sync/with_sqlalchemy.py sqlite:///shop.db shop.state    # sends what has changed since: nothing

It exits with 1 if not everything was delivered.
"""

import sys

from sqlalchemy import Connection, ForeignKey, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import journy_track
from journy_track import Report


class Base(DeclarativeBase):
    """The base of your models."""


class Company(Base):
    """An account."""

    __tablename__ = "companies"
    id: Mapped[int] = mapped_column(primary_key=True)
    plan: Mapped[str]


class Person(Base):
    """A user."""

    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str]
    company_id: Mapped[int] = mapped_column(ForeignKey("companies.id"))


def sync(connection: Connection, state: str) -> list[Report]:
    """Sync accounts and users. The database returns 500 rows at a time, however many there are."""
    streamed = connection.execution_options(yield_per=500)
    seats = select(func.count()).where(Person.company_id == Company.id).scalar_subquery()
    companies = select(Company.id.label("account_id"), Company.plan, seats.label("seats"))
    people = select(Person.id.label("user_id"), Person.email, Person.name.label("full_name"))
    return [
        journy_track.sync_accounts(streamed.execute(companies).mappings(), state=state),
        journy_track.sync_users(streamed.execute(people).mappings(), state=state),
    ]


def make_sample(connection: Connection) -> None:
    """Fill in sample data. Replace it with your own."""
    Base.metadata.create_all(connection)
    with Session(connection) as session:
        for company in (Company(id=1, plan="pro"), Company(id=2, plan="free")):
            session.merge(company)
        for number, name in enumerate(("Jane", "Joe", "Jim"), 1):
            session.merge(Person(id=number, email=f"{name.lower()}@acme.com", name=name, company_id=number % 2 + 1))
        session.commit()


def main(url: str, state: str) -> int:
    journy_track.configure()
    with create_engine(url).connect() as connection:
        make_sample(connection)
        connection.commit()
        reports = sync(connection, state)
    for report in reports:
        print(report)
    return 0 if all(report.ok for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
