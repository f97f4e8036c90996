// Policies: what is asked of keys, and what would follow from it before it does.

import { useMutation } from "@tanstack/react-query";
import { Eye, Plus } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";

import { call, type OwnerType, type Policy, type PolicyTerms, type Preview, seg, send } from "../api";
import { words as wordsOf } from "../keys/draft";
import { useChange } from "../parts/change";
import { FormDialog } from "../parts/dialog";
import { Checkbox, InputField } from "../parts/fields";
import { Listing, useList } from "../parts/list";
import { plural } from "../parts/numbers";
import { ALL_KEYS, chosenOf, inWords, isWhole, SelectorFields, selectorOf } from "../parts/selector";
import { Ago } from "../parts/time";
import { Badge, Button, Empty, Failure, Notice, PageHead, Panel, Table } from "../parts/ui";
import { useMay } from "../session";

type Doing = { what: "new" | "preview" } | { what: "edit" | "delete"; policy: Policy } | null;

export function Policies() {
  const policies = useList<Policy>("/admin/policies", { limit: 50 });
  const [doing, setDoing] = useState<Doing>(null);
  const mayChange = useMay("admin");
  const close = () => setDoing(null);
  const toggle = useChange((policy: Policy) =>
    call(`/admin/policies/${seg(policy.id)}`, { method: "PATCH", body: { enabled: !policy.enabled } }),
  );
  return (
    <>
      <PageHead title="Policies" sub="What is asked of keys. Of several, the strictest term holds.">
        <Button onClick={() => setDoing({ what: "preview" })}>
          <Eye /> What they do now
        </Button>
        {mayChange && (
          <Button kind="primary" onClick={() => setDoing({ what: "new" })}>
            <Plus /> New policy
          </Button>
        )}
      </PageHead>
      {toggle.error && <Failure error={toggle.error} />}
      <Listing
        of={policies}
        rows={4}
        empty={
          <Empty title="Nothing is asked of keys yet.">
            <p>A policy may ask for an expiry, an owner of a kind, a purpose, or revoke what nobody has used for months.</p>
          </Empty>
        }
      >
        {(page) => (
          <div className="cards">
            {page.map((policy) => (
              <article className="card" key={policy.id} aria-label={policy.name}>
                <header className="card-head">
                  <div className="card-title">
                    <h2>{policy.name}</h2>
                    <Badge tone={policy.enabled ? "good" : "calm"}>{policy.enabled ? "on" : "off"}</Badge>
                  </div>
                </header>
                <p className="card-sub">
                  For {inWords(policy.selector)}
                  {policy.description && <>: {policy.description}</>}
                </p>
                <ul className="terms">
                  {said(policy).map((term) => (
                    <li key={term}>{term}</li>
                  ))}
                </ul>
                {mayChange && policy.source === "api" && (
                  <footer className="card-foot">
                    <Button onClick={() => toggle.mutate(policy)} busy={toggle.isPending}>
                      Turn {policy.enabled ? "off" : "on"}
                    </Button>
                    <span className="key-actions">
                      <Button onClick={() => setDoing({ what: "edit", policy })}>Edit</Button>
                      <Button kind="danger" onClick={() => setDoing({ what: "delete", policy })}>
                        Delete
                      </Button>
                    </span>
                  </footer>
                )}
              </article>
            ))}
          </div>
        )}
      </Listing>
      {doing?.what === "new" && <PolicyDialog onClose={close} />}
      {doing?.what === "preview" && <NowDialog onClose={close} />}
      {doing?.what === "edit" && <PolicyDialog of={doing.policy} onClose={close} />}
      {doing?.what === "delete" && <DeleteDialog of={doing.policy} onClose={close} />}
    </>
  );
}

/** The terms in sentences. */
function said(policy: PolicyTerms): string[] {
  const terms: string[] = [];
  if (policy.max_age) terms.push(`No key lives longer than ${policy.max_age}.`);
  if (policy.require_expiry) terms.push("Every key has an expiry.");
  if (policy.require_description) terms.push("Every key has a purpose.");
  if (policy.require_reason) terms.push("Rotating, revoking and disabling need a reason.");
  if (policy.owner_types.length > 0) terms.push(`Owners are of type ${policy.owner_types.join(" or ")}.`);
  if (policy.allowed_scopes) terms.push(`Scopes are among ${policy.allowed_scopes.join(", ") || "none"}.`);
  if (policy.unused_alert_after) terms.push(`Unused for ${policy.unused_alert_after}: told of.`);
  if (policy.stale_after) terms.push(`Unused for ${policy.stale_after}: potentially stale.`);
  if (policy.revoke_unused_after) {
    terms.push(`Unused for ${policy.revoke_unused_after}: revoked, with a warning ${policy.revoke_warning ?? "14d"} before.`);
  }
  return terms.length > 0 ? terms : ["Asks for nothing yet."];
}

