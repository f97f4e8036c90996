// What a key was used for: over time, by version, status and route; from where, and what failed.

import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";

import { type AuditEntry, call, type Page, seg, type Usage, url } from "../api";
import { type By, grouped, sum, sums } from "../parts/buckets";
import { Chart } from "../parts/chart";
import { Segmented } from "../parts/fields";
import { Loaded } from "../parts/list";
import { bytes, count, words } from "../parts/numbers";
import { Ago } from "../parts/time";
import { Badge, Empty, Failure, Loading, Panel, Table } from "../parts/ui";

const SPANS = {
  "1h": { name: "Hour", ms: 3_600_000, step: "1m", stepMs: 60_000 },
  "24h": { name: "Day", ms: 86_400_000, step: "1h", stepMs: 3_600_000 },
  "30d": { name: "30 days", ms: 30 * 86_400_000, step: "1d", stepMs: 86_400_000 },
} as const;

type Span = keyof typeof SPANS;

export function UsagePanels({ id }: { id: string }) {
  const [span, setSpan] = useState<Span>("24h");
  const [by, setBy] = useState<By>("version");
  const chosen = SPANS[span];
  const usage = useQuery({
    queryKey: ["usage", id, "over-time", span],
    queryFn: ({ signal }) => {
      const from = new Date(Date.now() - chosen.ms).toISOString();
      return call<Usage>(url(`/admin/keys/${seg(id)}/usage`, { from, step: chosen.step, by: "version,status,route" }), { signal });
    },
    refetchInterval: span === "1h" ? 10_000 : 60_000,
  });
  const drawn = useMemo(() => (usage.data ? grouped(usage.data, by, chosen.ms, chosen.stepMs) : null), [usage.data, by, chosen]);
  return (
    <>
      <Panel
        title="Requests over time"
        actions={
          <div className="row wrap">
            <Segmented
              label="By"
              value={by}
              options={[
                { value: "version", label: "Version" },
                { value: "status", label: "Status" },
                { value: "route", label: "Route" },
              ]}
              onChange={setBy}
            />
            <Segmented
              label="Time"
              value={span}
              options={(Object.keys(SPANS) as Span[]).map((value) => ({ value, label: SPANS[value].name }))}
              onChange={setSpan}
            />
          </div>
        }
      >
        {usage.error ? (
          <Failure error={usage.error} retry={() => void usage.refetch()} />
        ) : !usage.data || !drawn ? (
          <Loading />
        ) : (
          <>
            <div className="figures">
              <Figure name="Admitted" value={count(usage.data.total.requests)} />
              <Figure name="Refused" value={count(sum(usage.data.total.refused))} />
              <Figure name="Received" value={bytes(usage.data.total.bytes_in)} />
              <Figure name="Sent" value={bytes(usage.data.total.bytes_out)} />
            </div>
            {drawn.series.length === 0 ? (
              <Empty title="No requests in this time." />
            ) : (
              <Chart
                label={`Requests over time by ${by}; the table below has the sums`}
                times={drawn.times}
                series={drawn.series}
                kind="bars"
                format={count}
              />
            )}
          </>
        )}
      </Panel>
      {usage.data && drawn && drawn.series.length > 0 && (
        <Panel title="Sums">
          <div className="three">
            <Sums name="Version" rows={sums(usage.data, "version")} />
            <Sums name="Status" rows={Object.entries(usage.data.total.status)} />
            <Sums name="Route" rows={sums(usage.data, "route")} />
          </div>
          {sum(usage.data.total.refused) > 0 && (
            <Sums name="Refused for" rows={Object.entries(usage.data.total.refused).map(([code, n]) => [words(code), n])} />
          )}
        </Panel>
      )}
      <Traces id={id} />
    </>
  );
}

export function Figure({ name, value, tone }: { name: string; value: string; tone?: "good" | "bad" | "warn" | undefined }) {
  return (
    <div className={`figure ${tone ?? ""}`}>
      <span className="figure-value">{value}</span>
      <span className="figure-name">{name}</span>
    </div>
  );
}

function Sums({ name, rows }: { name: string; rows: [string, number][] }) {
  return (
    <table className="sums">
      <thead>
        <tr>
          <th scope="col">{name}</th>
          <th scope="col" className="number">
            Requests
          </th>
        </tr>
      </thead>
      <tbody>
        {rows
          .filter(([, requests]) => requests > 0)
          .sort(([, a], [, b]) => b - a)
          .map(([what, requests]) => (
            <tr key={what}>
              <td>{what}</td>
              <td className="number">{count(requests)}</td>
            </tr>
          ))}
      </tbody>
    </table>
  );
}

/** Its last addresses, and the attempts that failed. */
function Traces({ id }: { id: string }) {
  const requests = useQuery({
    queryKey: ["traces", id],
    queryFn: ({ signal }) =>
      call<Page<AuditEntry>>(url("/admin/audit-logs", { type: "request", key_id: id, limit: 200 }), { signal }),
    refetchInterval: 15_000,
  });
  const refused = useQuery({
    queryKey: ["failed", id],
    queryFn: ({ signal }) =>
      call<Page<AuditEntry>>(url("/admin/audit-logs", { type: "request", key_id: id, outcome: "refused", limit: 50 }), { signal }),
    refetchInterval: 15_000,
  });
  return (
    <div className="two">
      <Panel title="Last addresses">
        <Loaded of={requests}>{({ items }) => <Addresses entries={items} />}</Loaded>
      </Panel>
      <Panel title="Failed attempts">
        <Loaded of={refused}>{({ items }) => <Refused entries={items} />}</Loaded>
      </Panel>
    </div>
  );
}

function Addresses({ entries }: { entries: AuditEntry[] }) {
  const seen = new Map<string, { requests: number; last: string }>();
  for (const entry of entries) {
    if (entry.address === null) continue;
    const before = seen.get(entry.address);
    seen.set(entry.address, {
      requests: (before?.requests ?? 0) + (entry.count ?? 1),
      // The newest comes first.
      last: before?.last ?? entry.timestamp,
    });
  }
  if (seen.size === 0) {
    return <Empty title="None that is kept in the audit log." />;
  }
  return (
    <Table label="Last addresses" columns={["Address", "Last seen", { name: "Entries", className: "number" }]}>
      {[...seen].slice(0, 20).map(([address, { requests, last }]) => (
        <tr key={address}>
          <th scope="row">
            <code>{address}</code>
          </th>
          <td>
            <Ago at={last} />
          </td>
          <td className="number">{count(requests)}</td>
        </tr>
      ))}
    </Table>
  );
}

function Refused({ entries }: { entries: AuditEntry[] }) {
  if (entries.length === 0) {
    return <Empty title="None." />;
  }
  return (
    <Table label="Failed attempts" columns={["When", "Why", "Request", "From"]}>
      {entries.slice(0, 20).map((entry) => (
        <tr key={entry.id}>
          <td>
            <Ago at={entry.timestamp} />
          </td>
          <td>
            <Badge tone="bad">{entry.code ? words(entry.code) : entry.status}</Badge>
            {(entry.count ?? 1) > 1 && <span className="muted"> × {count(entry.count ?? 1)}</span>}
          </td>
          <td>
            <code className="request">
              {entry.method} {entry.path}
            </code>
            <span className="under">version {entry.key_version ?? "–"}</span>
          </td>
          <td>
            <code>{entry.address ?? "–"}</code>
          </td>
        </tr>
      ))}
    </Table>
  );
}
