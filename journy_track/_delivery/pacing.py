"""When this process may send its next request: its share of the key's budget, found without asking the others.

`docs/explanations/pacing.md` explains the law on one page. In short: responses report how much of the limit is left,
and this process knows its own requests, so it knows the flow of all users of the key, and what will expire in the
next seconds. The flow that all may send together is the one that leaves a small margin; this process sends its
measured part of it. The parts of all processes add up to one, though none knows how many there are.
"""

from __future__ import annotations

import math
import random
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable

#: Seconds over which the limit counts. No header names it.
WINDOW = 60.0

#: The margin: calls that stay unused. As a multiple of the limit's square root, the noise of that many calls, ...
MARGIN = 0.4
#: ... plus this fraction of the requests that all send between two responses to us: of those we hear too late.
UNHEARD = 0.25
#: The reserve: where more than it is left, all burst. A multiple of the limit's square root, and at most this part of
#: the limit.
RESERVE, MAX_RESERVE = 8.0, 0.75
#: What is above the reserve is taken within so many seconds; what is missing from the margin is saved in as many.
SOON = 2.0
#: Below the reserve all send the largest flow that keeps the margin until each of these seconds from now.
HORIZONS = (0.5, 2.0, 5.0, 15.0)
#: Seconds after which what was left at a reading counts for 37 %: the others have sent in the meantime.
FADES = 10.0
#: While more than the margin is left, all together send so much of the limit a minute more, so that what a neighbour
#: leaves is used.
GROWTH = 0.08

#: Our part is measured over about so many own responses, and over at least so many seconds.
FLOW_RESPONSES, FLOW_SECONDS = 8, 2.0
#: A process that does not know its part yet assumes that there are so many; fewer where the limit is low, so that
#: each may send so many requests a minute.
MAX_PROCESSES, CALLS_EACH = 310, 1.5
#: Where little was left at its first reading, that assumption weighs as much as so many requests of its own.
ASSUMED = 0.5
#: While requests wait and what is left stays between margin and reserve, nobody takes it: what a process may send
#: whatever its part grows by a factor of e in so many seconds, up to the limit's flow. At the margin it starts again.
TRIAL_SECONDS = 20.0

#: A key is contested while so large a fraction of about the last so many responses found less than the margin:
#: somebody does not slow down, and only refusals show it. Then each process tries this part of the limit, and
#: at most the other, ...
CONTESTED, SCARCE_RESPONSES = 0.7, 4
TRY, MAX_TRY = 1 / 60, 1 / 4
#: ... which is multiplied by one of these after an accepted request, once some were refused, and after a refusal.
TRY_FASTER, TRY_SLOWER = 1.06, 0.7

#: Factors of the rate: after a refusal, after an accepted request, and the smallest that they come to. Whatever the
#: headers report, refusals stay few.
SLOWER, FASTER, SLOWEST = 0.5, 1.01, 1 / 64
#: Seconds of the first pause after a refusal, at least; of the longest; and of the longest Retry-After obeyed.
PAUSE, MAX_PAUSE, MAX_RETRY_AFTER = 2.0, 300.0, 3600.0

#: Without rate headers: requests a second at first and at most, and the factor for each accepted one until a refusal.
BLIND, MAX_BLIND, BLIND_GROWTH = 2.0, 30.0, 1.1

#: Requests that may go at once after a rest.
BUCKET = 5.0
#: Intervals vary by this fraction, so that processes that started together drift apart.
JITTER = 0.3
#: Seconds after which a process with work looks again at what it may send.
LOOK = 0.5
#: Seconds after the server's window began from zero in which nothing is expected to expire but with the next reset.
FIXED = 1.4 * WINDOW
#: `priority="bulk"` leaves this fraction of the limit to live events.
BULK_MARGIN = 0.25
#: A limit above this counts as none.
PLENTY = 10_000_000
#: Readings that are kept in full; older ones are thinned to five a second.
MAX_READINGS = 1000


