// What can be done to a key, and the dialogs that ask before it is.

import { useMutation, useQuery } from "@tanstack/react-query";
import { Ban, FlaskConical, Pause, Pencil, Play, RefreshCw } from "lucide-react";
import { useState } from "react";

import { call, type Key, type KeyTested, seg, type Usage, url } from "../api";
import { sum } from "../parts/buckets";
import { useChange, withReason } from "../parts/change";
import { Dialog, FormDialog } from "../parts/dialog";
import { Form, InputField, ReasonField, SelectField } from "../parts/fields";
import { Loaded } from "../parts/list";
import { count, plural, words } from "../parts/numbers";
import { Ago } from "../parts/time";
import { Badge, Button, Facts, Failure, Fingerprint, IconButton, Notice } from "../parts/ui";
import { useMay } from "../session";
import { EditDialog } from "./form";
import { useRevocation, WAITING } from "./revocation";
import { RotateDialog } from "./rotate";

type Doing = "rotate" | "revoke" | "suspend" | "resume" | "test" | "edit";

/** The buttons for a key, and whichever dialog one of them opened. */
export function KeyActions({ of: key, full = false }: { of: Key; full?: boolean }) {
  const [doing, setDoing] = useState<Doing | null>(null);
  const mayChange = useMay("operator");
  const close = () => setDoing(null);
  const isOver = key.status === "revoked";
  return (
    <div className="key-actions">
      {full && mayChange && !isOver && (
        <Button onClick={() => setDoing("edit")}>
          <Pencil /> Edit
        </Button>
      )}
      {!isOver && <Action full={full} label="Test this key" onClick={() => setDoing("test")} icon={<FlaskConical />} />}
      {mayChange && key.status === "active" && <Action full={full} label="Suspend" onClick={() => setDoing("suspend")} icon={<Pause />} />}
      {mayChange && key.status === "suspended" && <Action full={full} label="Resume" onClick={() => setDoing("resume")} icon={<Play />} />}
      {mayChange && !isOver && <Action full={full} label="Revoke" onClick={() => setDoing("revoke")} icon={<Ban />} isDanger />}
      {mayChange && !isOver && <Action full={full} label="Rotate" onClick={() => setDoing("rotate")} icon={<RefreshCw />} isRotate />}
      {doing === "rotate" && <RotateDialog of={key} onClose={close} />}
      {doing === "revoke" && <RevokeDialog of={key} onClose={close} />}
      {(doing === "suspend" || doing === "resume") && <PauseDialog of={key} verb={doing} onClose={close} />}
      {doing === "test" && <TestDialog of={key} onClose={close} />}
      {doing === "edit" && <EditDialog of={key} onClose={close} />}
    </div>
  );
}

function Action({
  full,
  label,
  icon,
  onClick,
  isDanger = false,
  isRotate = false,
}: {
  full: boolean;
  label: string;
  icon: React.ReactNode;
  onClick: () => void;
  isDanger?: boolean;
  isRotate?: boolean;
}) {
  if (full) {
    return (
      <Button kind={isDanger ? "danger" : isRotate ? "primary" : "plain"} onClick={onClick}>
        {icon} {label}
      </Button>
    );
  }
  return (
    <IconButton label={label} onClick={onClick} className={isDanger ? "danger" : isRotate ? "rotate" : ""}>
      {icon}
    </IconButton>
  );
}