interface Draft {
  name: string;
  description: string;
  max_age: string;
  require_expiry: boolean;
  require_description: boolean;
  require_reason: boolean;
  owner_types: OwnerType[];
  /** `null`: any scope. */
  allowed_scopes: string | null;
  unused_alert_after: string;
  stale_after: string;
  revoke_unused_after: string;
  revoke_warning: string;
}

function draftOf(policy: Policy | undefined): Draft {
  return {
    name: policy?.name ?? "",
    description: policy?.description ?? "",
    max_age: policy?.max_age ?? "",
    require_expiry: policy?.require_expiry ?? false,
    require_description: policy?.require_description ?? false,
    require_reason: policy?.require_reason ?? false,
    owner_types: policy?.owner_types ?? [],
    allowed_scopes: policy?.allowed_scopes?.join(", ") ?? null,
    unused_alert_after: policy?.unused_alert_after ?? "",
    stale_after: policy?.stale_after ?? "",
    revoke_unused_after: policy?.revoke_unused_after ?? "",
    revoke_warning: policy?.revoke_warning ?? "",
  };
}

const orNull = (text: string) => (text.trim() === "" ? null : text.trim());

function bodyOf(draft: Draft) {
  return {
    name: draft.name.trim(),
    description: orNull(draft.description),
    max_age: orNull(draft.max_age),
    require_expiry: draft.require_expiry,
    require_description: draft.require_description,
    require_reason: draft.require_reason,
    owner_types: draft.owner_types,
    allowed_scopes: draft.allowed_scopes === null ? null : wordsOf(draft.allowed_scopes),
    unused_alert_after: orNull(draft.unused_alert_after),
    stale_after: orNull(draft.stale_after),
    revoke_unused_after: orNull(draft.revoke_unused_after),
    revoke_warning: orNull(draft.revoke_warning),
  };
}

const SPANS = [
  ["max_age", "Longest life", "90d"],
  ["unused_alert_after", "Tell of keys unused for", "7d"],
  ["stale_after", "Potentially stale after", "30d"],
  ["revoke_unused_after", "Revoke unused after", "180d"],
  ["revoke_warning", "Warn before revoking", "14d"],
] as const;

const TYPES: OwnerType[] = ["user", "team", "system"];

function PolicyDialog({ of: policy, onClose }: { of?: Policy; onClose: () => void }) {
  const [draft, setDraft] = useState(() => draftOf(policy));
  const [chosen, setChosen] = useState(() => (policy ? chosenOf(policy.selector) : ALL_KEYS));
  const set = (change: Partial<Draft>) => setDraft({ ...draft, ...change });
  const whole = () => ({ ...bodyOf(draft), selector: selectorOf(chosen) });
  const preview = useMutation({
    mutationFn: () =>
      call<Preview>("/admin/policies/preview", {
        method: "POST",
        body: { policy: whole(), ...(policy ? { instead_of: policy.id } : {}) },
      }),
  });
  const change = useChange(
    () =>
      policy
        ? call(`/admin/policies/${seg(policy.id)}`, { method: "PATCH", body: whole() })
        : call("/admin/policies", { method: "POST", body: whole() }),
    { said: () => `${draft.name.trim()} is in force.`, then: onClose },
  );
  const isReady = draft.name.trim() !== "" && isWhole(chosen);
  return (
    <FormDialog
      title={policy ? `Edit ${policy.name}` : "New policy"}
      change={change}
      error={change.error ?? preview.error}
      submit={policy ? "Save" : "Make"}
      isReady={isReady}
      also={
        <Button onClick={() => preview.mutate()} busy={preview.isPending} disabled={!isReady}>
          <Eye /> Preview
        </Button>
      }
      wide
      onClose={onClose}
    >
      <div className="columns">
        <InputField label="Name" at="/name" required value={draft.name} onChange={(name) => set({ name })} />
        <InputField label="Description" at="/description" value={draft.description} onChange={(description) => set({ description })} />
      </div>
      <SelectorFields chosen={chosen} onChange={setChosen} at="/selector" />
      <fieldset>
        <legend>Times</legend>
        <div className="columns">
          {SPANS.map(([name, label, example]) => (
            <InputField
              key={name}
              label={label}
              hint={`Like ${example}; empty: not asked for.`}
              at={`/${name}`}
              className="mono"
              pattern="[0-9]+(ms|s|m|h|d)"
              placeholder={example}
              value={draft[name]}
              onChange={(text) => set({ [name]: text })}
            />
          ))}
        </div>
      </fieldset>
      <fieldset>
        <legend>What a key must have</legend>
        <Checkbox label="An expiry" checked={draft.require_expiry} onChange={(require_expiry) => set({ require_expiry })} />
        <Checkbox label="A purpose" checked={draft.require_description} onChange={(require_description) => set({ require_description })} />
        <Checkbox
          label="A reason for rotating, revoking and disabling"
          checked={draft.require_reason}
          onChange={(require_reason) => set({ require_reason })}
        />
      </fieldset>
      <fieldset>
        <legend>Types of owners</legend>
        <div className="choices">
          {TYPES.map((type) => (
            <Checkbox
              key={type}
              label={type}
              checked={draft.owner_types.includes(type)}
              onChange={(checked) =>
                set({
                  owner_types: checked ? [...draft.owner_types, type] : draft.owner_types.filter((each) => each !== type),
                })
              }
            />
          ))}
        </div>
        <p className="hint">None ticked: any.</p>
      </fieldset>
      <fieldset>
        <legend>Scopes</legend>
        <Checkbox
          label="Only these scopes"
          checked={draft.allowed_scopes !== null}
          onChange={(checked) => set({ allowed_scopes: checked ? "" : null })}
        />
        {draft.allowed_scopes !== null && (
          <InputField
            label="Allowed scopes"
            at="/allowed_scopes"
            className="mono"
            value={draft.allowed_scopes ?? ""}
            onChange={(allowed_scopes) => set({ allowed_scopes })}
          />
        )}
      </fieldset>
      <div aria-live="polite">{preview.data && <Previewed of={preview.data} />}</div>
    </FormDialog>
  );
}

