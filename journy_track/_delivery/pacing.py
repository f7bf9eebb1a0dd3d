"""Determines when this process may send its next request: its share of the key's budget, found without coordination.

`docs/explanations/pacing.md` explains the control law on one page. In short: responses report how much of the limit
is left, and this process knows its own requests. From these it derives the total flow of all processes that use the
key, and how many requests will leave the window in the next seconds. All processes together may send the flow that
leaves a small margin; this process sends its measured part of that flow. The parts of all processes add up to one,
although none of them knows how many there are.
"""

from __future__ import annotations

import math
import random
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable

#: The length of the rate limit's window in seconds. No header reports it.
WINDOW = 60.0

#: The margin is the number of calls that stay unused. It is this multiple of the limit's square root, which is the
#: noise of that many calls, ...
MARGIN = 0.4
#: ... plus this fraction of the requests that all processes send between two responses to us, which we learn of too
#: late.
UNHEARD = 0.25
#: The reserve: while more than this is left, all processes burst. It is a multiple of the limit's square root, and at
#: most this part of the limit.
RESERVE, MAX_RESERVE = 8.0, 0.75
#: Calls above the reserve are used within this many seconds; calls missing from the margin are saved in as many.
SOON = 2.0
#: Below the reserve, all processes together send the largest flow that keeps the margin over each of these horizons,
#: in seconds from now.
HORIZONS = (0.5, 2.0, 5.0, 15.0)
#: Seconds after which the calls left at a reading count for 37 %, because others have sent in the meantime.
FADES = 10.0
#: While more than the margin is left, all processes together send this fraction of the limit more per minute, so that
#: they use what another process leaves.
GROWTH = 0.08

#: Our part is measured over about this many of our own responses, and over at least this many seconds.
FLOW_RESPONSES, FLOW_SECONDS = 8, 2.0
#: A process that does not know its part yet assumes that there are this many processes, or fewer if the limit is low,
#: so that each may send this many requests per minute.
MAX_PROCESSES, CALLS_EACH = 310, 1.5
#: If little was left at the first reading, that assumption weighs as much as this many of its own requests.
ASSUMED = 0.5
#: While requests wait and the calls left stay between margin and reserve, no process is using them. The flow that a
#: process may send regardless of its part then grows by a factor of e in this many seconds, up to the limit's flow.
#: At the margin, it starts over.
TRIAL_SECONDS = 20.0

#: A key is contested while more than this fraction of about this many recent responses reported less than the margin:
#: some client does not slow down, and only refusals show it. Each process then tries the first of these parts of the
#: limit, and at most the second, ...
CONTESTED, SCARCE_RESPONSES = 0.7, 4
TRY, MAX_TRY = 1 / 60, 1 / 4
#: ... which is multiplied by the first of these after an accepted request, once some were refused, and by the second
#: after a refusal.
TRY_FASTER, TRY_SLOWER = 1.06, 0.7

#: Factors for the rate: after a refusal, after an accepted request, and the lower bound of their product. They keep
#: refusals rare whatever the headers report.
SLOWER, FASTER, SLOWEST = 0.5, 1.01, 1 / 64
#: In seconds: the minimum of the first pause after a refusal, and the longest pause.
PAUSE, MAX_PAUSE = 2.0, 300.0

#: Without rate headers: the initial and the maximum number of requests per second, and the factor by which each
#: accepted request raises it until the first refusal.
BLIND, MAX_BLIND, BLIND_GROWTH = 2.0, 30.0, 1.1

#: The number of requests that may be sent at once after a rest.
BUCKET = 5.0
#: Intervals vary by up to this fraction, so that processes that started together drift apart.
JITTER = 0.3
#: Seconds after which a process with work recomputes what it may send.
LOOK = 0.5
#: Seconds after the server's window started from zero during which no requests are expected to leave it before the
#: next reset.
FIXED = 1.4 * WINDOW
#: `priority="bulk"` leaves this fraction of the limit to live events.
BULK_MARGIN = 0.25
#: A higher limit is treated as this one, which is as good as no limit.
PLENTY = 10_000_000
#: The number of readings that are kept in full. Beyond it, older ones are thinned to five per second.
MAX_READINGS = 1000


