// Settings: automatic rotation, admin tokens, and the access review.

import { useQuery } from "@tanstack/react-query";
import { Download, Plus } from "lucide-react";
import { useState } from "react";

import { call, type Owner, type Role, type RotationRule, seg, type Token, url } from "../api";
import { endOfDay } from "../keys/rotate";
import { SecretOnce } from "../keys/secret";
import { useChange } from "../parts/change";
import { Dialog, FormDialog } from "../parts/dialog";
import { Downloads } from "../parts/download";
import { Checkbox, InputField, SelectField } from "../parts/fields";
import { Listing, Loaded, useList } from "../parts/list";
import { plural } from "../parts/numbers";
import { OwnerPicker } from "../parts/pickers";
import { ALL_KEYS, inWords, isWhole, SelectorFields, selectorOf } from "../parts/selector";
import { Ago } from "../parts/time";
import { ACTIONS, Badge, Button, Empty, Failure, Fingerprint, PageHead, Panel, Table } from "../parts/ui";
import { useMay } from "../session";

export function Settings() {
  const isAdmin = useMay("admin");
  return (
    <>
      <PageHead title="Settings" />
      <Rotation />
      {isAdmin && <Tokens />}
      <AccessReview />
    </>
  );
}

function Rotation() {
  const mayChange = useMay("admin");
  const [isAdding, setAdding] = useState(false);
  const [ending, setEnding] = useState<RotationRule | null>(null);
  const rules = useQuery({
    queryKey: ["rotation"],
    queryFn: ({ signal }) => call<{ items: RotationRule[] }>("/admin/keys/rotation", { signal }),
  });
  const forAll = rules.data?.items.find((rule) => rule.selector === null);
  const enable = useChange(
    () => call("/admin/keys/rotation/enable", { method: "POST", body: { interval_days: 90, keep_previous: true } }),
    { said: () => "All keys are rotated every 90 days." },
  );
  return (
    <Panel
      title="Automatic rotation"
      actions={
        mayChange && (
          <Button onClick={() => setAdding(true)}>
            <Plus /> New rule
          </Button>
        )
      }
    >
      <Loaded of={rules} rows={2}>
        {(data) => (
          <>
            {enable.error && <Failure error={enable.error} />}
            <div className="switch-row">
              <button
                type="button"
                role="switch"
                aria-checked={forAll !== undefined}
                aria-label="Rotate all keys automatically"
                className="switch"
                disabled={!mayChange || enable.isPending}
                onClick={() => (forAll ? setEnding(forAll) : enable.mutate())}
              >
                <span />
              </button>
              <div>
                <b>Rotate all keys automatically</b>
                <p className="hint">
                  {forAll
                    ? `Every ${forAll.interval_days} days; the version before ${forAll.keep_previous ? "works until the next rotation" : `ends after ${forAll.grace}`}.`
                    : "Off. Turned on, every 90 days; the version before works until the next rotation."}{" "}
                  A key without a sink that takes its new secret is not rotated but marked “rotation due”, so that nobody is locked out.
                </p>
              </div>
            </div>
            {data.items.length > 0 && (
              <Table label="Rules of rotation" columns={["For", "Every", "The version before", "Rotation due", ACTIONS]}>
                {data.items.map((rule) => (
                  <tr key={rule.id}>
                    <th scope="row">{inWords(rule.selector)}</th>
                    <td>{plural(rule.interval_days, "day")}</td>
                    <td>{rule.keep_previous ? "works until the next rotation" : `ends after ${rule.grace}`}</td>
                    <td>{rule.due === null ? "–" : rule.due > 0 ? <Badge tone="warn">{plural(rule.due, "key")}</Badge> : "none"}</td>
                    <td className="number">
                      {mayChange && (
                        <Button kind="quiet" onClick={() => setEnding(rule)}>
                          Take away
                        </Button>
                      )}
                    </td>
                  </tr>
                ))}
              </Table>
            )}
          </>
        )}
      </Loaded>
      {isAdding && <RuleDialog onClose={() => setAdding(false)} />}
      {ending !== null && <EndRuleDialog of={ending} onClose={() => setEnding(null)} />}
    </Panel>
  );
}

