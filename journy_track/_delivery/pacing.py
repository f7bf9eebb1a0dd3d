"""When this process may send its next request: its share of the key's budget, found without asking the others.

The rate headers tell one number, what all users of the key have left, and from it follow two laws.

On a busy key, a process repeats its share: what it sent within the last minute, of what all sent. The shares of all
processes add up to one, though none knows how many there are, so together they send what the limit allows; they
brake together when little is left. Any force towards equal shares would push the sum above one.

While plenty is left, a process bursts: it takes, of what is left above a reserve, its part of the flow of the last
two seconds. Alone, that is all of it. When many burst at once, each sees the budget fall faster than it sends.

Three situations need care: the first minute, the minute after a burst, and a server that counts from zero every
minute. What was sent together expires together, so all three spread what is left until there will be more.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable

#: Seconds over which the limit counts. No header tells.
WINDOW = 60.0

#: A key is busy when less than this part of its limit was left at any time within the last window. Lower ends bursts
#: later, and with 128 processes too late.
RESERVE = 0.2
#: A burst takes what is left above the reserve in so many seconds; a reading is at most some tenths old meanwhile.
SPREAD = 6.0
#: In the first window of a process, bursts (all processes' together) take at most this part of the limit.
FIRST_BURSTS = 0.25
#: Until the flow is measured, a process counts as one of so many that burst: enough for those who seldom send.
LEAST = 1 / 200
#: A key of which more than this part was left when a process came has nothing to expire in its first window.
UNUSED = 0.9
#: Seconds over which everybody's flow is measured.
RECENT = 2.0
#: Requests a second of a process that has yet to measure it, while plenty is left: its second reading must be recent,
#: too. Fewer, where that would be over a four hundredth of what is left.
MEASURING, LITTLE = 1.0, 1 / 400

#: On a busy key all brake where less than 1/GAIN of the limit is left, and settle where 1/(GAIN + 1) is: 22 is the
#: least that uses 95 % of it.
GAIN = 22.0
#: ... but not below this part of their rate: what is not sent now is missing among the expiries a minute later, so
#: a hard brake returns as a wave.
BRAKED = 0.7
#: After a burst nothing expires for a while, and repeating the share would use up what is left too soon. That is so
#: when our own requests expire later than in so many seconds, and some more where they are few and so less even.
SOON, UNEVEN = 10.0, 15.0
#: A process that sent nothing counts as if it had sent half a request: from nothing, no share could grow.
NEWCOMER = 0.5

#: The first window is spread over a little more than a window, so that it never ends in refusals.
FIRST_SPREAD = 1.25 * WINDOW
#: The part of the limit that spreading leaves: answers are old when they arrive.
MARGIN = 0.04
#: Seconds for which a reset of the server's window makes us expect the next.
FIXED = 1.4 * WINDOW

#: So many requests may go at once after a pause; fewer, where that would be over a hundredth of the limit.
BUCKET, SMALLEST_BUCKET = 5.0, 1.5
#: Intervals vary by this part, so that processes that started together drift apart.
JITTER = 0.3
#: Seconds after which a process with work asks again; later, when less than 1/15 of the limit is left.
LONGEST, ASKING = 30.0, 0.5
#: Requests a second of a process that knows no limit, one at a time.
BLIND = 1.0

#: Seconds of the longest pause after refusals in a row, and of the longest Retry-After that is believed.
LONGEST_PAUSE = 300.0
LONGEST_RETRY_AFTER = 3600.0
#: A refusal halves the rate, an accepted request gives a hundredth back: whatever the headers say, refusals stay few.
SLOWER, AGAIN, FASTER, SLOWEST = 0.5, 0.7, 1.01, 1 / 64


class Pacer:
    """Says when the next request may go, from the answers to the ones before.

    Call `ready_at`, `sent` and `answered` under one lock: a pacer has none of its own, and never sleeps.

    *share* is this process's fixed part of the limit, above 0 to 1: no window of a minute will hold more of its
    requests, whatever the others do. `None`: found from the rate headers.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
        *,
        share: float | None = None,
    ) -> None:
        if share is not None and not 0 < share <= 1:
            raise ValueError("share is above 0 and at most 1")
        self._clock = clock
        self._uniform = uniform
        self._share = share
        self._limit: int | None = None
        self._remaining: int | None = None

        # What this process knows: its own requests by the time of their answers (they reached the server before),
        # the budget as read, with the lowest readings of the window and the recent ones beside our own count.
        self._own: deque[float] = deque()
        self._count = self._answers = 0
        self._budget, self._left = 0, 0
        self._read_at = self._known_since = self._reset_at = -math.inf
        self._found = 0
        self._late = 0.0
        self._lows: deque[tuple[float, int]] = deque()
        self._readings: deque[tuple[float, int, int, int]] = deque()

        # What it grants: tokens, of which a request costs about one, and no request before a pause is over.
        self._tokens = self._cost = 1.0
        self._tokens_at = self._pause_until = clock()
        self._refusals = 0
        self._caution = 1.0

    @property
    def limit(self) -> int | None:
        """Requests a minute for all users of the key, as the API said last; `None` before it said anything."""
        return self._limit

    @property
    def remaining(self) -> int | None:
        """How many of them are left, as the API said last; `None` before it said anything."""
        return self._remaining

    def ready_at(self, in_flight: int) -> float:
        """The clock's time at which the next request may go: now or earlier at once, infinity only after an answer.

        *in_flight* is the number of requests whose answer is awaited. Ask again after every answer: it may then be
        sooner, or later.
        """
        now = self._clock()
        self._forget(now)
        if now < self._pause_until:
            return self._pause_until
        if self._share is not None and self._budget and len(self._own) + in_flight >= self._budget:
            return self._own[0] + WINDOW if self._own else math.inf
        if self._is_blind(now) or len(self._readings) < 2:
            if in_flight:
                return math.inf
            if self._is_blind(now):
                return now
        rate = self._rate(now, in_flight)
        bucket = min(BUCKET, max(SMALLEST_BUCKET, self._budget / 100))
        self._tokens = min(bucket, self._tokens + (now - self._tokens_at) * rate)
        self._tokens_at = now
        if self._tokens >= self._cost - 1e-9:
            return now
        at = now + (self._cost - self._tokens) / rate
        return min(at, *(news for news in (self._read_at + WINDOW, self._next_reset()) if news > now))

    def sent(self) -> None:
        """A request goes now."""
        self._count += 1
        self._tokens = max(0.0, self._tokens - self._cost)
        self._cost = self._uniform(1 - JITTER, 1 + JITTER)

    def answered(
        self, *, limit: int | None, remaining: int | None, refused: bool = False, retry_after: float | None = None
    ) -> None:
        """The answer came, or will not come.

        *limit* and *remaining* are the rate headers, `None` where one is missing. *refused*: it was a 429, with
        *retry_after* seconds if it said so. Everything in the process slows down then.
        """
        now = self._clock()
        self._forget(now)
        self._own.append(now)
        self._answers += 1
        if limit is not None and limit > 0 and remaining is not None:
            self._limit, self._remaining = limit, min(max(0, remaining), limit)
        elif self._remaining is not None:
            # No news: but this request was counted, and after a while what we know is too old to go by.
            self._remaining = max(0, self._remaining - 1)
        if refused:
            self._refuse(now, retry_after or 0.0)
            if self._limit is not None:
                self._remaining = 0
        else:
            self._refusals = 0
            self._caution = min(1.0, self._caution * FASTER)
        if self._limit is not None and (refused or (limit is not None and remaining is not None)):
            self._read(now)
        elif self._is_blind(now):
            pause = self._uniform(1 - JITTER, 1 + JITTER) / BLIND / self._caution
            self._pause_until = max(self._pause_until, now + pause)

    # ── What is known ──

    def _forget(self, now: float) -> None:
        own, lows = self._own, self._lows
        while own and own[0] + WINDOW <= now:
            own.popleft()
        while len(lows) > 1 and lows[0][0] + WINDOW <= now:
            lows.popleft()

    def _is_blind(self, now: float) -> bool:
        """Whether only the next answer tells something: then one request at a time."""
        return self._refusals > 0 or self._read_at + WINDOW <= now or self._read_at < self._next_reset() <= now

    def _next_reset(self) -> float:
        # Late by a random time: not all processes ask at once.
        return self._reset_at + WINDOW + self._late

    def _refuse(self, now: float, retry_after: float) -> None:
        if now >= self._pause_until:  # else it was on its way when the first refusal came
            # Of refusals in a row, the growing pauses take care.
            self._caution = max(SLOWEST, self._caution * (AGAIN if self._refusals else SLOWER))
            self._refusals += 1
            pause = self._uniform(0.5, 1.5) * min(LONGEST_PAUSE, 2.0 ** min(self._refusals, 10))
            self._pause_until = now + pause
        if retry_after > 0:
            pause = min(retry_after, LONGEST_RETRY_AFTER) * self._uniform(1.0, 1.25)
            self._pause_until = max(self._pause_until, now + pause)

    def _read(self, now: float) -> None:
        assert self._limit is not None
        assert self._remaining is not None
        budget, left = self._limit, self._remaining
        if self._share is not None:  # our own requests are the budget's only ones
            budget = max(1, int(self._share * budget))
            left = max(0, budget - len(self._own))
        if self._read_at + WINDOW <= now or budget != self._budget:
            self._known_since, self._found, self._reset_at = now, left, -math.inf
            self._lows.clear()
            self._readings.clear()
        elif self._share is None:
            self._notice_reset(now, budget, left)
        if self._read_at + RECENT < now:
            self._readings.clear()
        while len(self._readings) > 2 and self._readings[1][0] + RECENT < now:
            self._readings.popleft()
        self._readings.append((now, left, self._count, self._answers))
        while self._lows and self._lows[-1][1] >= left:
            self._lows.pop()
        self._lows.append((now, left))
        self._budget, self._left, self._read_at = budget, left, now

    def _notice_reset(self, now: float, budget: int, left: int) -> None:
        more = left - self._left
        if more <= budget / 4:
            return
        expired = more / (budget - self._left)
        if self._read_at < self._reset_at + WINDOW <= now:
            self._reset_at += WINDOW
        elif expired > 0.5 + (now - self._read_at) / (2 * WINDOW):  # more at once than a sliding window lets go
            self._reset_at = now
        else:
            return
        self._late = self._uniform(0.0, WINDOW / (len(self._own) + 1))

    # ── What is granted ──

    def _rate(self, now: float, in_flight: int) -> float:
        """Requests a second of this process."""
        budget, low = self._budget, self._lows[0][1]
        own = len(self._own) + in_flight
        left = max(0.5, self._left - in_flight)
        age = now - self._known_since
        ample = low > RESERVE * budget
        if now - self._reset_at < FIXED:
            ample = False
            end = self._reset_at + WINDOW
            rate = _part(own, budget - low) * self._spread(left, (end if now < end else end + WINDOW) - now)
        else:
            left = max(0.5, min(left, budget - own))  # should the headers be stale, we still count ourselves
            rate = _part(own, budget - self._left)
            if self._share is not None:
                rate = budget / WINDOW
            elif age < WINDOW and self._found > budget / 2:
                rate *= self._spread(left, FIRST_SPREAD - age)
            elif (seconds := self._until_expiries(now)) > SOON + UNEVEN / math.sqrt(max(1, own)):
                rate *= min(budget / WINDOW, self._spread(left, seconds))
            else:
                rate *= budget / WINDOW * max(BRAKED, min(GAIN * left / budget, 1.0))
        if ample:
            keep = RESERVE * budget
            if age < WINDOW and self._share is None:
                keep = max(keep, self._found - FIRST_BURSTS * budget)
            rate = max(rate, self._part_of_flow() * (left - keep) / SPREAD)
            if len(self._readings) < 2:
                rate = max(rate, min(MEASURING, LITTLE * left))
        return max(rate * self._caution, min(1 / LONGEST, ASKING * left / budget))

    def _until_expiries(self, now: float) -> float:
        """Seconds until about as many of our own requests expired as of an even flow would within the next ten."""
        own = self._own
        return own[int(len(own) * SOON / WINDOW / 2)] + WINDOW - now if own else 0.0

    def _spread(self, left: float, seconds: float) -> float:
        return max(left - MARGIN * self._budget, 1.0) / max(2.0, seconds)

    def _part_of_flow(self) -> float:
        """What this process sent of all that was sent between the recent readings."""
        if len(self._readings) < 2:
            return LEAST
        (began, left, count, answers), (ended, _, _, answers_now) = self._readings[0], self._readings[-1]
        own = self._count - count
        all_requests = left - self._left + (ended - began) * (self._budget - self._left) / WINDOW
        fresh = ended - self._known_since < WINDOW and self._found > UNUSED * self._budget
        if fresh and all_requests < answers_now - answers - 1:
            return LEAST  # our own requests do not show: the headers are stale, and we may not be alone
        return max(LEAST, (own + 1) / (max(own, all_requests) + 1))


def _part(own: int, all_requests: int) -> float:
    return min(1.0, (own + NEWCOMER) / max(1, all_requests))
