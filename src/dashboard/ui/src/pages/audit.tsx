// The audit log: what was done and refused, by whom and why; whether its chain is whole; and its export.

import { useQuery } from "@tanstack/react-query";
import { Download, ShieldCheck, ShieldX } from "lucide-react";
import { Fragment, useState } from "react";
import { Link } from "wouter";

import { type AuditEntry, call, seg, url, type Verdict } from "../api";
import { Downloads } from "../parts/download";
import { useFilters } from "../parts/filters";
import { Listing, useList } from "../parts/list";
import { count, words } from "../parts/numbers";
import { Ago } from "../parts/time";
import { Badge, Button, Empty, Failure, Fingerprint, PageHead, Table } from "../parts/ui";
import { useIsBound } from "../session";

const TYPES = [
  [
    "Keys",
    [
      "key_creation",
      "key_update",
      "key_rotation",
      "key_activation",
      "key_retirement",
      "key_suspension",
      "key_resumption",
      "key_revocation",
      "key_expiry",
      "key_import",
    ],
  ],
  ["Owners", ["owner_creation", "owner_update", "owner_disable", "owner_erasure"]],
  ["Tokens and sessions", ["token_creation", "token_update", "token_revocation", "session"]],
  [
    "Products and policies",
    ["product_creation", "product_update", "product_deletion", "policy_creation", "policy_update", "policy_deletion"],
  ],
  ["The gate", ["config", "store", "request"]],
] as const;

const FILTERS = ["type", "outcome", "key_id", "actor", "start_date", "end_date"] as const;

export function Audit() {
  const filters = useFilters(FILTERS);
  const { values, set } = filters;
  const isBound = useIsBound();
  return (
    <>
      <PageHead title="Audit log" sub="Every change and every refused attempt, with who, when and why.">
        <Export query={values} />
      </PageHead>
      {!isBound && <Chain />}
      <form
        className="toolbar filters"
        role="search"
        aria-label="Filter the audit log"
        key={JSON.stringify(values)}
        onSubmit={(event) => {
          event.preventDefault();
          filters.take(new FormData(event.currentTarget));
        }}
      >
        <label className="stacked">
          <span>Type</span>
          <select name="type" defaultValue={values.type ?? ""} onChange={(event) => set("type", event.currentTarget.value)}>
            <option value="">All</option>
            {TYPES.map(([group, types]) => (
              <optgroup key={group} label={group}>
                {types.map((type) => (
                  <option key={type} value={type}>
                    {words(type)}
                  </option>
                ))}
              </optgroup>
            ))}
          </select>
        </label>
        <label className="stacked">
          <span>Outcome</span>
          <select name="outcome" defaultValue={values.outcome ?? ""} onChange={(event) => set("outcome", event.currentTarget.value)}>
            <option value="">All</option>
            <option value="done">Done</option>
            <option value="refused">Refused</option>
          </select>
        </label>
        <label className="stacked">
          <span>From</span>
          <input type="date" name="start_date" defaultValue={values.start_date ?? ""} />
        </label>
        <label className="stacked">
          <span>To</span>
          <input type="date" name="end_date" defaultValue={values.end_date ?? ""} />
        </label>
        <label className="stacked">
          <span>Key id</span>
          <input name="key_id" className="mono" placeholder="key_…" defaultValue={values.key_id ?? ""} />
        </label>
        <label className="stacked">
          <span>Actor id</span>
          <input name="actor" className="mono" placeholder="tok_…" defaultValue={values.actor ?? ""} />
        </label>
        <Button type="submit">Filter</Button>
        {filters.isAny && (
          <Button kind="quiet" onClick={() => filters.clear()}>
            Clear
          </Button>
        )}
      </form>
      <Entries query={values} />
    </>
  );
}

/** Whether the chain of hashes is whole. */
function Chain() {
  const verdict = useQuery({
    queryKey: ["audit", "verify"],
    queryFn: ({ signal }) => call<Verdict>("/admin/audit-logs/verify", { signal }),
    staleTime: 60_000,
  });
  if (verdict.error) return <Failure error={verdict.error} retry={() => void verdict.refetch()} />;
  const found = verdict.data;
  return (
    <div className={`chain ${found ? (found.valid ? "good" : "bad") : ""}`} role="status">
      {found && !found.valid ? <ShieldX /> : <ShieldCheck />}
      <span>
        {!found
          ? "Walking the chain of hashes…"
          : found.valid
            ? `The chain is whole: ${count(found.entries)} entries, none changed, removed, inserted or moved.`
            : `The chain is broken at entry ${found.fault?.seq}: ${found.fault ? words(found.fault.kind) : "unknown"}.`}
      </span>
      <Button kind="quiet" busy={verdict.isFetching} onClick={() => void verdict.refetch()}>
        Verify again
      </Button>
    </div>
  );
}

