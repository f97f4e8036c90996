// The admin API as the dashboard sees it: its shapes, and one way to call it.

export type Role = "viewer" | "operator" | "admin";
export type KeyStatus = "active" | "suspended" | "expired" | "revoked";
export type OwnerType = "user" | "team" | "system";

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface Owner {
  id: string;
  name: string;
  type: OwnerType;
  created_at: string;
  disabled_at: string | null;
}

export interface RateLimit {
  rate: string;
  burst: number;
  mode: string;
  enforce: string;
}

export interface Quota {
  limit: number;
  per: string;
  on_day: number | null;
  hard: boolean;
  used: number | null;
  renews_at: string | null;
}

export interface Version {
  number: number;
  fingerprint: string;
  state: "pending" | "current" | "previous" | "retired" | "revoked";
  created_at: string;
  activated_at: string | null;
  retires_at: string | null;
  last_used_at: string | null;
}

export interface Key {
  id: string;
  name: string;
  description: string | null;
  owner: { id: string; name: string; type: OwnerType };
  env: string;
  products: string[];
  scopes: string[];
  allowed_methods: string[];
  allowed_paths: string[];
  allowed_ips: string[];
  rate_limits: RateLimit[];
  concurrency: number | null;
  quotas: Quota[];
  risk: "high" | "standard" | "low";
  expires_at: string | null;
  metadata: Record<string, unknown>;
  labels: Record<string, string>;
  protected: boolean;
  self_rotation: boolean;
  rotation: { interval_days: number; keep_previous: boolean; grace: string; next_at: string | null } | null;
  status: KeyStatus;
  badges: string[];
  created_at: string;
  created_by: string;
  last_rotated_at: string | null;
  last_used_at: string | null;
  version: number | null;
  fingerprint: string | null;
  versions: Version[];
}

export interface Previous {
  number: number;
  fingerprint: string;
  retires_at: string | null;
}

export interface KeyCreated {
  key: Key;
  /** `null` where the call repeats one that was answered before. */
  secret: string | null;
  previous: Previous | null;
  sink?: { name: string; delivered: boolean } | null;
}

/** How far a revocation has come. */
export interface Revocation {
  /** `null` while the store is away. */
  revision: number | null;
  durable_on: string[];
  applied_on: string[];
  pending: { node: string; last_contact_at: string | null; stops_by: string | null }[];
}

export interface OwnerDisabled {
  owner: Owner;
  revoked: number;
  tokens_ended: number;
  under_way: boolean;
  revocation: Revocation;
}

export interface UsageCounts {
  requests: number;
  refused: Record<string, number>;
  status: Record<string, number>;
  cost: number;
  bytes_in: number;
  bytes_out: number;
}

export interface Usage {
  key_id: string;
  from: string;
  to: string;
  step: string;
  last_used_at: string | null;
  total: UsageCounts;
  buckets: UsageBucket[];
}

export interface UsageBucket extends UsageCounts {
  start: string;
  version: number | null;
  route: string | null;
}

/** What one gate remembers of all keys together. */
export interface Summary {
  node: string;
  from: string;
  to: string;
  keys: number;
  total: UsageCounts;
  buckets: UsageBucket[];
  top_keys: { key_id: string; name: string | null; owner_id: string | null; counts: UsageCounts }[];
  routes: { route: string; counts: UsageCounts }[];
}

export interface KeyTested {
  admitted: boolean;
  status: number | null;
  code: string | null;
  detail: string | null;
  route: string | null;
  upstream: string | null;
  path: string | null;
  version: number | null;
  limits: { name: string; rate: string; burst: number; remaining: number; whole_in_ms: number; enforced: boolean }[];
  quotas: { name: string; limit: number; per: string; remaining: number; renews_at: string | null; hard: boolean }[];
}

export interface AuditEntry {
  id: string;
  seq?: number;
  timestamp: string;
  type: string;
  outcome: "done" | "refused";
  code: string | null;
  actor?: { type: string; id: string; name: string };
  key_id: string | null;
  key_version: number | null;
  owner_id: string | null;
  address: string | null;
  request_id: string | null;
  reason?: string | null;
  changes?: { field: string; from: unknown; to: unknown }[];
  old_version?: number;
  old_fingerprint?: string;
  new_fingerprint?: string;
  grace?: string;
  route?: string | null;
  method?: string;
  path?: string;
  status?: number;
  node?: string;
  count?: number;
  until?: string | null;
  hash?: string;
}

export interface Verdict {
  valid: boolean;
  entries: number;
  last: number | null;
  fault: { seq: number; kind: string } | null;
  signers: { node: string; public_key: string; last: number; known: boolean }[];
}

export interface Product {
  id: string | null;
  name: string;
  description: string | null;
  scopes: string[];
  routes: string[];
  rate_limits: RateLimit[];
  quotas: Quota[];
  source: "config" | "api";
  created_at: string | null;
}

/** At most one of these; none stands for all keys. */
export interface Selector {
  key_id?: string;
  owner?: string;
  product?: string;
  label?: string;
  risk?: string;
}

