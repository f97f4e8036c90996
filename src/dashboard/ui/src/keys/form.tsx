// The forms that make and change a key.

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { call, idempotencyKey, type Key, type KeyCreated, type OwnerType, type Page, Problem, seg, send, url } from "../api";
import { Dialog, FormDialog } from "../parts/dialog";
import { Checkbox, Fault, Field, Form, InputField, Segmented, SelectField } from "../parts/fields";
import { Loaded } from "../parts/list";
import { OwnerPicker, OwnerTypeField, useProducts } from "../parts/pickers";
import { useSay } from "../parts/toast";
import { Button, Fingerprint, Notice } from "../parts/ui";
import { useSession } from "../session";
import { BLANK, creation, type Draft, draftOf, type Holder, patch, templateOf } from "./draft";
import { QuotaRows, RateRows } from "./limits";
import { SecretOnce, variableOf } from "./secret";

/** **Generate New API Key.** */
export function NewKeyDialog({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const { owner: bound } = useSession();
  const [draft, setDraft] = useState<Draft>(BLANK);
  const [isNewOwner, setNewOwner] = useState(false);
  const [owner, setOwner] = useState<{ id: string; name: string } | null>(bound);
  const [ownerName, setOwnerName] = useState("");
  const [ownerType, setOwnerType] = useState<OwnerType>("team");
  const [once, setOnce] = useState(idempotencyKey);

  const holder: Holder | null = isNewOwner ? { name: ownerName.trim(), type: ownerType } : owner;
  const making = useMutation({
    mutationFn: () =>
      call<KeyCreated>("/admin/keys", {
        method: "POST",
        headers: { "Idempotency-Key": once },
        body: holder === null ? {} : creation(draft, holder),
      }),
    onSuccess: () => client.invalidateQueries(),
    onError: (error) => {
      // What was refused was not done: another body is another creation.
      if (error instanceof Problem && error.status !== 0) setOnce(idempotencyKey());
    },
  });

  if (making.data) {
    const made = making.data;
    return (
      <Dialog title={`${made.key.name} is ready`} onClose={onClose} locked={made.secret !== null}>
        {made.secret === null ? (
          <Notice tone="warn">The key was made before, and its secret was told then. If it is lost, rotate the key.</Notice>
        ) : (
          <SecretOnce secret={made.secret} variable={variableOf(made.key.name)} onAcknowledged={onClose}>
            <p>
              Key <code>{made.key.id}</code> of {made.key.owner.name}, fingerprint <Fingerprint of={made.key.fingerprint} />.
            </p>
          </SecretOnce>
        )}
      </Dialog>
    );
  }

  const isReady = draft.name.trim() !== "" && holder !== null && holder.name !== "";
  return (
    <FormDialog
      title="Generate New API Key"
      change={making}
      submit={making.isPending ? "Generating…" : "Generate"}
      isReady={isReady}
      wide
      onClose={onClose}
    >
      {bound === null && (
        <fieldset>
          <legend>Who holds it</legend>
          <Segmented
            label="Which owner"
            value={isNewOwner ? "new" : "known"}
            options={[
              { value: "known", label: "A known owner" },
              { value: "new", label: "A new owner" },
            ]}
            onChange={(value) => setNewOwner(value === "new")}
          />
          {isNewOwner ? (
            <div className="row">
              <div className="grow">
                <InputField label="Name of the owner" at="/owner" required value={ownerName} onChange={setOwnerName} />
              </div>
              <OwnerTypeField value={ownerType} onChange={setOwnerType} />
            </div>
          ) : (
            <OwnerPicker value={owner} onChange={setOwner} at="/owner_id" />
          )}
        </fieldset>
      )}
      {!isNewOwner && owner !== null && (
        <Templates
          owner={owner.id}
          onChoose={(key) => setDraft({ ...templateOf(key), name: draft.name, description: draft.description })}
        />
      )}
      <KeyFields draft={draft} onChange={setDraft} isNew />
    </FormDialog>
  );
}

/** The owner's keys as templates: a team's next key is mostly like its last. */
function Templates({ owner, onChoose }: { owner: string; onChoose: (key: Key) => void }) {
  const keys = useQuery({
    queryKey: ["templates", owner],
    queryFn: ({ signal }) => call<Page<Key>>(url("/admin/keys", { owner, status: "active", sort: "-created_at", limit: 20 }), { signal }),
  });
  const items = keys.data?.items ?? [];
  if (items.length === 0) return null;
  return (
    <Field label="Start from a key of this owner" hint="Takes over products, scopes, limits, quotas and labels; the secret is a new one.">
      {(ids) => (
        <select
          {...ids}
          defaultValue=""
          onChange={(event) => {
            const key = items.find((each) => each.id === event.currentTarget.value);
            if (key) onChoose(key);
          }}
        >
          <option value="">Nothing, from blank</option>
          {items.map((key) => (
            <option key={key.id} value={key.id}>
              {key.name}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function EditDialog({ of: key, onClose }: { of: Key; onClose: () => void }) {
  // What is edited is what the gate has now, with the tag that says if somebody else was there first.
  const loaded = useQuery({
    queryKey: ["edit", key.id],
    queryFn: async ({ signal }) => {
      const response = await send(`/admin/keys/${seg(key.id)}`, { signal });
      return { key: (await response.json()) as Key, etag: response.headers.get("etag") };
    },
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <Dialog title={`Edit ${key.name}`} onClose={onClose} wide>
      <Loaded of={loaded}>{(data) => <EditForm key={data.etag} of={data.key} etag={data.etag} onClose={onClose} />}</Loaded>
    </Dialog>
  );
}

function EditForm({ of: key, etag, onClose }: { of: Key; etag: string | null; onClose: () => void }) {
  const client = useQueryClient();
  const say = useSay();
  const [before] = useState(() => draftOf(key));
  const [draft, setDraft] = useState(before);
  const changes = patch(before, draft);
  const change = useMutation({
    mutationFn: () =>
      call<Key>(`/admin/keys/${seg(key.id)}`, {
        method: "PATCH",
        body: changes,
        headers: etag === null ? {} : { "If-Match": etag },
      }),
    onSuccess: async () => {
      onClose();
      say(`${key.name} is changed.`);
      await client.invalidateQueries();
    },
  });
  const isOutrun = change.error instanceof Problem && change.error.code === "precondition_failed";
  return (
    <Form
      onSubmit={() => change.mutate()}
      error={change.error}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={change.isPending} disabled={Object.keys(changes).length === 0}>
            Save
          </Button>
        </>
      }
    >
      {isOutrun && <Notice tone="warn">Somebody else changed this key meanwhile. Close, look at it, and edit it again.</Notice>}
      <KeyFields draft={draft} onChange={setDraft} isNew={false} />
    </Form>
  );
}

function KeyFields({ draft, onChange, isNew }: { draft: Draft; onChange: (draft: Draft) => void; isNew: boolean }) {
  const products = useProducts();
  const set = (change: Partial<Draft>) => onChange({ ...draft, ...change });
  const text = (name: "scopes" | "allowed_methods" | "allowed_paths" | "allowed_ips" | "labels", label: string, hint: string) => (
    <InputField label={label} hint={hint} at={`/${name}`} className="mono" value={draft[name]} onChange={(text) => set({ [name]: text })} />
  );
  const names = [...new Set([...(products.data?.items ?? []).map((product) => product.name), ...draft.products])];
  return (
    <>
      <div className="columns">
        <InputField
          label="Name"
          at="/name"
          required
          maxLength={128}
          placeholder="billing-worker"
          value={draft.name}
          onChange={(name) => set({ name })}
        />
        <InputField
          label="Purpose"
          hint="Why the key exists."
          at="/description"
          value={draft.description}
          onChange={(description) => set({ description })}
        />
        <InputField
          label="Expires on"
          hint="Left empty, it does not end by itself."
          at="/expires_at"
          type="date"
          value={draft.expires}
          onChange={(expires) => set({ expires })}
        />
        <SelectField
          label="Risk"
          hint="Rotation rules and policies may go by it."
          at="/risk"
          value={draft.risk}
          onChange={(risk) => set({ risk })}
        >
          <option value="low">low</option>
          <option value="standard">standard</option>
          <option value="high">high</option>
        </SelectField>
      </div>
      {names.length > 0 && (
        <fieldset>
          <legend>Products</legend>
          <div className="choices">
            {names.map((name) => (
              <Checkbox
                key={name}
                label={name}
                checked={draft.products.includes(name)}
                onChange={(checked) =>
                  set({ products: checked ? [...draft.products, name] : draft.products.filter((each) => each !== name) })
                }
              />
            ))}
          </div>
          <Fault at="/products" />
        </fieldset>
      )}
      {text("scopes", "Scopes", "Besides those of its products, like orders:read, orders:write.")}
      <RateRows rows={draft.rates} onChange={(rates) => set({ rates })} />
      <Fault at="/rate_limits" />
      <QuotaRows rows={draft.quotas} onChange={(quotas) => set({ quotas })} />
      <Fault at="/quotas" />
      <details>
        <summary>More: labels, addresses, methods, paths, environment</summary>
        <div className="columns">
          {text("labels", "Labels", "name=value, parted by commas.")}
          {isNew && (
            <InputField
              label="Environment"
              hint="The first that is configured, if left empty."
              at="/env"
              className="mono"
              pattern="[a-z0-9]{1,12}"
              value={draft.env}
              onChange={(env) => set({ env })}
            />
          )}
          {text("allowed_ips", "Addresses", "It may be used from, like 10.0.0.0/8. Empty: all.")}
          {text("allowed_methods", "Methods", "Like GET, HEAD. Empty: all.")}
          {text("allowed_paths", "Paths", "With all below them, like /v1/orders. Empty: all.")}
          <InputField
            label="Requests at once"
            hint="Per gate. Empty: no limit."
            at="/concurrency"
            type="number"
            min={1}
            value={draft.concurrency}
            onChange={(concurrency) => set({ concurrency })}
          />
          <Checkbox
            label="Protected"
            hint="It must be unprotected before it can be revoked."
            checked={draft.protected}
            onChange={(value) => set({ protected: value })}
          />
          <Checkbox
            label="Self-rotation"
            hint="Its holder may rotate it at the gate."
            checked={draft.self_rotation}
            onChange={(value) => set({ self_rotation: value })}
          />
        </div>
      </details>
    </>
  );
}