class Pacer:
    """Computes when the next request may go, from the responses to earlier ones.

    Call `ready_at`, `sent` and `answered` under one lock: a pacer has none of its own, and never sleeps.

    *share* is this process's fixed part of the limit, above 0 to 1: no window of a minute will hold more of its
    requests, whatever the others do. `None`: found from the rate headers. *bulk*: take only what live events leave,
    and of that no more than *share*.
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
        # With *bulk* the share is a ceiling: what live events leave is still found from the headers.
        self._share = None if bulk else share
        self._ceiling = share if bulk else None
        self._bulk = bulk
        self._limit: int | None = None
        self._remaining: int | None = None

        # What is known: our own requests by the time of their responses, the budget as read last, and at each
        # reading everybody's requests so far beside our own count.
        self._own: deque[float] = deque()
        self._responses = 0
        self._budget = self._left = 0
        self._found_flow = 0.0
        self._readings: list[tuple[float, float, int]] = []
        self._thin_at = MAX_READINGS
        self._read_at = self._accepted_at = self._reset_at = -math.inf
        self._late = 0.0

        # What is measured: our part of everybody's flow, and how often less than the margin is left.
        self._own_flow = self._flow = 0.0
        self._part = 1 / MAX_PROCESSES
        self._scarce = 0.0
        self._trial = 1.0
        self._held = False

        # What is granted: tokens, of which a request costs about one, and no request before a pause is over.
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
        """Requests a minute for all users of the key, from the last rate headers; `None` before the first."""
        return self._limit

    @property
    def remaining(self) -> int | None:
        """How many of them are left, from the last rate headers; `None` before the first."""
        return self._remaining

    @property
    def rate(self) -> float:
        """Requests a second that this process may send, as computed last."""
        return self._rate

    @property
    def own(self) -> int:
        """Requests of this process within the last minute."""
        self._forget(self._clock())
        return len(self._own)

    def ready_at(self, in_flight: int) -> float:
        """The clock's time at which the next request may go: now or earlier at once, infinity only after a response.

        *in_flight* is the number of requests whose response is awaited. Ask again after every response, or at the
        time that was returned: it may then be later.
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
        if in_flight and self._refusals:  # one request tries, and the others wait for its response
            return math.inf
        if self._knows_nothing(now):
            return math.inf if in_flight else now
        # On a contested key, refusals are what we measure: several at once would measure the same moment.
        most = self._cost if self._is_contested() else BUCKET
        self._tokens = min(most, self._tokens + (now - self._tokens_at) * self._rate)
        self._tokens_at = now
        self._rate = self._grant(now, in_flight)
        if self._tokens >= self._cost - 1e-9:
            return now
        self._held = True
        return now + (min(LOOK, (self._cost - self._tokens) / self._rate) if self._rate > 0 else LOOK)

    def sent(self) -> None:
        """A request goes now."""
        self._tokens = max(0.0, self._tokens - self._cost)
        self._cost = self._uniform(1 - JITTER, 1 + JITTER)

    def answered(
        self, *, limit: int | None, remaining: int | None, refused: bool = False, retry_after: float | None = None
    ) -> None:
        """The response came, or will not come.

        *limit* and *remaining* are the rate headers, `None` where one is missing. *refused*: it was a 429, with
        *retry_after* seconds if it had the header. Everything in the process slows down then.
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
            # No news: but this request was counted, and after a while what we know is too old to go by.
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
            # Without a refusal lately, the others may only be close to the limit: more would have theirs refused.
            rises = self._is_contested() and self._caution < 1.0
            self._try = min(MAX_TRY, self._try * TRY_FASTER) if rises else TRY
        if self._limit is not None and (refused or has_headers):
            self._read(now)

    # ── What is known ──

    def _forget(self, now: float) -> None:
        while self._own and self._own[0] + WINDOW <= now:
            self._own.popleft()

    def _knows_nothing(self, now: float) -> bool:
        """Whether only the next response can change anything: then one request at a time."""
        if not self._responses:
            return True
        if self._refusals and (self._limit is None or self._accepted_at + WINDOW <= now):
            return True
        reset_at = self._reset_at + WINDOW + self._late
        return self._limit is not None and (self._read_at + WINDOW <= now or self._read_at < reset_at <= now)

    def _refuse(self, now: float, retry_after: float) -> None:
        if now >= self._pause_until:  # else it was on its way when the first refusal came
            if not self._refusals:
                self._caution = max(SLOWEST, self._caution * SLOWER)
                self._blind = max(BLIND * SLOWEST, self._blind * SLOWER)
                self._blind_growth = FASTER
                self._try = max(TRY / 2, self._try * TRY_SLOWER)
            self._refusals += 1
            pause = PAUSE
            if self._budget and self._accepted_at > -math.inf:  # no sooner than our part of the limit allows
                part = max(self._part, self._try) if self._is_contested() else self._part
                pause = max(PAUSE, WINDOW / (part * self._budget))
            pause = min(MAX_PAUSE, pause * 2.0 ** min(self._refusals - 1, 10))
            self._pause_until = now + self._uniform(0.5, 1.5) * pause
        if retry_after > 0:
            pause = min(retry_after, MAX_RETRY_AFTER) * self._uniform(1.0, 1.25)
            self._pause_until = max(self._pause_until, now + pause)

    def _read(self, now: float) -> None:
        assert self._limit is not None
        assert self._remaining is not None
        budget, left = self._limit, self._remaining
        if self._share is not None:  # our own requests are the budget's only ones
            budget = max(1, int(self._share * budget))
            left = max(0, budget - len(self._own))
        if self._read_at + WINDOW <= now or budget != self._budget:
            self._begin(now, budget, left)
        else:
            before, total, responses = self._readings[-1]
            own, expired = self._responses - responses, self._expiring(before, now, self._found_flow)
            came = self._left - left + expired
            if came < -budget / 4 - expired / 2:  # more at once than a sliding window lets go: it began from zero
                came = own
                self._reset_at = now
                self._late = self._uniform(0.0, WINDOW / (len(self._own) + 1))  # not all processes ask at once
            self._readings.append((now, total + came, self._responses))
            if not self._was_refused:  # a pause does not measure our part
                self._measure(came, own, now - before)
            if len(self._readings) > self._thin_at:
                self._thin(now)
        self._scarce += ((left < MARGIN * math.sqrt(budget)) - self._scarce) / SCARCE_RESPONSES
        self._was_refused = self._refusals > 0
        silence = now - self._read_at
        self._budget, self._left, self._read_at = budget, left, now
        grown = self._trial * math.exp(min(0.5, silence / TRIAL_SECONDS))  # no leap after a long silence
        is_free = self._margin() < left < self._reserve(budget)
        self._trial = min(MAX_PROCESSES / 2, grown) if self._held and is_free else 1.0
        self._held = False

    def _begin(self, now: float, budget: int, left: int) -> None:
        """The first reading, or the first after a minute without any."""
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
        self._thin_at = max(MAX_READINGS, 2 * len(thinned))  # where responses come faster than that, too

    def _total(self, at: float, found_flow: float) -> float:
        """Everybody's requests up to that time; before the first reading they came at *found_flow* a second."""
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
        """How many requests leave the window between two times: those that came a minute before."""
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
        """Requests a second of this process."""
        if self._limit is None:
            return self._blind
        part = 1.0 if self._share is not None else self._part
        left = float(self._left)
        if now >= self._reset_at + FIXED:
            left = min(left, self._budget - len(self._own))  # should the headers be stale, we still count ourselves
        rate = max(part * self._everybodys_flow(now, left - in_flight / part), self._found_free(now, left))
        rate *= self._caution
        return max(rate, self._try * self._budget / WINDOW) if self._is_contested() else rate

    def _found_free(self, now: float, left: float) -> float:
        """Requests a second that this process may send whatever its part: at first, 155 together send the limit."""
        if self._share is not None:
            return 0.0
        spare = max(0.0, left - self._margin()) * math.exp(-(now - self._read_at) / FADES)
        free = min(1.0, spare / self._reserve(self._budget))
        return self._trial * free * self._budget / WINDOW * 2 / MAX_PROCESSES

    def _everybodys_flow(self, now: float, left: float) -> float:
        """Requests a second that all may send together, with so many left: below zero where all have to wait."""
        budget, age = self._budget, now - self._read_at
        reserve = self._reserve(budget)
        free = min(left, reserve) - self._margin()
        spare = max(0.0, free) * math.exp(-age / FADES)
        flow, before = math.inf, None
        for seconds in HORIZONS:  # as `_expiring` has it, for all of them at once
            expiring = 0.0
            if now + seconds >= self._reset_at + FIXED:
                before = self._total(now - WINDOW, 0.0) if before is None else before
                expiring = max(0.0, self._total(now + seconds - WINDOW, 0.0) - before)
            flow = min(flow, (spare + expiring) / seconds)
        flow += min(0.0, free) / SOON
        if self._share is None:
            flow += GROWTH * budget / WINDOW * min(1.0, spare / (MARGIN * math.sqrt(budget)))
        return flow + max(0.0, left - reserve) / SOON * math.exp(-age / SOON)