function RuleDialog({ onClose }: { onClose: () => void }) {
  const [days, setDays] = useState("90");
  const [keeps, setKeeps] = useState(true);
  const [grace, setGrace] = useState("24h");
  const [chosen, setChosen] = useState(ALL_KEYS);
  const enable = useChange(
    () => {
      const selector = selectorOf(chosen);
      return call("/admin/keys/rotation/enable", {
        method: "POST",
        body: {
          interval_days: Number(days),
          keep_previous: keeps,
          ...(keeps ? {} : { grace: grace.trim() }),
          ...(selector ? { selector } : {}),
        },
      });
    },
    { said: () => "The rule is in force.", then: onClose },
  );
  return (
    <FormDialog title="New rule of rotation" change={enable} submit="Turn on" isReady={isWhole(chosen)} onClose={onClose}>
      <SelectorFields chosen={chosen} onChange={setChosen} at="/selector" />
      <InputField
        label="Every so many days"
        at="/interval_days"
        type="number"
        min={1}
        max={3650}
        required
        value={days}
        onChange={setDays}
      />
      <Checkbox
        label="Keep the version before"
        hint="It works until the next rotation, so that clients move when they like."
        checked={keeps}
        onChange={setKeeps}
      />
      {!keeps && (
        <InputField
          label="How long the version before works"
          hint="Like 1h or 24h."
          at="/grace"
          className="mono"
          required
          pattern="[0-9]+(ms|s|m|h|d)"
          value={grace}
          onChange={setGrace}
        />
      )}
      <p className="hint">A rule there is for the same keys is replaced. Of several, the narrowest holds.</p>
    </FormDialog>
  );
}

/** The rule for all keys cannot be named: it goes with all the others, and whoever asks is told so. */
function EndRuleDialog({ of: rule, onClose }: { of: RotationRule; onClose: () => void }) {
  const isForAll = rule.selector === null;
  const end = useChange(() => call("/admin/keys/rotation/disable", { method: "POST", body: isForAll ? {} : { selector: rule.selector } }), {
    said: () => (isForAll ? "Nothing is rotated automatically any more." : "The rule is gone."),
    then: onClose,
  });
  return (
    <FormDialog
      title={isForAll ? "Turn automatic rotation off" : "Take this rule away"}
      change={end}
      submit={isForAll ? "Turn off" : "Take away"}
      kind="danger"
      onClose={onClose}
    >
      <p>
        {isForAll
          ? "All rules are taken away, those for some keys too. Keys stay as they are."
          : `The rule for ${inWords(rule.selector)} is taken away; a wider one may still cover these keys.`}
      </p>
    </FormDialog>
  );
}

