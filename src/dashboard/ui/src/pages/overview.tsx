// What happens now and of late: requests, refusals, latency, the busiest keys and routes, and how the gates are.

import { useQuery } from "@tanstack/react-query";
import { Pause, Play } from "lucide-react";
import { type ReactNode, useMemo } from "react";
import { Link } from "wouter";

import { call, type Finished, type Key, seg, type Status, type Summary, url, type UsageCounts } from "../api";
import { Figure } from "../keys/usage";
import { grouped, sum } from "../parts/buckets";
import { Chart, CLASS_COLORS } from "../parts/chart";
import { Loaded } from "../parts/list";
import { useLive } from "../parts/live";
import { type Moment, useMoments } from "../parts/metrics";
import { count, duration, plural, rate, words } from "../parts/numbers";
import { Ago } from "../parts/time";
import { Badge, Button, Empty, Failure, Loading, Notice, PageHead, Panel, Table } from "../parts/ui";

/** How many keys and routes are told of. */
const BUSIEST = 8;
const HOUR_MS = 3_600_000;

export function Overview() {
  const status = useQuery({
    queryKey: ["status"],
    queryFn: ({ signal }) => call<Status>("/admin/status", { signal }),
    refetchInterval: 5_000,
  });
  const summary = useQuery({
    queryKey: ["summary"],
    queryFn: ({ signal }) => call<Summary>(url("/admin/usage/summary", { top: BUSIEST }), { signal }),
    refetchInterval: 5_000,
  });
  const { moments, error } = useMoments();
  const live = useLive();
  return (
    <>
      <PageHead title="Overview" sub={status.data ? `What the gate ${status.data.node} does now.` : "What the gate does now."} />
      {status.data?.alarms.map((alarm) => (
        <Notice tone="bad" key={alarm.code}>
          <b>{words(alarm.code)}</b>: {alarm.detail}, since <Ago at={alarm.since} />.
        </Notice>
      ))}
      {error !== null && <Failure error={error} />}
      {moments.length < 2 ? error === null && <Loading rows={4} /> : <Traffic moments={moments} />}
      <Loaded of={summary} rows={4}>
        {(hour) => (
          <>
            <Panel title="The last hour" actions={<span className="muted small">{plural(hour.keys, "key")} used at {hour.node}</span>}>
              <LastHour of={hour} />
            </Panel>
            <div className="two">
              <Panel title="Busiest keys" actions={<Link href="/keys?stale=true">Potentially stale keys</Link>}>
                <Busiest
                  what="Key"
                  rows={hour.top_keys.map(({ key_id: id, name, counts }) => ({
                    id,
                    name: <Link href={`/keys/${seg(id)}/usage`}>{name ?? <code>{id}</code>}</Link>,
                    counts,
                  }))}
                />
              </Panel>
              <Panel title="Busiest routes">
                <Busiest
                  what="Route"
                  rows={hour.routes.slice(0, BUSIEST).map(({ route, counts }) => ({ id: route, name: route, counts }))}
                />
              </Panel>
            </div>
          </>
        )}
      </Loaded>
      <Panel title="Gates and store">
        <Loaded of={status}>{(found) => <Health of={found} />}</Loaded>
      </Panel>
      <Panel
        title="Requests as they finish"
        className="flush"
        actions={
          <Button onClick={live.toggle} aria-pressed={live.isPaused}>
            {live.isPaused ? <Play /> : <Pause />}
            {live.isPaused ? "Go on" : "Pause"}
          </Button>
        }
      >
        {live.error !== null && <Failure error={live.error} />}
        {live.dropped > 0 && <p className="hint pad">{plural(live.dropped, "request")} went by too fast to be shown.</p>}
        {live.missing.length > 0 && (
          <p className="hint pad">Not answering, so not shown: {live.missing.join(", ")}.</p>
        )}
        <Finishing requests={live.requests} />
      </Panel>
    </>
  );
}

