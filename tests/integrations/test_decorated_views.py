"""Decorated views, and what frameworks do with decorated functions: each in a separate program."""

from __future__ import annotations

import json

import pytest

DJANGO = """
    import json
    import django
    from django.conf import settings
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="for tests")
    django.setup()
    from django.http import HttpResponse
    from django.test import Client
    from django.urls import path
    from django.utils.decorators import method_decorator
    from django.views import View
    from django.views.decorators.cache import never_cache
    from django.views.decorators.csrf import csrf_exempt
    import journy_track
    from journy_track import testing, track_event

    captured = track_event("called", user="u1", capture=("number",))

    class Above(View):
        @method_decorator(captured)
        @method_decorator(never_cache)
        def get(self, request, number):
            return HttpResponse(f"above {number}")

    class Below(View):
        @method_decorator([never_cache, captured])
        def get(self, request, number):
            return HttpResponse(f"below {number}")

    class Asynchronous(View):
        @method_decorator(captured)
        async def get(self, request, number):
            return HttpResponse(f"asynchronous {number}")

    @method_decorator(captured, name="dispatch")
    @method_decorator(journy_track.user("jane"), name="get")
    class Whole(View):
        def get(self, request, number):
            return HttpResponse(f"{journy_track.current_context().user.user_id} {number}")

    @captured
    @csrf_exempt
    @never_cache
    def function(request, number):
        return HttpResponse(f"function {number}")

    views = [Above.as_view(), Below.as_view(), Whole.as_view(), function]
    if django.VERSION >= (5, 2):  # from then on method_decorator knows async views
        views.append(Asynchronous.as_view())
    urlpatterns = [path(f"{place}/<int:number>/", view) for place, view in enumerate(views)]
    with testing.capture() as events:
        answers = [Client().get(f"/{place}/7/").content.decode() for place in range(len(views))]
        print(json.dumps([answers, [dict(event.metadata) for event in events]]))
        events.clear()
"""

FASTAPI = """
    from __future__ import annotations
    import asyncio, json
    from typing import Annotated
    from fastapi import Depends, FastAPI
    import journy_track
    from journy_track import testing, track_event

    app = FastAPI()

    def user_id():
        return journy_track.current_context().user.user_id

    @track_event("sync_dependency", user="u1", on="always", capture=("plan",))
    def in_a_thread(plan: str = "free"):
        with journy_track.user("in the thread"):
            yield user_id()

    @track_event("async_dependency", user="u1", on="always")
    async def in_the_loop():
        with journy_track.user("in the loop"):
            yield user_id()

    @app.get("/")
    @track_event("called", user="u1", capture=("threads",))
    @journy_track.metadata(plan="pro")
    async def view(threads: Annotated[str, Depends(in_a_thread)], loops: str = Depends(in_the_loop)):
        journy_track.track("inside")
        return [threads, loops]

    async def main():
        sent = []
        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}
        async def send(message):
            sent.append(message)
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"plan=pro", "headers": []}
        await app(scope, receive, send)
        return json.loads(sent[1]["body"])

    with testing.capture() as events:
        answer = asyncio.run(main())
        print(json.dumps([answer, [[event.name, event.user.user_id, dict(event.metadata)] for event in events]]))
        events.clear()
"""


def test_class_based_views_of_django_capture_what_the_url_says(run_program):
    pytest.importorskip("django", reason="needs Django")
    ran = run_program(DJANGO)
    assert ran.status == 0, ran.err
    answers, captured = json.loads(ran.out)
    assert answers[:4] == ["above 7", "below 7", "jane 7", "function 7"]
    assert answers[4:] in ([], ["asynchronous 7"])
    assert captured == [{"number": 7}] * len(answers)


def test_dependencies_of_fastapi_act_as_without_the_decorator(run_program):
    pytest.importorskip("fastapi", reason="needs FastAPI")
    ran = run_program(FASTAPI)
    assert ran.status == 0, ran.err
    answer, events = json.loads(ran.out)
    assert answer == ["in the thread", "in the loop"]
    assert events == [
        ["inside", "in the loop", {"plan": "pro"}],
        ["called", "u1", {"threads": "in the thread"}],
        ["async_dependency", "u1", {}],
        ["sync_dependency", "u1", {"plan": "pro"}],
    ]