function Tokens() {
  const tokens = useList<Token>("/admin/tokens", { limit: 50 });
  const [isMaking, setMaking] = useState(false);
  const [ending, setEnding] = useState<Token | null>(null);
  return (
    <Panel
      title="Admin tokens"
      actions={
        <Button onClick={() => setMaking(true)}>
          <Plus /> New token
        </Button>
      }
    >
      <Listing of={tokens} rows={2} empty={<Empty title="None but the one in the configuration." />}>
        {(page) => (
          <Table label="Admin tokens" columns={["Name", "Role", "Fingerprint", "Made", "Ends", ACTIONS]}>
            {page.map((token) => (
              <tr key={token.id}>
                <th scope="row">
                  {token.name}
                  <span className="under mono">{token.id}</span>
                </th>
                <td>
                  {token.role}
                  {token.owner_id && <span className="under mono">bound to {token.owner_id}</span>}
                </td>
                <td>
                  <Fingerprint of={token.fingerprint} />
                </td>
                <td>
                  <Ago at={token.created_at} />
                </td>
                <td>
                  {token.revoked_at ? (
                    <>
                      <Badge tone="bad">revoked</Badge> <Ago at={token.revoked_at} />
                    </>
                  ) : (
                    <Ago at={token.expires_at} />
                  )}
                </td>
                <td className="number">
                  {!token.revoked_at && (
                    <Button kind="quiet" onClick={() => setEnding(token)} aria-label={`Revoke ${token.name}`}>
                      Revoke
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </Table>
        )}
      </Listing>
      {isMaking && <TokenDialog onClose={() => setMaking(false)} />}
      {ending && <EndTokenDialog of={ending} onClose={() => setEnding(null)} />}
    </Panel>
  );
}

function EndTokenDialog({ of: token, onClose }: { of: Token; onClose: () => void }) {
  const end = useChange(() => call(`/admin/tokens/${seg(token.id)}`, { method: "DELETE" }), {
    said: () => `${token.name} has ended, and every session made of it.`,
    then: onClose,
  });
  return (
    <FormDialog title={`Revoke ${token.name}`} change={end} submit="Revoke for ever" kind="danger" onClose={onClose}>
      <p>It opens nothing from now on, and sessions made of it end at once. If it is the one you signed in with, so does yours.</p>
    </FormDialog>
  );
}

function TokenDialog({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [isBound, setBound] = useState(false);
  const [owner, setOwner] = useState<Owner | null>(null);
  const [expiry, setExpiry] = useState("");
  const make = useChange(() =>
    call<{ token: Token; secret: string }>("/admin/tokens", {
      method: "POST",
      body: {
        name: name.trim(),
        role,
        ...(isBound && owner ? { owner_id: owner.id } : {}),
        ...(expiry === "" ? {} : { expires_at: endOfDay(expiry) }),
      },
    }),
  );
  if (make.data) {
    return (
      <Dialog title={`${make.data.token.name} is ready`} onClose={onClose} locked>
        <SecretOnce secret={make.data.secret} variable="PORTCULLIS_ADMIN_TOKEN" onAcknowledged={onClose} />
      </Dialog>
    );
  }
  return (
    <FormDialog
      title="New admin token"
      change={make}
      submit="Make"
      isReady={name.trim() !== "" && (!isBound || owner !== null)}
      onClose={onClose}
    >
      <InputField label="Name" at="/name" required maxLength={128} value={name} onChange={setName} />
      <SelectField
        label="Role"
        hint="Viewers read; operators also manage keys and owners; admins do all."
        at="/role"
        value={role}
        onChange={setRole}
      >
        <option value="viewer">viewer</option>
        <option value="operator">operator</option>
        <option value="admin">admin</option>
      </SelectField>
      <InputField
        label="Expires on"
        hint="Left empty, it does not end by itself."
        at="/expires_at"
        type="date"
        value={expiry}
        onChange={setExpiry}
      />
      <Checkbox label="Only for one owner’s keys" checked={isBound} onChange={setBound} />
      {isBound && <OwnerPicker value={owner} onChange={setOwner} at="/owner_id" />}
    </FormDialog>
  );
}

/** Who may do what, and whether they still do: for whoever has to confirm it now and then. */
function AccessReview() {
  const file = {
    page: (cursor: string | null) => url("/admin/reports/access-review", { format: "csv", limit: 1_000, cursor }),
    name: "portcullis-access-review.csv",
    type: "text/csv",
  };
  return (
    <Panel title="Access review">
      <p>
        Every key with its owner, what it may reach by itself and by its products, when it was last used and rotated, as CSV. The
        export is of no secret.
      </p>
      <Downloads>
        {(start) => (
          <Button onClick={() => start(file)}>
            <Download /> Export access review
          </Button>
        )}
      </Downloads>
    </Panel>
  );
}
