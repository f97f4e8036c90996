// One key: what it is, what it was used for, and what was done to it.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";

import { call, type Key, Problem, type Quota, seg, type Version } from "../api";
import { KeyActions, RevokeVersionDialog } from "../keys/actions";
import { KeyBadges } from "../keys/badges";
import { TrafficByVersion } from "../keys/card";
import { UsagePanels } from "../keys/usage";
import { count } from "../parts/numbers";
import { Ago, Countdown, Day } from "../parts/time";
import { ACTIONS, Badge, Button, Chips, Empty, Facts, Failure, Fingerprint, Loading, PageHead, Panel, Table } from "../parts/ui";
import { useIsBound, useMay } from "../session";
import { Entries } from "./audit";

const TABS = [
  { tab: undefined, name: "Details" },
  { tab: "usage", name: "Usage" },
  { tab: "history", name: "History" },
];

export function KeyPage({ id, tab }: { id: string; tab: string | undefined }) {
  const loaded = useQuery({
    queryKey: ["key", id],
    queryFn: ({ signal }) => call<Key>(`/admin/keys/${seg(id)}`, { signal }),
    refetchInterval: 15_000,
  });
  if (loaded.error && !loaded.data) {
    if (loaded.error instanceof Problem && loaded.error.status === 404) {
      return (
        <Empty title="There is no such key.">
          <Link href="/keys">To the keys</Link>
        </Empty>
      );
    }
    return <Failure error={loaded.error} retry={() => void loaded.refetch()} />;
  }
  if (!loaded.data) return <Loading rows={6} />;
  const key = loaded.data;
  return (
    <>
      <p className="crumb">
        <Link href="/keys">API Keys</Link>
      </p>
      <PageHead
        title={
          <>
            {key.name} <KeyBadges of={key} />
          </>
        }
        sub={key.description}
      >
        <KeyActions of={key} full />
      </PageHead>
      <nav className="tabs" aria-label="About this key">
        {TABS.map((each) => (
          <Link
            key={each.name}
            href={`/keys/${seg(id)}${each.tab ? `/${each.tab}` : ""}`}
            className={each.tab === tab ? "tab here" : "tab"}
            aria-current={each.tab === tab ? "page" : undefined}
          >
            {each.name}
          </Link>
        ))}
      </nav>
      {tab === undefined && <Details of={key} />}
      {tab === "usage" && <UsagePanels id={id} />}
      {tab === "history" && <Entries query={{ key_id: id }} />}
      {tab !== undefined && !TABS.some((each) => each.tab === tab) && <Empty title="There is no such page." />}
    </>
  );
}

function Details({ of: key }: { of: Key }) {
  const isBound = useIsBound();
  return (
    <div className="details">
      <Panel title="Versions" className="span">
        <Versions of={key} />
        <TrafficByVersion id={key.id} />
      </Panel>
      <Panel title="Key">
        <Facts
          rows={[
            ["Id", <code key="id">{key.id}</code>],
            [
              "Owner",
              isBound ? key.owner.name : <Link key="owner" href={`/keys?owner=${seg(key.owner.id)}`}>{key.owner.name}</Link>,
            ],
            ["Environment", key.env],
            ["Fingerprint", <Fingerprint key="fingerprint" of={key.fingerprint} />],
            ["Created", <span key="created"><Ago at={key.created_at} /> by <code>{key.created_by}</code></span>],
            ["Last used", <Ago key="used" at={key.last_used_at} />],
            ["Last rotated", key.last_rotated_at ? <Day key="rotated" at={key.last_rotated_at} /> : <span className="muted">never</span>],
            ["Expires", <Ago key="expires" at={key.expires_at} />],
            ["Risk", key.risk],
            [
              "Rotates by itself",
              key.rotation ? (
                <span key="rule">
                  every {key.rotation.interval_days} days{key.rotation.next_at && <>, next <Ago at={key.rotation.next_at} /></>}
                </span>
              ) : (
                <span className="muted">no</span>
              ),
            ],
            ["Labels", <Chips key="labels" items={Object.entries(key.labels).map(([name, value]) => `${name}=${value}`)} none="none" />],
          ]}
        />
      </Panel>
      <Panel title="What it may do">
        <Facts
          rows={[
            ["Products", <Chips key="products" items={key.products} none="none" />],
            ["Scopes", <Chips key="scopes" items={key.scopes} none="none of its own" />],
            ["Methods", <Chips key="methods" items={key.allowed_methods} none="all" />],
            ["Paths", <Chips key="paths" items={key.allowed_paths} none="all" />],
            ["Addresses", <Chips key="ips" items={key.allowed_ips} none="all" />],
            [
              "Rate limits",
              <Chips
                key="limits"
                items={key.rate_limits.map((limit) => `${limit.rate}, burst ${limit.burst}${limit.enforce === "shadow" ? ", shadow" : ""}`)}
                none="none of its own"
              />,
            ],
            ["At once", key.concurrency === null ? <span className="muted">no limit</span> : count(key.concurrency)],
            ["Self-rotation", key.self_rotation ? "allowed" : <span className="muted">no</span>],
          ]}
        />
        {key.quotas.map((quota) => (
          <QuotaBar key={`${quota.per}-${quota.limit}`} of={quota} />
        ))}
      </Panel>
    </div>
  );
}

function QuotaBar({ of: quota }: { of: Quota }) {
  const used = quota.used ?? 0;
  const name = quota.per === "total" ? "in total" : `per ${quota.per}`;
  return (
    <div className="quota">
      <span>
        {count(used)} of {count(quota.limit)} {name}
        {!quota.hard && <span className="muted"> (soft)</span>}
      </span>
      <meter min={0} max={quota.limit} high={quota.limit * 0.9} value={used} aria-label={`Quota ${name}`} />
      {quota.renews_at && (
        <span className="muted">
          renews <Ago at={quota.renews_at} />
        </span>
      )}
    </div>
  );
}

const STATES: Record<Version["state"], "good" | "warn" | "bad" | "calm" | "accent"> = {
  current: "good",
  previous: "warn",
  pending: "accent",
  retired: "calm",
  revoked: "bad",
};

function Versions({ of: key }: { of: Key }) {
  const [ending, setEnding] = useState<Version | null>(null);
  const mayChange = useMay("operator");
  return (
    <>
      <Table label="Versions" columns={["Version", "Fingerprint", "State", "Since", "Ends", "Last used", ACTIONS]}>
        {key.versions.map((version) => (
          <tr key={version.number}>
            <th scope="row">v{version.number}</th>
            <td>
              <Fingerprint of={version.fingerprint} />
            </td>
            <td>
              <Badge tone={STATES[version.state]}>{version.state}</Badge>
            </td>
            <td>
              <Ago at={version.created_at} />
            </td>
            <td>
              {version.retires_at ? (
                version.state === "previous" ? (
                  <>in <Countdown to={version.retires_at} /></>
                ) : (
                  <Ago at={version.retires_at} />
                )
              ) : (
                <span className="muted">–</span>
              )}
            </td>
            <td>
              <Ago at={version.last_used_at} />
            </td>
            <td className="number">
              {mayChange && (version.state === "previous" || version.state === "pending") && (
                <Button kind="quiet" onClick={() => setEnding(version)}>
                  End now
                </Button>
              )}
            </td>
          </tr>
        ))}
      </Table>
      {ending && (
        <RevokeVersionDialog of={key} number={ending.number} fingerprint={ending.fingerprint} onClose={() => setEnding(null)} />
      )}
    </>
  );
}
