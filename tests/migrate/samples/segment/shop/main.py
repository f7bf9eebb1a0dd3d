"""A day in the shop."""

from __future__ import annotations

from . import services, setup, tasks, views
from .helpers import Funnel
from .people import Company, Invoice, Request, User


def run() -> None:
    assert setup
    user, invoice = User(), Invoice()
    services.sign_up(user, "trial", invited=True)
    services.sign_in(user)
    services.change_plan(user, "pro")
    services.pay(user, invoice)
    services.pay_later(user, invoice, invoice.paid_at)
    services.refund(user, invoice)
    services.cancel(user, "too dear")
    services.rename(user.company, "ACME Inc.")
    services.move(user, Company("globex", "Globex", "globex.com"))

    assert views.home(Request(user)) == "home"
    views.create_project(Request(user, {"name": "Apollo"}))
    views.share_project(Request(user, {"name": "Apollo", "with": ["joe@acme.com", "ann@globex.com"]}))
    views.search(Request(user, {"words": "moon landing"}))
    views.upload(Request(user, {"size": 1024, "type": "image/png"}))
    views.change_settings(Request(user, {"theme": "dark"}))
    views.invite(Request(user, {"email": "joe@acme.com"}))
    views.accept(Request(user))
    views.export(Request(user))
    views.delete_project(Request(user, {"name": "Apollo"}))

    tasks.report(user.company, [user, User(18, "joe@acme.com")])
    tasks.renew(user)
    tasks.expire(user)
    tasks.usage(user, {"projects": 2, "files": 7})

    funnel = Funnel(user)
    funnel.begin()
    funnel.step(2, seconds=1.5)
    funnel.give_up()
    funnel.finish(129.5)