function Export({ query }: { query: Record<string, string | null> }) {
  const file = (format: "csv" | "ndjson", type: string) => ({
    page: (cursor: string | null) => url("/admin/audit-logs", { ...query, format, limit: 1_000, cursor }),
    name: `portcullis-audit.${format}`,
    type,
  });
  return (
    <Downloads>
      {(start) => (
        <>
          <Button onClick={() => start(file("csv", "text/csv"))}>
            <Download /> CSV
          </Button>
          <Button onClick={() => start(file("ndjson", "application/x-ndjson"))}>
            <Download /> NDJSON
          </Button>
        </>
      )}
    </Downloads>
  );
}

/** Entries as a table; one opens to all that is known of it. */
export function Entries({ query }: { query: Record<string, string | null> }) {
  const list = useList<AuditEntry>("/admin/audit-logs", { ...query, limit: 50 }, { refetchInterval: 15_000 });
  const [open, setOpen] = useState<string | null>(null);
  return (
    <Listing of={list} rows={6} className="panel flush" empty={<Empty title="Nothing is like that." />}>
      {(entries) => (
        <Table label="Audit entries" columns={["When", "What", "Who", "Key", "Why", "From", { name: "More", isSaidOnly: true }]}>
          {entries.map((entry) => (
            <Fragment key={entry.id}>
              <tr>
                <td>
                  <Ago at={entry.timestamp} />
                </td>
                <td>
                  {words(entry.type)}{" "}
                  {entry.outcome === "refused" && <Badge tone="bad">{entry.code ? words(entry.code) : "refused"}</Badge>}
                  {entry.type === "request" && (
                    <span className="under mono">
                      {entry.method} {entry.path}
                    </span>
                  )}
                </td>
                <td>{entry.actor?.name ?? <span className="muted">client</span>}</td>
                <td>
                  {entry.key_id ? (
                    <Link href={`/keys/${seg(entry.key_id)}`} className="mono">
                      {entry.key_id}
                    </Link>
                  ) : (
                    <span className="muted">–</span>
                  )}
                  {entry.key_version !== null && <span className="under">version {entry.key_version}</span>}
                </td>
                <td className="why">{entry.reason ?? <span className="muted">–</span>}</td>
                <td>
                  <code>{entry.address ?? "–"}</code>
                </td>
                <td className="number">
                  <Button
                    kind="quiet"
                    aria-expanded={open === entry.id}
                    aria-label={`${open === entry.id ? "Less" : "More"} of ${words(entry.type)}, ${entry.id}`}
                    onClick={() => setOpen(open === entry.id ? null : entry.id)}
                  >
                    {open === entry.id ? "Less" : "More"}
                  </Button>
                </td>
              </tr>
              {open === entry.id && (
                <tr className="opened">
                  <td colSpan={7}>
                    <Whole of={entry} />
                  </td>
                </tr>
              )}
            </Fragment>
          ))}
        </Table>
      )}
    </Listing>
  );
}

function Whole({ of: entry }: { of: AuditEntry }) {
  const facts: [string, React.ReactNode][] = [["Id", <code key="id">{entry.id}</code>]];
  if (entry.seq !== undefined) facts.push(["Place in the chain", entry.seq]);
  if (entry.actor) facts.push(["Actor", `${entry.actor.name} (${entry.actor.type} ${entry.actor.id})`]);
  if (entry.request_id) facts.push(["Request", <code key="request">{entry.request_id}</code>]);
  if (entry.node) facts.push(["Gate", entry.node]);
  if (entry.route) facts.push(["Route", entry.route]);
  if (entry.status) facts.push(["Status", entry.status]);
  if (entry.count && entry.count > 1) facts.push(["Requests alike", count(entry.count)]);
  if (entry.old_fingerprint) {
    facts.push(["Old secret", <Fingerprint key="old" of={entry.old_fingerprint} />]);
    facts.push(["New secret", <Fingerprint key="new" of={entry.new_fingerprint ?? null} />]);
  }
  if (entry.grace) facts.push(["Old one worked for", entry.grace]);
  if (entry.hash)
    facts.push([
      "Hash",
      <code key="hash" className="hash">
        {entry.hash}
      </code>,
    ]);
  return (
    <div className="whole">
      <dl className="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {entry.changes && entry.changes.length > 0 && (
        <table className="sums">
          <thead>
            <tr>
              <th scope="col">Field</th>
              <th scope="col">From</th>
              <th scope="col">To</th>
            </tr>
          </thead>
          <tbody>
            {entry.changes.map((change) => (
              <tr key={change.field}>
                <td>{change.field}</td>
                <td className="mono">{shown(change.from)}</td>
                <td className="mono">{shown(change.to)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}