export interface PolicyTerms {
  max_age: string | null;
  require_expiry: boolean;
  require_description: boolean;
  require_reason: boolean;
  owner_types: OwnerType[];
  allowed_scopes: string[] | null;
  unused_alert_after: string | null;
  stale_after: string | null;
  revoke_unused_after: string | null;
  revoke_warning: string | null;
}

export interface Policy extends PolicyTerms {
  id: string;
  name: string;
  description: string | null;
  enabled: boolean;
  selector: Selector | null;
  created_at: string;
  source: string;
}

export interface Preview {
  keys: number;
  revoked: number;
  violating: number;
  items: {
    key_id: string;
    key_name: string;
    owner_id: string;
    last_used_at: string | null;
    unused: boolean;
    stale: boolean;
    revoked_at: string | null;
    violations: Fault[];
  }[];
}

export interface RotationRule {
  id: string;
  interval_days: number;
  keep_previous: boolean;
  grace: string;
  selector: Selector | null;
  due: number | null;
}

export interface Token {
  id: string;
  name: string;
  role: Role;
  owner_id: string | null;
  fingerprint: string;
  created_at: string;
  expires_at: string | null;
  revoked_at: string | null;
}

export interface Status {
  node: string;
  version: string;
  ready: boolean;
  keys: number;
  store: { kind: string; state: string; revision: number; last_contact_at: string | null; staleness_ms: number | null };
  usage: { queued: number; spooled: number; lost: number };
  limits: { leases: number; away: boolean };
  nodes: { node: string; state: string; revision: number; last_contact_at: string | null }[];
  quarantined: number;
  config: { loaded_at: string; digest: string };
  alarms: { code: string; detail: string; since: string }[];
}

export interface Finished {
  time: string;
  request_id: string;
  node: string;
  client: string;
  method: string;
  host: string | null;
  path: string;
  route: string | null;
  status: number;
  code: string | null;
  key_id: string | null;
  key_version: number | null;
  owner_id: string | null;
  duration_ms: number;
}

/** Who is signed in, if anybody. */
export interface Signed {
  session: Session | null;
}

export interface Session {
  actor: { type: string; id: string; name: string };
  role: Role;
  owner: Owner | null;
}

export interface SignIn {
  path: string;
  expires_at: string;
}

export interface Fault {
  pointer: string;
  code: string;
  detail: string;
}

/** An answer that is a no. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly errors: Fault[],
    readonly requestId: string | null,
  ) {
    super(detail);
  }

  /** What was wrong with one field of the body, if anything. */
  at(pointer: string): string | undefined {
    return this.errors.find((fault) => fault.pointer === pointer || fault.pointer.startsWith(`${pointer}/`))?.detail;
  }
}

type Query = Record<string, string | number | boolean | null | undefined>;

/** A path with its query; what is empty is left out. */
export function url(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") {
      params.set(name, String(value));
    }
  }
  const text = params.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** A segment of a path. */
export const seg = encodeURIComponent;

let heldToken: string | null = null;
let onSignedOut: () => void = () => undefined;

/**
 * Holds a token for as long as this page lives: for browsers that keep no secure cookie over plain HTTP,
 * not even of this very machine.
 */
export function holdToken(token: string | null): void {
  heldToken = token;
}

/** What is done when the gate no longer knows who is calling. */
export function whenSignedOut(then: () => void): void {
  onSignedOut = then;
}

interface Asked {
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  token?: string;
}

/** Sends a call and gives its answer as it came, or throws the [`Problem`] it is. */
export async function send(path: string, asked: Asked = {}): Promise<Response> {
  const headers: Record<string, string> = { ...asked.headers };
  const token = asked.token ?? heldToken;
  if (token !== null) {
    headers["Authorization"] = `Bearer ${token}`;
  }
  const init: RequestInit = { method: asked.method ?? "GET", headers, credentials: "same-origin" };
  if (asked.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(asked.body);
  }
  if (asked.signal) {
    init.signal = asked.signal;
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") {
      throw error;
    }
    throw new Problem(0, "unreachable", "The gate does not answer.", [], null);
  }
  if (response.ok) {
    return response;
  }
  const problem = await problemOf(response);
  if (problem.status === 401 && path !== SESSION) {
    onSignedOut();
  }
  throw problem;
}

/** Calls and reads the answer as JSON. */
export async function call<T>(path: string, asked: Asked = {}): Promise<T> {
  const response = await send(path, asked);
  return (await response.json()) as T;
}

/** A text no two calls share, so that a call that is sent twice is done once. */
export function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function problemOf(response: Response): Promise<Problem> {
  const id = response.headers.get("x-request-id");
  try {
    const body = (await response.json()) as { code?: string; detail?: string; title?: string; errors?: Fault[] };
    const detail = body.detail ?? body.title ?? response.statusText;
    return new Problem(response.status, body.code ?? "unknown", detail, body.errors ?? [], id);
  } catch {
    return new Problem(response.status, "unknown", `The gate answered ${response.status}.`, [], id);
  }
}

export const SESSION = "/admin/session";