/** What all policies that are on do, as things are. */
function NowDialog({ onClose }: { onClose: () => void }) {
  const preview = useMutation({
    mutationFn: () => call<Preview>("/admin/policies/preview", { method: "POST", body: {} }),
  });
  return (
    <FormDialog
      title="What the policies do now"
      change={preview}
      submit={preview.data ? "Look again" : "Look"}
      cancel="Close"
      wide
      onClose={onClose}
    >
      {preview.data ? (
        <Previewed of={preview.data} />
      ) : (
        <p>Walks over all keys and says which of them the policies would touch. Nothing is changed.</p>
      )}
    </FormDialog>
  );
}

function Previewed({ of: preview }: { of: Preview }) {
  return (
    <Panel title="Preview">
      <Notice tone={preview.revoked > 0 ? "bad" : "calm"}>
        Would revoke {plural(preview.revoked, "key")} of {plural(preview.keys, "key")}; {plural(preview.violating, "key")} would not be as
        asked.
      </Notice>
      {preview.items.length > 0 && (
        <Table label="Keys it would touch" columns={["Key", "What", "Last used"]}>
          {preview.items.slice(0, 200).map((item) => (
            <tr key={item.key_id}>
              <th scope="row">
                <Link href={`/keys/${seg(item.key_id)}`}>{item.key_name}</Link>
              </th>
              <td>
                {item.revoked_at && (
                  <>
                    <Badge tone="bad">revoked</Badge> <Ago at={item.revoked_at} />{" "}
                  </>
                )}
                {item.stale && <Badge tone="warn">potentially stale</Badge>} {item.unused && <Badge tone="warn">unused</Badge>}
                {item.violations.map((fault) => (
                  <span key={fault.pointer + fault.code} className="under">
                    {fault.detail}
                  </span>
                ))}
              </td>
              <td>
                <Ago at={item.last_used_at} />
              </td>
            </tr>
          ))}
        </Table>
      )}
      {preview.items.length > 200 && <p className="hint pad">The first 200 of them are shown.</p>}
    </Panel>
  );
}

function DeleteDialog({ of: policy, onClose }: { of: Policy; onClose: () => void }) {
  const remove = useChange(() => send(`/admin/policies/${seg(policy.id)}`, { method: "DELETE" }), {
    said: () => `${policy.name} is taken away.`,
    then: onClose,
  });
  return (
    <FormDialog title={`Delete ${policy.name}`} change={remove} submit="Delete" kind="danger" onClose={onClose}>
      <p>Keys stay as they are; nothing of what it asked for holds any longer.</p>
    </FormDialog>
  );
}
