"""gRPC: the user of each call of a server, sync or async."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import grpc.aio

from journy_track._capture.bodies import Body, driven_async
from journy_track._capture.carrier import HEADER
from journy_track._capture.context import current_frame, live_frame, scoped, set_frame
from journy_track.integrations._plain import PlainRequest
from journy_track.integrations._requests import Callback, Callbacks
from journy_track.integrations._streams import Stream
from journy_track.integrations._trust import Trust, trusted

__all__ = ["AsyncJournyInterceptor", "JournyInterceptor"]


class _AroundHandlers:
    """Shared by both interceptors: the options, and running each call of a handler in its own scope."""

    def __init__(
        self,
        *,
        user: Callback | None = None,
        account: Callback | None = None,
        metadata: Callback | None = None,
        skip: Callback | None = None,
        trust: Trust = None,
    ) -> None:
        carried = trusted(trust, _carrier_of)
        self._callbacks = Callbacks(user, account, metadata, skip=skip, carried=carried, link_devices=False)

    def _handler(self, handler: Any) -> Any:
        """Return *handler*, wrapped so that each call runs in its own scope. `None`: there is no such method."""
        if handler is None:
            return None
        kinds = (
            ("unary" if not handler.request_streaming else "stream"),
            ("unary" if not handler.response_streaming else "stream"),
        )
        name = "_".join(kinds)
        behaviour = getattr(handler, name)
        return getattr(grpc, f"{name}_rpc_method_handler")(
            self._behaviour(behaviour, streams=handler.response_streaming),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _behaviour(self, behaviour: Callable[..., Any], *, streams: bool) -> Callable[..., Any]:
        callbacks = self._callbacks

        def unary(request: Any, context: Any) -> Any:
            return PlainRequest(callbacks, context).run(behaviour, request, context)

        def stream(request: Any, context: Any) -> Iterator[Any]:
            return _streamed(PlainRequest(callbacks, context), behaviour, request, context)

        async def unary_async(request: Any, context: Any) -> Any:
            return await PlainRequest(callbacks, context).serve(behaviour(request, context))

        async def stream_async(request: Any, context: Any) -> AsyncIterator[Any]:
            tracked = PlainRequest(callbacks, context)
            body = Body(scoped(live_frame(), tracked.cell))
            parts = driven_async(behaviour(request, context), body)
            try:
                async for part in parts:
                    yield part
            except GeneratorExit:  # nothing can be awaited any more
                tracked.close(None)
                raise
            except BaseException:
                await tracked.finish_async()
                raise
            finally:
                await parts.aclose()
            await tracked.finish_async()

        # gRPC checks what kind of function it is given.
        if inspect.isasyncgenfunction(behaviour):
            return stream_async
        if inspect.iscoroutinefunction(behaviour):
            return unary_async
        return stream if streams else unary


def _carrier_of(context: Any) -> str | None:
    return next((value for name, value in context.invocation_metadata() or () if name == HEADER), None)


def _streamed(tracked: PlainRequest, behaviour: Callable[..., Any], request: Any, context: Any) -> Iterator[Any]:
    server = current_frame()
    frame = scoped(live_frame(), tracked.cell)
    set_frame(frame)
    try:
        content = behaviour(request, context)
    except BaseException:
        tracked.finish()
        raise
    finally:
        set_frame(server)
    parts = Stream(content, frame, tracked.finish)
    try:
        yield from parts
    finally:
        parts.close()


class JournyInterceptor(_AroundHandlers, grpc.ServerInterceptor):  # type: ignore[misc]  # gRPC has no types
    """Run each call of a gRPC server in its own scope: unary and streaming calls, including each step of a stream.

        grpc.server(pool, interceptors=[JournyInterceptor(user=lambda context: user_of(context.auth_context()))])

    *user*, *account* and *metadata* are called with gRPC's `ServicerContext`. The first two return an ID (or a
    `UserIdentified` or `AccountIdentified`) or `None`; *metadata* returns a mapping or `None`. They are called when
    an event needs them, and not again once they have found somebody. If *skip* returns true, or raises, nothing in
    that call is tracked, except deletes and removals; see `journy_track.suppressed()`. *trust* decides whether to
    believe the carrier in the call's metadata: a function with the same argument, or `"signed"` if both services have
    the same `carrier_secret`. Raises `ConfigurationError` if one of them is not a function.
    """

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """Wrap the handler of a call. Called by gRPC."""
        return self._handler(continuation(handler_call_details))


class AsyncJournyInterceptor(_AroundHandlers, grpc.aio.ServerInterceptor):  # type: ignore[misc]  # gRPC has no types
    """Run each call of a `grpc.aio` server in its own scope. Handlers may be async or plain functions.

        grpc.aio.server(interceptors=[AsyncJournyInterceptor(user=user_of)])

    Callbacks may be async; events wait for them until the call ends.

    *user*, *account* and *metadata* are called with gRPC's `ServicerContext`. The first two return an ID (or a
    `UserIdentified` or `AccountIdentified`) or `None`; *metadata* returns a mapping or `None`. They are called when
    an event needs them, and not again once they have found somebody. If *skip* returns true, or raises, nothing in
    that call is tracked, except deletes and removals; see `journy_track.suppressed()`. *trust* decides whether to
    believe the carrier in the call's metadata: a function with the same argument, or `"signed"` if both services have
    the same `carrier_secret`. Raises `ConfigurationError` if one of them is not a function.
    """

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """Wrap the handler of a call. Called by gRPC."""
        return self._handler(await continuation(handler_call_details))
