// The dialog that gives a key a new secret: choose, review, confirm, and the secret once.

import { useState } from "react";

import { call, idempotencyKey, type Key, type KeyCreated, seg } from "../api";
import { useChange } from "../parts/change";
import { Dialog } from "../parts/dialog";
import { Checkbox, Form, InputField, SelectField } from "../parts/fields";
import { Countdown, dated, useNow } from "../parts/time";
import { Button, Facts, Fingerprint, Notice } from "../parts/ui";
import { SecretOnce, variableOf } from "./secret";

const DELAYS = [
  { grace: "1h", text: "1 hour", ms: 3_600_000 },
  { grace: "3h", text: "3 hours", ms: 10_800_000 },
  { grace: "24h", text: "24 hours", ms: 86_400_000, isDefault: true },
  { grace: "48h", text: "48 hours", ms: 172_800_000 },
  { grace: "72h", text: "72 hours", ms: 259_200_000 },
];

const REASONS = [
  { value: "regular", text: "Regular rotation" },
  { value: "suspected_compromise", text: "Suspected compromise" },
  { value: "expiry_near", text: "Expiry is near" },
  { value: "incident", text: "After an incident" },
  { value: "other", text: "Another reason…" },
];

export function RotateDialog({ of: key, onClose }: { of: Key; onClose: () => void }) {
  const [step, setStep] = useState<"choose" | "review">("choose");
  const [acknowledged, setAcknowledged] = useState(false);
  const [grace, setGrace] = useState("24h");
  const [reason, setReason] = useState("regular");
  const [otherReason, setOtherReason] = useState("");
  const [endsEarlier, setEndsEarlier] = useState(false);
  const [expiry, setExpiry] = useState("");
  // One key for all tries of this rotation: a repeat after a lost answer must not rotate twice.
  const [once] = useState(idempotencyKey);

  const isImmediate = grace === "0s";
  const isExpired = key.status === "expired";
  const earlier = key.versions.filter((version) => version.state === "previous");
  const said = reason === "other" ? otherReason.trim() : reason;
  const rotation = useChange(() =>
    call<KeyCreated>(`/admin/keys/${seg(key.id)}/rotate`, {
      method: "POST",
      headers: { "Idempotency-Key": once },
      body: {
        grace,
        reason: said,
        ...(endsEarlier ? { revoke_earlier: true } : {}),
        ...(isExpired ? { expires_at: endOfDay(expiry) } : {}),
      },
    }),
  );

  if (rotation.data) {
    const done = rotation.data;
    return (
      <Dialog title={`New secret of ${key.name}`} onClose={onClose} locked={done.secret !== null}>
        {done.secret === null ? (
          <Notice tone="warn">This rotation was done before, and its secret was told then. If it is lost, rotate the key once more.</Notice>
        ) : (
          <SecretOnce secret={done.secret} variable={variableOf(key.name)} onAcknowledged={onClose}>
            <p>
              Version {done.key.version} <Fingerprint of={done.key.fingerprint} /> is in use. <OldVersion of={done} />
              {done.sink && (
                <>
                  {" "}
                  The sink <code>{done.sink.name}</code>{" "}
                  {done.sink.delivered ? "holds the new secret." : "does not hold it yet; the gate goes on trying."}
                </>
              )}
            </p>
          </SecretOnce>
        )}
      </Dialog>
    );
  }

  if (step === "review") {
    return (
      <Dialog title={`Rotate ${key.name}: review`} onClose={onClose} locked={rotation.isPending}>
        <Form
          onSubmit={() => rotation.mutate()}
          error={rotation.error}
          foot={
            <>
              <Button onClick={() => setStep("choose")} disabled={rotation.isPending}>
                Back
              </Button>
              <Button type="submit" kind={isImmediate ? "danger" : "primary"} busy={rotation.isPending}>
                {rotation.isPending ? "Rotating…" : "Confirm rotation"}
              </Button>
            </>
          }
        >
          <Facts
            rows={[
              ["Key", <b key="name">{key.name}</b>],
              ["Owner", key.owner.name],
              ["New version", (key.versions[0]?.number ?? key.version ?? 0) + 1],
              [
                "Old secret",
                <span key="old">
                  <Fingerprint of={key.fingerprint} />{" "}
                  {isImmediate || isExpired ? "ends at once" : <EndsAt in={DELAYS.find((d) => d.grace === grace)?.ms ?? 0} />}
                </span>,
              ],
              ...(endsEarlier
                ? [["Earlier secrets", `${earlier.map((v) => `version ${v.number}`).join(", ")} end at once`] as [string, string]]
                : []),
              ["Reason", REASONS.find((each) => each.value === reason && reason !== "other")?.text ?? said],
              ["Stays as it is", "id, name, owner, products, scopes, limits, quotas, counters, metadata, history"],
            ]}
          />
          <p className="hint">Only this key is touched. The new secret is shown once, on the next screen.</p>
        </Form>
      </Dialog>
    );
  }

  const isReady = acknowledged && said !== "" && (!isExpired || expiry !== "");
  return (
    <Dialog title={`Rotate ${key.name}`} onClose={onClose}>
      <Form
        onSubmit={() => isReady && setStep("review")}
        error={rotation.error}
        foot={
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="primary" disabled={!isReady}>
              Review
            </Button>
          </>
        }
      >
        <Notice tone="warn">
          <p>
            A rotation <b>cannot be undone</b>: the key gets a new secret at once, and an old secret that has ended never comes back.
          </p>
          <Checkbox label="I understand that this cannot be undone" checked={acknowledged} onChange={setAcknowledged} />
        </Notice>
        {isExpired ? (
          <InputField
            label="New expiry"
            hint="An expired key needs one; its old secrets stay ended."
            type="date"
            required
            value={expiry}
            onChange={setExpiry}
          />
        ) : (
          <fieldset>
            <legend>How long the old secret keeps working</legend>
            <div className="choices">
              <label className="choice">
                <input type="radio" name="grace" checked={isImmediate} onChange={() => setGrace("0s")} />
                <span>Immediate</span>
              </label>
              {DELAYS.map((delay) => (
                <label className="choice" key={delay.grace}>
                  <input
                    type="radio"
                    name="grace"
                    checked={grace === delay.grace}
                    onChange={() => {
                      setGrace(delay.grace);
                    }}
                  />
                  <span>
                    {delay.text}
                    {delay.isDefault && <span className="muted"> (default)</span>}
                  </span>
                </label>
              ))}
            </div>
            {isImmediate && (
              <Notice tone="bad">
                Caution: the old secret ends the moment you confirm, so there is no time for a seamless change. Every client that still
                sends it is refused until it has the new one.
              </Notice>
            )}
          </fieldset>
        )}
        {earlier.length > 0 && (
          <Checkbox
            label="Also end all earlier secrets now"
            hint={
              <>
                {earlier.map((version) => (
                  <span key={version.number}>
                    Version {version.number}
                    {version.retires_at && (
                      <>
                        {" "}
                        would end in <Countdown to={version.retires_at} />
                      </>
                    )}
                    .{" "}
                  </span>
                ))}
                A rotation does not prolong or shorten that by itself.
              </>
            }
            checked={endsEarlier}
            onChange={setEndsEarlier}
          />
        )}
        <SelectField label="Reason" hint="Stands in the audit log, with who rotated the key and when." value={reason} onChange={setReason}>
          {REASONS.map((each) => (
            <option key={each.value} value={each.value}>
              {each.text}
            </option>
          ))}
        </SelectField>
        {reason === "other" && (
          <InputField label="Which reason" at="/reason" required maxLength={1_024} value={otherReason} onChange={setOtherReason} />
        )}
      </Form>
    </Dialog>
  );
}

function EndsAt({ in: ms }: { in: number }) {
  const at = new Date(useNow() + ms).toISOString();
  return <>works until {dated(at)}</>;
}

function OldVersion({ of: done }: { of: KeyCreated }) {
  const { previous } = done;
  if (!previous) return null;
  return (
    <>
      Version {previous.number} <Fingerprint of={previous.fingerprint} />{" "}
      {previous.retires_at && Date.parse(previous.retires_at) > Date.now() ? (
        <>
          works for another <Countdown to={previous.retires_at} />.
        </>
      ) : (
        "has ended."
      )}
    </>
  );
}

/** The last moment of a day, here, as the API takes it. */
export function endOfDay(date: string): string | null {
  return date === "" ? null : new Date(`${date}T23:59:59.999`).toISOString();
}
