// The gate's own metrics, read every other second into the last minutes of what it did.

import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { send } from "../api";

export interface Moment {
  /** Unix seconds. */
  at: number;
  /** Requests that found a route, by class of status. */
  classes: Record<string, number>;
  /** Requests refused, by code. */
  refused: Record<string, number>;
  /** Upper bounds in seconds, each with how many were not slower. */
  histogram: Map<number, number>;
}

const KEPT = 150;
const EVERY_MS = 2_000;

/** The last five minutes, oldest first, for as long as this page is open. */
export function useMoments(): { moments: Moment[]; error: unknown } {
  const [moments, setMoments] = useState<Moment[]>([]);
  const now = useQuery({
    queryKey: ["metrics"],
    queryFn: async ({ signal }) => read(await (await send("/metrics", { signal })).text(), Date.now() / 1_000),
    refetchInterval: EVERY_MS,
    gcTime: 0,
  });
  useEffect(() => {
    const moment = now.data;
    if (moment) setMoments((before) => [...before, moment].slice(-KEPT));
  }, [now.data]);
  return { moments, error: now.error };
}

/** What of the Prometheus text is shown here. */
export function read(text: string, at: number): Moment {
  const moment: Moment = { at, classes: {}, refused: {}, histogram: new Map() };
  for (const line of text.split("\n")) {
    const found = /^portcullis_(\w+?)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const [, name, labels = "", number = "0"] = found;
    const value = Number(number);
    if (name === "requests_total") {
      add(moment.classes, label(labels, "status"), value);
    } else if (name === "refused_total") {
      add(moment.refused, label(labels, "code"), value);
    } else if (name === "request_duration_seconds_bucket") {
      const bound = label(labels, "le") === "+Inf" ? Number.POSITIVE_INFINITY : Number(label(labels, "le"));
      moment.histogram.set(bound, (moment.histogram.get(bound) ?? 0) + value);
    }
  }
  return moment;
}

function label(labels: string, name: string): string {
  return new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? "";
}

function add(counts: Record<string, number>, name: string, value: number): void {
  counts[name] = (counts[name] ?? 0) + value;
}