function Traffic({ moments }: { moments: Moment[] }) {
  const drawn = useMemo(() => series(moments), [moments]);
  const last = drawn.times.length - 1;
  const perSecond = Object.values(drawn.classes).reduce((sum, values) => sum + (values[last] ?? 0), 0);
  const lately = drawn.quantiles;
  return (
    <>
      <div className="figures">
        <Figure name="Requests a second" value={rate(perSecond)} />
        <Figure name="Refused a second" value={rate(drawn.refusedNow)} tone={drawn.refusedNow > 0 ? "warn" : undefined} />
        <Figure name="Half are faster than" value={lately ? duration(lately.p50) : "–"} />
        <Figure name="99 of 100 are faster than" value={lately ? duration(lately.p99) : "–"} />
      </div>
      <div className="two">
        <Panel title="Requests a second">
          <Chart
            span={WINDOW}
            label="Requests a second of the last minutes, by class of status"
            times={drawn.times}
            kind="areas"
            format={rate}
            series={Object.entries(drawn.classes).map(([name, values]) => ({
              name,
              values,
              color: CLASS_COLORS[name] ?? "--c5",
            }))}
          />
        </Panel>
        <Panel title="Latency">
          <Chart
            span={WINDOW}
            label="Latency of the last minutes: median and 99th percentile"
            times={drawn.times}
            kind="lines"
            format={duration}
            series={[
              { name: "median", values: drawn.p50, color: "--c1" },
              { name: "99th percentile", values: drawn.p99, color: "--c3" },
            ]}
          />
        </Panel>
      </div>
      <Panel title="Refusals by reason" actions={<span className="muted small">since the gate started</span>}>
        <Refusals of={moments} />
      </Panel>
    </>
  );
}

function Refusals({ of: moments }: { of: Moment[] }) {
  const first = moments[0];
  const last = moments.at(-1);
  if (!first || !last) return null;
  const rows = Object.entries(last.refused)
    .filter(([, total]) => total > 0)
    .sort(([, a], [, b]) => b - a);
  if (rows.length === 0) return <Empty title="Nothing was refused." />;
  const most = rows[0]?.[1] ?? 1;
  return (
    <ul className="bars">
      {rows.map(([code, total]) => {
        const lately = total - (first.refused[code] ?? 0);
        return (
          <li key={code}>
            <span className="bar-name">{words(code)}</span>
            <span className="bar" aria-hidden="true">
              <span style={{ width: `${(total / most) * 100}%` }} />
            </span>
            <span className="bar-value">
              {count(total)}
              {lately > 0 && <span className="muted"> +{count(lately)} just now</span>}
            </span>
          </li>
        );
      })}
    </ul>
  );
}

/** The last hour at this gate, of all known keys together. */
function LastHour({ of: summary }: { of: Summary }) {
  const drawn = useMemo(() => grouped(summary, "outcome", HOUR_MS, 60_000), [summary]);
  if (drawn.series.length === 0) return <Empty title="No key was used in the last hour." />;
  return <Chart label="Requests of the last hour by minute and class of status" kind="bars" format={count} {...drawn} />;
}

function Busiest({ what, rows }: { what: string; rows: { id: string; name: ReactNode; counts: UsageCounts }[] }) {
  if (rows.length === 0) return <Empty title="None was used." />;
  const number = (name: string) => ({ name, className: "number" });
  return (
    <Table label={`Busiest ${what.toLowerCase()}s`} columns={[what, number("Admitted"), number("Refused")]}>
      {rows.map(({ id, name, counts }) => {
        const refused = sum(counts.refused);
        return (
          <tr key={id}>
            <th scope="row">{name}</th>
            <td className="number">{count(counts.requests)}</td>
            <td className="number">{refused > 0 ? <Badge tone="bad">{count(refused)}</Badge> : 0}</td>
          </tr>
        );
      })}
    </Table>
  );
}

function KeyName({ id }: { id: string }) {
  const key = useQuery({
    queryKey: ["key", id],
    queryFn: ({ signal }) => call<Key>(`/admin/keys/${seg(id)}`, { signal }),
    staleTime: 60_000,
  });
  return key.data ? <>{key.data.name}</> : <code>{id}</code>;
}

