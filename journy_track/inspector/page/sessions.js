// Sessions: what happened without a longer pause.

import { dateOf, number, time } from "./dom.js";
import { happened, isEvent } from "./model.js";

export const GAP = 30; // minutes

// `items` newest first, by when they happened. Of each session its items, newest first.
export function sessionsOf(items) {
  const sessions = [];
  let later = Infinity;
  for (const item of items) {
    const moment = Date.parse(happened(item));
    if (later - moment > GAP * 60_000) sessions.push([]);
    sessions.at(-1).push(item);
    later = moment;
  }
  return sessions;
}

// When it was, and how much of it. `several`: it may be of several users, who are counted.
export function headingOf(session, several) {
  const [start, end] = [happened(session.at(-1)), happened(session[0])];
  const [from, to] = [start, end].map((moment) => time(moment).slice(0, 5));
  const until = dateOf(start) !== dateOf(end) ? `–${dateOf(end)}, ${to}` : from !== to ? `–${to}` : "";
  const events = session.filter(isEvent).length;
  const users = new Set(session.flatMap((item) => item.users.map((user) => user.id ?? user.alias))).size;
  const what = [counted(events, "event"), several && users > 0 && counted(users, "user")].filter(Boolean);
  return `${dateOf(start)}, ${from}${until} · ${what.join(", ")}`;
}

const counted = (count, noun) => `${count === 0 ? "no" : number(count)} ${noun}${count === 1 ? "" : "s"}`;