/** Revoking is final, so what would stop working is shown first. */
function RevokeDialog({ of: key, onClose }: { of: Key; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const traffic = useQuery({
    queryKey: ["five-minutes", key.id],
    queryFn: ({ signal }) => {
      const from = new Date(Date.now() - 5 * 60_000).toISOString();
      return call<Usage>(url(`/admin/keys/${seg(key.id)}/usage`, { from, step: "1m", by: "version,route" }), { signal });
    },
    refetchInterval: 5_000,
  });
  const revocation = useRevocation(
    () => call(url(`/admin/keys/${seg(key.id)}`, { ...withReason(reason), ...WAITING }), { method: "DELETE" }),
    `${key.name} is revoked`,
    onClose,
  );
  return (
    <FormDialog
      title={`Revoke ${key.name}`}
      change={revocation}
      submit={revocation.isPending ? "Revoking…" : "Revoke for ever"}
      kind="danger"
      isReady={!key.protected}
      onClose={onClose}
    >
      <Notice tone="bad">
        Every secret of this key is refused from the next request on, and <b>it never comes back</b>. To pause it instead, suspend it.
      </Notice>
      {key.protected && <Notice tone="warn">This key is protected. Edit it and take the protection away first.</Notice>}
      <section aria-label="Traffic of the last five minutes">
        <h3>Traffic of the last five minutes</h3>
        <Loaded of={traffic} rows={1}>
          {(data) => <FiveMinutes usage={data} />}
        </Loaded>
        <p className="hint">
          Last used: <Ago at={key.last_used_at} />
        </p>
      </section>
      <ReasonField value={reason} onChange={setReason} />
    </FormDialog>
  );
}

function FiveMinutes({ usage }: { usage: Usage }) {
  const admitted = usage.total.requests;
  const refused = sum(usage.total.refused);
  if (admitted === 0 && refused === 0) {
    return <p className="five none">No requests.</p>;
  }
  const places = new Map<string, number>();
  for (const bucket of usage.buckets) {
    const place = `${bucket.route ?? "no route"}, version ${bucket.version ?? "?"}`;
    places.set(place, (places.get(place) ?? 0) + bucket.requests);
  }
  return (
    <div className="five">
      <p>
        <b>{plural(admitted, "request")}</b> admitted{refused > 0 && `, ${count(refused)} refused`}.
        {admitted > 0 && " These clients would be locked out."}
      </p>
      <ul>
        {[...places]
          .filter(([, requests]) => requests > 0)
          .map(([place, requests]) => (
            <li key={place}>
              {place}: {count(requests)}
            </li>
          ))}
      </ul>
    </div>
  );
}

function PauseDialog({ of: key, verb, onClose }: { of: Key; verb: "suspend" | "resume"; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const change = useChange(
    () =>
      call(`/admin/keys/${seg(key.id)}/${verb}`, {
        method: "POST",
        body: withReason(reason),
      }),
    { said: () => (verb === "suspend" ? `${key.name} is suspended.` : `${key.name} works again.`), then: onClose },
  );
  const name = verb === "suspend" ? "Suspend" : "Resume";
  return (
    <FormDialog title={`${name} ${key.name}`} change={change} submit={name} onClose={onClose}>
      <p>
        {verb === "suspend"
          ? "Its requests are refused until it is resumed. Nothing else about it changes."
          : "Its secrets that have not ended work again."}
      </p>
      <ReasonField value={reason} onChange={setReason} />
    </FormDialog>
  );
}

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/** What the gate would answer, spending nothing. */
function TestDialog({ of: key, onClose }: { of: Key; onClose: () => void }) {
  const [method, setMethod] = useState("GET");
  const [path, setPath] = useState("/");
  const [host, setHost] = useState("");
  const [address, setAddress] = useState("");
  const test = useMutation({
    mutationFn: () =>
      call<KeyTested>(`/admin/keys/${seg(key.id)}/test`, {
        method: "POST",
        body: {
          method,
          path,
          ...(host.trim() === "" ? {} : { host: host.trim() }),
          ...(address.trim() === "" ? {} : { address: address.trim() }),
        },
      }),
  });
  const found = test.data;
  return (
    <Dialog title={`Test ${key.name}`} onClose={onClose}>
      <Form
        onSubmit={() => test.mutate()}
        foot={
          <>
            <Button onClick={onClose}>Close</Button>
            <Button type="submit" kind="primary" busy={test.isPending}>
              Test this key
            </Button>
          </>
        }
      >
        <p className="hint">Asks the gate what it would answer such a request. Nothing is sent on, nothing is spent.</p>
        <div className="row">
          <SelectField label="Method" value={method} onChange={setMethod}>
            {METHODS.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </SelectField>
          <div className="grow">
            <InputField label="Path" className="mono" required pattern="/.*" value={path} onChange={setPath} />
          </div>
        </div>
        <div className="row">
          <div className="grow">
            <InputField label="Host (optional)" value={host} onChange={setHost} />
          </div>
          <div className="grow">
            <InputField label="Client address (optional)" value={address} onChange={setAddress} />
          </div>
        </div>
        <div aria-live="polite">
          {test.error && <Failure error={test.error} />}
          {found && (
            <div className="tested">
              <p>
                <Badge tone={found.admitted ? "good" : "bad"}>{found.admitted ? "admitted" : "refused"}</Badge>{" "}
                {found.admitted ? (
                  <>by version {found.version ?? "–"}</>
                ) : (
                  <>
                    {found.status} {found.code && words(found.code)}. {found.detail}
                  </>
                )}
              </p>
              <Facts
                rows={[
                  ["Route", found.route ?? "none"],
                  ["Upstream", found.upstream ?? "none"],
                  ["Path", <code key="path">{found.path ?? path}</code>],
                  ...found.limits.map((limit): [string, string] => [
                    limit.rate,
                    `${count(limit.remaining)} of ${count(limit.burst)} left${limit.enforced ? "" : ", in shadow"}`,
                  ]),
                  ...found.quotas.map((quota): [string, string] => [
                    `quota per ${quota.per}`,
                    `${count(quota.remaining)} of ${count(quota.limit)} left`,
                  ]),
                ]}
              />
            </div>
          )}
        </div>
      </Form>
    </Dialog>
  );
}

/** Ends one old version alone, with the same question. */
export function RevokeVersionDialog({
  of: key,
  number,
  fingerprint,
  onClose,
}: {
  of: Key;
  number: number;
  fingerprint: string;
  onClose: () => void;
}) {
  const [reason, setReason] = useState("");
  const end = useRevocation(
    () => call(url(`/admin/keys/${seg(key.id)}/versions/${number}`, { ...withReason(reason), ...WAITING }), { method: "DELETE" }),
    `Version ${number} of ${key.name} has ended`,
    onClose,
  );
  return (
    <FormDialog title={`End version ${number} of ${key.name}`} change={end} submit="End it now" kind="danger" onClose={onClose}>
      <p>
        Clients that still send the secret <Fingerprint of={fingerprint} /> are refused from the next request on. The current version goes
        on working.
      </p>
      <ReasonField value={reason} onChange={setReason} />
    </FormDialog>
  );
}
