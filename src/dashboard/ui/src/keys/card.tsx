// A key in the detailed view.

import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";

import { call, type Key, seg, type Usage, type Version } from "../api";
import { ShareBar, versionColor } from "../parts/chart";
import { Ago, Countdown, Day } from "../parts/time";
import { Chips, Failure, Fingerprint, Loading } from "../parts/ui";
import { KeyActions } from "./actions";
import { KeyBadges } from "./badges";

export function KeyCard({ of: key }: { of: Key }) {
  const live = key.versions.filter((version) => ["pending", "current", "previous"].includes(version.state));
  return (
    <article className="card" aria-label={key.name}>
      <header className="card-head">
        <div className="card-title">
          <h2>
            <Link href={`/keys/${seg(key.id)}`}>{key.name}</Link>
          </h2>
          <KeyBadges of={key} />
        </div>
        <KeyActions of={key} />
      </header>
      <p className="card-sub">
        {key.owner.name} <span className="muted">({key.owner.type})</span> · {key.env} ·{" "}
        <code className="muted">{key.id}</code>
      </p>
      {live.length > 0 && (
        <ul className="versions">
          {live.map((version) => (
            <VersionLine key={version.number} of={version} />
          ))}
        </ul>
      )}
      <TrafficByVersion id={key.id} />
      {(key.products.length > 0 || key.scopes.length > 0) && <Chips items={[...key.products, ...key.scopes]} none="" />}
      <footer className="card-foot">
        <span>
          Last used <Ago at={key.last_used_at} />
          {key.expires_at && (
            <>
              {" · "}
              {key.status === "expired" ? "expired" : "expires"} <Ago at={key.expires_at} />
            </>
          )}
        </span>
        <span className="last-rotation">
          {key.last_rotated_at ? (
            <>
              Last rotated <Day at={key.last_rotated_at} />
            </>
          ) : (
            "Never rotated"
          )}
        </span>
      </footer>
    </article>
  );
}

function VersionLine({ of: version }: { of: Version }) {
  return (
    <li className={`version ${version.state}`}>
      <span className="version-number">v{version.number}</span>
      <Fingerprint of={version.fingerprint} />
      {version.state === "current" && <span className="muted">current</span>}
      {version.state === "pending" && <span className="muted">waits for its first use</span>}
      {version.state === "previous" &&
        (version.retires_at ? (
          <span>
            old version, ends in <Countdown to={version.retires_at} />
          </span>
        ) : (
          <span className="muted">old version, works until the next rotation</span>
        ))}
    </li>
  );
}

/** Which secret its clients send: after a rotation, whether they have moved. */
export function TrafficByVersion({ id }: { id: string }) {
  const usage = useQuery({
    queryKey: ["usage", id, "by-version"],
    queryFn: ({ signal }) => call<Usage>(`/admin/keys/${seg(id)}/usage?by=version`, { signal }),
    staleTime: 15_000,
  });
  if (usage.error) return <Failure error={usage.error} retry={() => void usage.refetch()} />;
  if (!usage.data) return <Loading rows={1} />;
  const sums = new Map<number | null, number>();
  for (const bucket of usage.data.buckets) {
    sums.set(bucket.version, (sums.get(bucket.version) ?? 0) + bucket.requests);
  }
  const parts = [...sums]
    .filter(([, value]) => value > 0)
    .sort(([a], [b]) => (b ?? 0) - (a ?? 0))
    .map(([version, value]) => ({ name: `v${version ?? "?"}`, value, color: versionColor(version) }));
  return (
    <div className="card-traffic">
      <h3>Traffic by version, 24 h</h3>
      <ShareBar label="Requests of the last 24 hours by version" parts={parts} />
    </div>
  );
}
