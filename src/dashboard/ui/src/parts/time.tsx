// Times as people read them: relative, with the exact one on hover and for assistive technology.

import { useEffect, useSyncExternalStore } from "react";

const listeners = new Set<() => void>();
let now = Date.now();
let timer: number | undefined;

/** One clock for the whole page, a tick a second while anyone looks at it. */
function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= window.setInterval(() => {
    now = Date.now();
    listeners.forEach((each) => each());
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      window.clearInterval(timer);
      timer = undefined;
    }
  };
}

export function useNow(): number {
  useEffect(() => {
    now = Date.now();
  }, []);
  return useSyncExternalStore(subscribe, () => now);
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });

export function ago(at: number, from: number): string {
  const delta = at - from;
  const size = Math.abs(delta);
  if (size < 5 * SECOND) return "just now";
  if (size < MINUTE) return relative.format(Math.trunc(delta / SECOND), "second");
  if (size < HOUR) return relative.format(Math.trunc(delta / MINUTE), "minute");
  if (size < DAY) return relative.format(Math.trunc(delta / HOUR), "hour");
  if (size < 60 * DAY) return relative.format(Math.trunc(delta / DAY), "day");
  if (size < 730 * DAY) return relative.format(Math.trunc(delta / (30 * DAY)), "month");
  return relative.format(Math.trunc(delta / (365 * DAY)), "year");
}

/** The local time to the second. */
export function dated(at: string): string {
  return exact.format(new Date(at));
}

/** The same, and the UTC one the API speaks. */
export function exactly(at: string): string {
  return `${dated(at)} (${at})`;
}

/** What is left, in the two largest units. */
export function left(ms: number): string {
  if (ms <= 0) return "0 s";
  const days = Math.floor(ms / DAY);
  const hours = Math.floor((ms % DAY) / HOUR);
  const minutes = Math.floor((ms % HOUR) / MINUTE);
  const seconds = Math.floor((ms % MINUTE) / SECOND);
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  if (minutes > 0) return `${minutes} min ${String(seconds).padStart(2, "0")} s`;
  return `${seconds} s`;
}

/** When something was or will be. */
export function Ago({ at, never = "never" }: { at: string | null | undefined; never?: string }) {
  const current = useNow();
  if (!at) {
    return <span className="muted">{never}</span>;
  }
  return (
    <time dateTime={at} title={exactly(at)}>
      {ago(Date.parse(at), current)}
    </time>
  );
}

/** A date, where the day is what matters. */
export function Day({ at }: { at: string }) {
  return (
    <time dateTime={at} title={exactly(at)}>
      {day.format(new Date(at))}
    </time>
  );
}

/** How long something still lasts, counting down. */
export function Countdown({ to, over = "ended" }: { to: string; over?: string }) {
  const rest = Date.parse(to) - useNow();
  return (
    <time dateTime={to} title={exactly(to)} className="countdown">
      {rest > 0 ? left(rest) : over}
    </time>
  );
}