function Health({ of: status }: { of: Status }) {
  return (
    <dl className="facts">
      <div>
        <dt>This gate</dt>
        <dd>
          {status.node} <Badge tone={status.ready ? "good" : "bad"}>{status.ready ? "ready" : "not ready"}</Badge>
        </dd>
      </div>
      <div>
        <dt>Store</dt>
        <dd>
          {status.store.kind} <Badge tone={status.store.state === "up" ? "good" : "bad"}>{status.store.state}</Badge>
          <span className="under">
            revision {status.store.revision}, heard from <Ago at={status.store.last_contact_at} />
          </span>
        </dd>
      </div>
      <div>
        <dt>Secrets it knows</dt>
        <dd>{count(status.keys)}</dd>
      </div>
      {status.nodes.map((node) => (
        <div key={node.node}>
          <dt>{node.node}</dt>
          <dd>
            <Badge tone={node.state === "live" ? "good" : "warn"}>{node.state}</Badge>
            <span className="under">
              revision {node.revision}, heard from <Ago at={node.last_contact_at} />
            </span>
          </dd>
        </div>
      ))}
      <div>
        <dt>Usage to be stored</dt>
        <dd>
          {plural(status.usage.queued, "row")}
          {status.usage.lost > 0 && <Badge tone="bad">{count(status.usage.lost)} lost</Badge>}
        </dd>
      </div>
      {status.quarantined > 0 && (
        <div>
          <dt>Set aside</dt>
          <dd>
            <Badge tone="bad">{plural(status.quarantined, "record")} cannot be read</Badge>
          </dd>
        </div>
      )}
      <div>
        <dt>Version</dt>
        <dd>
          {status.version}, configuration of <Ago at={status.config.loaded_at} />
        </dd>
      </div>
    </dl>
  );
}

function Finishing({ requests }: { requests: Finished[] }) {
  if (requests.length === 0) {
    return <Empty title="None yet." />;
  }
  return (
    <>
      <Table label="Requests as they finish" columns={["When", "Status", "Request", "Key", "From", { name: "Took", className: "number" }]}>
        {requests.map((request) => (
          <tr key={request.request_id}>
            <td>
              <Ago at={request.time} />
            </td>
            <td>
              <Badge tone={request.status < 400 ? "good" : request.status < 500 ? "warn" : "bad"}>{request.status}</Badge>
              {request.code && <span className="muted small"> {words(request.code)}</span>}
            </td>
            <td>
              <code className="request">
                {request.method} {request.path}
              </code>
            </td>
            <td>
              {request.key_id ? (
                <Link href={`/keys/${seg(request.key_id)}`}>
                  <KeyName id={request.key_id} />
                </Link>
              ) : (
                <span className="muted">none</span>
              )}
            </td>
            <td>
              <code>{request.client}</code>
            </td>
            <td className="number">{duration(request.duration_ms / 1_000)}</td>
          </tr>
        ))}
      </Table>
    </>
  );
}

/** How many seconds the charts of what happens now show. */
const WINDOW = 300;

/** What happened between each two moments. */
function series(moments: Moment[]) {
  const times: number[] = [];
  const classes: Record<string, number[]> = { "2xx": [], "3xx": [], "4xx": [], "5xx": [] };
  const p50: number[] = [];
  const p99: number[] = [];
  let refusedNow = 0;
  for (let at = 1; at < moments.length; at += 1) {
    const [before, after] = [moments[at - 1], moments[at]];
    if (!before || !after) continue;
    const seconds = Math.max(0.001, after.at - before.at);
    times.push(after.at);
    for (const [name, values] of Object.entries(classes)) {
      values.push(Math.max(0, (after.classes[name] ?? 0) - (before.classes[name] ?? 0)) / seconds);
    }
    const found = quantiles(before, after);
    p50.push(found?.p50 ?? p50.at(-1) ?? 0);
    p99.push(found?.p99 ?? p99.at(-1) ?? 0);
    refusedNow = Math.max(0, sum(after.refused) - sum(before.refused)) / seconds;
  }
  const [first, last] = [moments[0], moments.at(-1)];
  const whole: Moment = { at: 0, classes: {}, refused: {}, histogram: new Map() };
  const lately = first && last ? (quantiles(first, last) ?? quantiles(whole, last)) : null;
  return { times, classes, p50, p99, refusedNow, quantiles: lately };
}

/** Where half, and 99 of 100, of what finished between two moments lie in the histogram. */
function quantiles(before: Moment, after: Moment): { p50: number; p99: number } | null {
  const bounds = [...after.histogram.keys()].sort((a, b) => a - b);
  const counts = bounds.map((bound) => (after.histogram.get(bound) ?? 0) - (before.histogram.get(bound) ?? 0));
  const all = counts.at(-1) ?? 0;
  if (all <= 0) return null;
  const at = (share: number) => {
    const place = counts.findIndex((each) => each >= all * share);
    const [upper, lower] = [bounds[place] ?? 0, bounds[place - 1] ?? 0];
    const [to, from] = [counts[place] ?? 0, counts[place - 1] ?? 0];
    if (!Number.isFinite(upper) || to === from) return lower;
    return lower + ((upper - lower) * (all * share - from)) / (to - from);
  };
  return { p50: at(0.5), p99: at(0.99) };
}
