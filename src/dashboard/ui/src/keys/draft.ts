// What a form knows of a key, and what the API is told of it.

import type { Key, OwnerType, Quota, RateLimit } from "../api";
import { endOfDay } from "./rotate";

export interface RateRow {
  number: string;
  unit: string;
  burst: string;
  mode: string;
  enforce: string;
}

export interface QuotaRow {
  limit: string;
  per: string;
  on_day: number | null;
  hard: boolean;
}

export interface Draft {
  name: string;
  description: string;
  env: string;
  products: string[];
  scopes: string;
  allowed_methods: string;
  allowed_paths: string;
  allowed_ips: string;
  rates: RateRow[];
  quotas: QuotaRow[];
  concurrency: string;
  risk: string;
  /** A day, or the exact end it had before. */
  expires: string;
  labels: string;
  protected: boolean;
  self_rotation: boolean;
}

export type Holder = { id: string; name: string } | { name: string; type: OwnerType };

export const BLANK: Draft = {
  name: "",
  description: "",
  env: "",
  products: [],
  scopes: "",
  allowed_methods: "",
  allowed_paths: "",
  allowed_ips: "",
  rates: [],
  quotas: [],
  concurrency: "",
  risk: "standard",
  expires: "",
  labels: "",
  protected: false,
  self_rotation: false,
};

export const UNITS = ["second", "minute", "hour", "day"];
export const PERIODS = ["day", "week", "month", "total"];

export function rateRows(limits: RateLimit[]): RateRow[] {
  return limits.map((limit) => {
    const [number = "", unit = "second"] = limit.rate.split("/");
    return { number, unit, burst: String(limit.burst), mode: limit.mode, enforce: limit.enforce };
  });
}

export function quotaRows(quotas: Quota[]): QuotaRow[] {
  return quotas.map(({ limit, per, on_day, hard }) => ({ limit: String(limit), per, on_day, hard }));
}

export function toRates(rows: RateRow[]) {
  return rows.map((row) => ({
    rate: `${row.number.trim()}/${row.unit}`,
    ...(row.burst.trim() === "" ? {} : { burst: Number(row.burst) }),
    mode: row.mode,
    enforce: row.enforce,
  }));
}

export function toQuotas(rows: QuotaRow[]) {
  return rows.map((row) => ({
    limit: Number(row.limit),
    per: row.per,
    hard: row.hard,
    ...(row.on_day === null ? {} : { on_day: row.on_day }),
  }));
}

/** Words parted by commas, spaces or lines. */
export function words(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== "");
}

export function draftOf(key: Key): Draft {
  return {
    name: key.name,
    description: key.description ?? "",
    env: key.env,
    products: key.products,
    scopes: key.scopes.join(", "),
    allowed_methods: key.allowed_methods.join(", "),
    allowed_paths: key.allowed_paths.join(", "),
    allowed_ips: key.allowed_ips.join(", "),
    rates: rateRows(key.rate_limits),
    quotas: quotaRows(key.quotas),
    concurrency: key.concurrency === null ? "" : String(key.concurrency),
    risk: key.risk,
    expires: key.expires_at === null ? "" : localDay(key.expires_at),
    labels: Object.entries(key.labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(", "),
    protected: key.protected,
    self_rotation: key.self_rotation,
  };
}

/** What another key of the same people is begun with: all but what is this one's own. */
export function templateOf(key: Key): Draft {
  return { ...draftOf(key), name: "", description: "", expires: "", protected: false };
}

function localDay(at: string): string {
  const date = new Date(at);
  const two = (number: number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

function labelsOf(text: string): Record<string, string> {
  const pairs = text
    .split(/[,\n]/)
    .map((pair) => pair.trim())
    .filter((pair) => pair !== "");
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      return at < 0 ? [pair, ""] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    }),
  );
}

/** All that can be changed of a key. */
function fields(draft: Draft) {
  return {
    name: draft.name.trim(),
    description: draft.description.trim() === "" ? null : draft.description.trim(),
    products: draft.products,
    scopes: words(draft.scopes),
    allowed_methods: words(draft.allowed_methods).map((method) => method.toUpperCase()),
    allowed_paths: words(draft.allowed_paths),
    allowed_ips: words(draft.allowed_ips),
    rate_limits: toRates(draft.rates),
    quotas: toQuotas(draft.quotas),
    concurrency: draft.concurrency.trim() === "" ? null : Number(draft.concurrency),
    risk: draft.risk,
    expires_at: endOfDay(draft.expires),
    labels: labelsOf(draft.labels),
    protected: draft.protected,
    self_rotation: draft.self_rotation,
  };
}

/** What makes the key. */
export function creation(draft: Draft, holder: Holder): Record<string, unknown> {
  const said = Object.entries(fields(draft)).filter(([, value]) => value !== null);
  return {
    ...Object.fromEntries(said),
    ...(draft.env.trim() === "" ? {} : { env: draft.env.trim() }),
    ...("id" in holder ? { owner_id: holder.id } : { owner: holder }),
  };
}

/** What was changed, and nothing else. */
export function patch(before: Draft, after: Draft): Record<string, unknown> {
  const [old, now] = [fields(before), fields(after)];
  const changed = Object.entries(now).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(old[name as keyof typeof old]),
  );
  return Object.fromEntries(changed);
}