class Pacer:
    """Computes from earlier responses when the next request may be sent.

    Call `ready_at`, `sent` and `answered` under one lock: a pacer does not lock by itself, and never sleeps.

    *share* is this process's fixed part of the limit, greater than 0 and at most 1: no one-minute window will contain
    more of its requests than that, whatever other processes do. With `None`, the part is derived from the rate
    headers. With *bulk*, it uses only what live events leave, and at most *share* of the limit.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
        *,
        share: float | None = None,
        bulk: bool = False,
    ) -> None:
        if share is not None and not 0 < share <= 1:
            raise ValueError("share is above 0 and at most 1")
        self._clock = clock
        self._uniform = uniform
        # With *bulk*, the share is only a ceiling: what live events leave is still derived from the headers.
        self._share = None if bulk else share
        self._ceiling = share if bulk else None
        self._bulk = bulk
        self._limit: int | None = None
        self._remaining: int | None = None

        # What is known: the times of the responses to our own requests, the budget as last read and, for each
        # reading, the total number of requests by all processes so far and the number of our own responses.
        self._own: deque[float] = deque()
        self._responses = 0
        self._budget = self._left = 0
        self._found_flow = 0.0
        self._readings: list[tuple[float, float, int]] = []
        self._thin_at = MAX_READINGS
        self._read_at = self._accepted_at = self._reset_at = -math.inf
        self._late = 0.0

        # What is measured: our part of the total flow, and how often less than the margin is left.
        self._own_flow = self._flow = 0.0
        self._part = 1 / MAX_PROCESSES
        self._scarce = 0.0
        self._trial = 1.0
        self._held = False

        # What is granted: tokens, of which a request costs about one. No request is sent before a pause is over.
        self._tokens = self._cost = 1.0
        self._rate = BLIND
        self._tokens_at = self._pause_until = clock()
        self._refusals = 0
        self._was_refused = False
        self._caution = 1.0
        self._try = TRY
        self._blind, self._blind_growth = BLIND, BLIND_GROWTH

    @property
    def limit(self) -> int | None:
        """Requests per minute for all processes that use the key, from the last rate headers; `None` before those."""
        return self._limit

    @property
    def remaining(self) -> int | None:
        """How many of these requests are left, from the last rate headers; `None` before the first."""
        return self._remaining

    @property
    def rate(self) -> float:
        """Requests per second that this process may send, as last computed."""
        return self._rate

    @property
    def own(self) -> int:
        """The number of requests by this process within the last minute."""
        self._forget(self._clock())
        return len(self._own)

    def ready_at(self, in_flight: int) -> float:
        """Return the clock time at which the next request may be sent.

        A time that has passed means now; infinity means not before a response arrives. *in_flight* is the number of
        requests that await a response. Call this again after every response, and at the returned time: the result
        may then be later.
        """
        now = self._clock()
        self._forget(now)
        if now < self._pause_until:
            return self._pause_until
        if self._share is not None and self._budget and len(self._own) + in_flight >= self._budget:
            return self._own[0] + WINDOW if self._own else math.inf
        if self._ceiling is not None and self._limit is not None:
            ceiling = max(1, int(self._ceiling * self._limit))
            if len(self._own) + in_flight >= ceiling:
                return self._own[0] + WINDOW if self._own else math.inf
        if in_flight and self._refusals:  # one request probes, and the others wait for its response
            return math.inf
        if self._knows_nothing(now):
            return math.inf if in_flight else now
        # On a contested key, refusals are the measurement. Several requests at once would measure the same moment.
        most = self._cost if self._is_contested() else BUCKET
        self._tokens = min(most, self._tokens + (now - self._tokens_at) * self._rate)
        self._tokens_at = now
        self._rate = self._grant(now, in_flight)
        if self._tokens >= self._cost - 1e-9:
            return now
        self._held = True
        return now + (min(LOOK, (self._cost - self._tokens) / self._rate) if self._rate > 0 else LOOK)

    def sent(self) -> None:
        """Record that a request is being sent."""
        self._tokens = max(0.0, self._tokens - self._cost)
        self._cost = self._uniform(1 - JITTER, 1 + JITTER)

    def answered(
        self, *, limit: int | None, remaining: int | None, refused: bool = False, retry_after: float | None = None
    ) -> None:
        """Record that a request has ended, with a response or without.

        *limit* and *remaining* are the rate headers, `None` if missing. *refused* means that the response was a 429,
        with *retry_after* in seconds if it had that header. The whole process then slows down.
        """
        now = self._clock()
        self._forget(now)
        self._responses += 1
        self._own.append(now)
        has_headers = limit is not None and limit > 0 and remaining is not None
        if limit is not None and has_headers and remaining is not None:
            self._limit = min(limit, PLENTY)
            self._remaining = min(max(0, remaining), self._limit)
        elif self._remaining is not None:
            # Nothing new is known, but the server counted this request. Old readings expire after a while.
            self._remaining = max(0, self._remaining - 1)
        if refused:
            self._refuse(now, retry_after or 0.0)
            if self._limit is not None:
                self._remaining = 0
        else:
            self._refusals = 0
            self._accepted_at = now
            self._caution = min(1.0, self._caution * FASTER)
            self._blind = min(MAX_BLIND, self._blind * self._blind_growth)
            # Without a recent refusal, the others may just be close to the limit: if we sent more, theirs would be
            # refused.
            rises = self._is_contested() and self._caution < 1.0
            self._try = min(MAX_TRY, self._try * TRY_FASTER) if rises else TRY
        if self._limit is not None and (refused or has_headers):
            self._read(now)

    # ── What is known ──

    def _forget(self, now: float) -> None:
        while self._own and self._own[0] + WINDOW <= now:
            self._own.popleft()

    def _knows_nothing(self, now: float) -> bool:
        """Whether only the next response can provide information, so that requests are sent one at a time."""
        if not self._responses:
            return True
        if self._refusals and (self._limit is None or self._accepted_at + WINDOW <= now):
            return True
        reset_at = self._reset_at + WINDOW + self._late
        return self._limit is not None and (self._read_at + WINDOW <= now or self._read_at < reset_at <= now)

    def _refuse(self, now: float, retry_after: float) -> None:
        if now >= self._pause_until:  # otherwise it was in flight when the first refusal came
            if not self._refusals:
                self._caution = max(SLOWEST, self._caution * SLOWER)
                self._blind = max(BLIND * SLOWEST, self._blind * SLOWER)
                self._blind_growth = FASTER
                self._try = max(TRY / 2, self._try * TRY_SLOWER)
            self._refusals += 1
            pause = PAUSE
            if self._budget and self._accepted_at > -math.inf:  # at least as long as our part of the limit requires
                part = max(self._part, self._try) if self._is_contested() else self._part
                pause = max(PAUSE, WINDOW / (part * self._budget))
            pause = min(MAX_PAUSE, pause * 2.0 ** min(self._refusals - 1, 10))
            self._pause_until = now + self._uniform(0.5, 1.5) * pause
        if retry_after > 0:
            pause = min(retry_after, MAX_PAUSE) * self._uniform(1.0, 1.25)
            self._pause_until = max(self._pause_until, now + pause)

    def _read(self, now: float) -> None:
        assert self._limit is not None
        assert self._remaining is not None
        budget, left = self._limit, self._remaining
        if self._share is not None:  # only our own requests count against the share
            budget = max(1, int(self._share * budget))
            left = max(0, budget - len(self._own))
        if self._read_at + WINDOW <= now or budget != self._budget:
            self._begin(now, budget, left)
        else:
            before, total, responses = self._readings[-1]
            own, expired = self._responses - responses, self._expiring(before, now, self._found_flow)
            came = self._left - left + expired
            if came < -budget / 4 - expired / 2:  # too much at once for a sliding window: it restarted from zero
                came = own
                self._reset_at = now
                self._late = self._uniform(0.0, WINDOW / (len(self._own) + 1))  # so that processes do not ask at once
            self._readings.append((now, total + came, self._responses))
            if not self._was_refused:  # our part cannot be measured across a pause
                self._measure(came, own, now - before)
            if len(self._readings) > self._thin_at:
                self._thin(now)
        self._scarce += ((left < MARGIN * math.sqrt(budget)) - self._scarce) / SCARCE_RESPONSES
        self._was_refused = self._refusals > 0
        silence = now - self._read_at
        self._budget, self._left, self._read_at = budget, left, now
        grown = self._trial * math.exp(min(0.5, silence / TRIAL_SECONDS))  # bounded, even after a long silence
        is_free = self._margin() < left < self._reserve(budget)
        self._trial = min(MAX_PROCESSES / 2, grown) if self._held and is_free else 1.0
        self._held = False

    def _begin(self, now: float, budget: int, left: int) -> None:
        """Start from the first reading, the first after a minute without any, or one with another limit."""
        self._found_flow = (budget - left) / WINDOW
        self._readings = [(now, 0.0, self._responses)]
        if not self._was_refused or not self._flow:
            self._part = min(1.0, max(1 / MAX_PROCESSES, CALLS_EACH / budget))
            self._own_flow = 0.0 if left > self._reserve(budget) else ASSUMED
            self._flow = self._own_flow / self._part
        self._tokens = max(0.0, left - MARGIN * math.sqrt(budget)) * self._part
        self._tokens_at, self._rate = now, 0.0

    def _thin(self, now: float) -> None:
        kept = [reading for reading in self._readings if reading[0] > now - 1.1 * WINDOW]
        thinned = kept[:1]
        for reading in kept[1:]:
            if reading[0] > now - FLOW_SECONDS or reading[0] - thinned[-1][0] >= 0.2:
                thinned.append(reading)
        self._readings = thinned
        self._thin_at = max(MAX_READINGS, 2 * len(thinned))  # bounds the work when thinning leaves many readings

    def _total(self, at: float, found_flow: float) -> float:
        """The requests of all processes up to *at*. Before the first reading, *found_flow* per second is assumed."""
        readings = self._readings
        began, total, _ = readings[0]
        if at <= began:
            return total + (at - began) * found_flow
        index = bisect_left(readings, (at,))
        if index == len(readings):
            return readings[-1][1]
        (begin, low, _), (end, high, _) = readings[index - 1], readings[index]
        return low + (high - low) * (at - begin) / (end - begin)

    def _expiring(self, begin: float, end: float, found_flow: float = 0.0) -> float:
        """The number of requests that leave the window between two times: those sent one minute earlier."""
        if end < self._reset_at + FIXED:
            return 0.0
        return max(0.0, self._total(end - WINDOW, found_flow) - self._total(begin - WINDOW, found_flow))

    def _measure(self, came: float, own: int, seconds: float) -> None:
        kept = math.exp(-max(min(own / FLOW_RESPONSES, seconds / FLOW_SECONDS), seconds / WINDOW))
        self._own_flow = kept * self._own_flow + own
        self._flow = kept * self._flow + max(came, -kept * self._flow / 2)
        self._part = min(1.0, self._own_flow / max(1.0, self._flow, self._own_flow))

    def _is_contested(self) -> bool:
        return self._scarce > CONTESTED and not self._bulk and self._share is None

    # ── What is granted ──

    def _reserve(self, budget: int) -> float:
        return min(MAX_RESERVE * budget, RESERVE * math.sqrt(budget))

    def _margin(self) -> float:
        if self._share is not None:
            return 0.0
        margin = MARGIN * math.sqrt(self._budget) + UNHEARD * min(1 / self._part, MAX_PROCESSES / 2)
        return margin + (BULK_MARGIN * self._budget if self._bulk else 0.0)

    def _grant(self, now: float, in_flight: int) -> float:
        """Requests per second that this process may send."""
        if self._limit is None:
            return self._blind
        part = 1.0 if self._share is not None else self._part
        left = float(self._left)
        if now >= self._reset_at + FIXED:
            left = min(left, self._budget - len(self._own))  # our own count holds even if the headers are stale
        rate = max(part * self._everybodys_flow(now, left - in_flight / part), self._found_free(now, left))
        rate *= self._caution
        return max(rate, self._try * self._budget / WINDOW) if self._is_contested() else rate

    def _found_free(self, now: float, left: float) -> float:
        """Requests per second that this process may send regardless of its part, initially at most limit/155."""
        if self._share is not None:
            return 0.0
        spare = max(0.0, left - self._margin()) * math.exp(-(now - self._read_at) / FADES)
        free = min(1.0, spare / self._reserve(self._budget))
        return self._trial * free * self._budget / WINDOW * 2 / MAX_PROCESSES

    def _everybodys_flow(self, now: float, left: float) -> float:
        """Requests per second that all processes may send together with *left* calls left. Negative: all wait."""
        budget, age = self._budget, now - self._read_at
        reserve = self._reserve(budget)
        free = min(left, reserve) - self._margin()
        spare = max(0.0, free) * math.exp(-age / FADES)
        flow, before = math.inf, None
        for seconds in HORIZONS:  # computes `_expiring` for all of them, with one shared lookup
            expiring = 0.0
            if now + seconds >= self._reset_at + FIXED:
                before = self._total(now - WINDOW, 0.0) if before is None else before
                expiring = max(0.0, self._total(now + seconds - WINDOW, 0.0) - before)
            flow = min(flow, (spare + expiring) / seconds)
        flow += min(0.0, free) / SOON
        if self._share is None:
            flow += GROWTH * budget / WINDOW * min(1.0, spare / (MARGIN * math.sqrt(budget)))
        return flow + max(0.0, left - reserve) / SOON * math.exp(-age / SOON)
