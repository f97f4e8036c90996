// Counts by time, as the gate tells them, put together for a chart or a table.

import type { UsageBucket } from "../api";
import { CLASS_COLORS, type Series, versionColor } from "./chart";

/** `status` is what admitted requests were answered, `outcome` that and those that were refused. */
export type By = "version" | "status" | "outcome" | "route";

interface Counted {
  to: string;
  buckets: UsageBucket[];
}

export function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((all, each) => all + each, 0);
}

/** What a bucket counts towards each name of a group. */
function counted(bucket: UsageBucket, by: By): [string, number][] {
  if (by === "status") return Object.entries(bucket.status);
  if (by === "outcome") return [...Object.entries(bucket.status), ["refused", sum(bucket.refused)]];
  if (by === "route") return [[bucket.route ?? "no route", bucket.requests]];
  return [[bucket.version === null ? "no version" : `v${bucket.version}`, bucket.requests]];
}

export function sums(usage: Counted, by: By): [string, number][] {
  const all = new Map<string, number>();
  for (const bucket of usage.buckets) {
    for (const [name, requests] of counted(bucket, by)) {
      all.set(name, (all.get(name) ?? 0) + requests);
    }
  }
  return [...all];
}

const PALETTE = ["--c1", "--c2", "--c3", "--c4", "--c5"];

/** The buckets as series on a whole grid of times: what the gate leaves out is zero. */
export function grouped(usage: Counted, by: By, ms: number, stepMs: number): { times: number[]; series: Series[] } {
  const end = Date.parse(usage.to);
  const last = Math.floor(end / stepMs) * stepMs;
  const steps = Math.ceil(ms / stepMs) + 1;
  const starts = Array.from({ length: steps }, (_, at) => last - (steps - 1 - at) * stepMs);
  const place = new Map(starts.map((start, at) => [start, at]));
  const named = new Map<string, number[]>();
  for (const bucket of usage.buckets) {
    const at = place.get(Math.floor(Date.parse(bucket.start) / stepMs) * stepMs);
    if (at === undefined) continue;
    for (const [name, requests] of counted(bucket, by)) {
      if (requests === 0) continue;
      const values = named.get(name) ?? new Array<number>(steps).fill(0);
      values[at] = (values[at] ?? 0) + requests;
      named.set(name, values);
    }
  }
  const names = [...named.keys()].sort();
  const color = (name: string, at: number) => {
    if (by === "status" || by === "outcome") return CLASS_COLORS[name] ?? "--c5";
    if (by === "version") return versionColor(Number(name.slice(1)) || null);
    return PALETTE[at % PALETTE.length] ?? "--c1";
  };
  return {
    times: starts.map((start) => start / 1_000),
    series: names.map((name, at) => ({ name, color: color(name, at), values: named.get(name) ?? [] })),
  };
}
