// The forms that make and change a key.

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { call, idempotencyKey, type Key, type KeyCreated, type OwnerType, type Page, Problem, seg, send, url } from "../api";
import { OwnerPicker, useProducts } from "../parts/pickers";
import { useSay } from "../parts/toast";
import { Button, Checkbox, Dialog, Failure, Field, Fingerprint, Form, Loading, Notice, Segmented } from "../parts/ui";
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

  const problem = making.error instanceof Problem ? making.error : null;
  const isReady = draft.name.trim() !== "" && holder !== null && holder.name !== "";
  return (
    <Dialog title="Generate New API Key" onClose={onClose} wide locked={making.isPending}>
      <Form
        onSubmit={() => isReady && making.mutate()}
        foot={
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="primary" busy={making.isPending} disabled={!isReady}>
              {making.isPending ? "Generating…" : "Generate"}
            </Button>
          </>
        }
      >
        {making.error && <Failure error={making.error} />}
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
                  <Field label="Name of the owner" error={problem?.at("/owner")}>
                    {(ids) => (
                      <input {...ids} required value={ownerName} onChange={(event) => setOwnerName(event.currentTarget.value)} />
                    )}
                  </Field>
                </div>
                <Field label="Type">
                  {(ids) => (
                    <select {...ids} value={ownerType} onChange={(event) => setOwnerType(event.currentTarget.value as OwnerType)}>
                      <option value="team">team</option>
                      <option value="user">user</option>
                      <option value="system">system</option>
                    </select>
                  )}
                </Field>
              </div>
            ) : (
              <OwnerPicker value={owner} onChange={setOwner} error={problem?.at("/owner_id")} />
            )}
          </fieldset>
        )}
        {!isNewOwner && owner !== null && <Templates owner={owner.id} onChoose={(key) => setDraft({ ...templateOf(key), name: draft.name, description: draft.description })} />}
        <KeyFields draft={draft} onChange={setDraft} problem={problem} isNew />
      </Form>
    </Dialog>
  );
}

/** The owner's keys as templates: a team's next key is mostly like its last. */
function Templates({ owner, onChoose }: { owner: string; onChoose: (key: Key) => void }) {
  const keys = useQuery({
    queryKey: ["templates", owner],
    queryFn: ({ signal }) =>
      call<Page<Key>>(url("/admin/keys", { owner, status: "active", sort: "-created_at", limit: 20 }), { signal }),
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
      {loaded.error ? (
        <Failure error={loaded.error} retry={() => void loaded.refetch()} />
      ) : loaded.data ? (
        <EditForm key={loaded.data.etag} of={loaded.data.key} etag={loaded.data.etag} onClose={onClose} />
      ) : (
        <Loading />
      )}
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
  const problem = change.error instanceof Problem ? change.error : null;
  return (
    <Form
      onSubmit={() => change.mutate()}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={change.isPending} disabled={Object.keys(changes).length === 0}>
            Save
          </Button>
        </>
      }
    >
      {change.error && <Failure error={change.error} />}
      {problem?.code === "precondition_failed" && (
        <Notice tone="warn">Somebody else changed this key meanwhile. Close, look at it, and edit it again.</Notice>
      )}
      <KeyFields draft={draft} onChange={setDraft} problem={problem} isNew={false} />
    </Form>
  );
}

function KeyFields({
  draft,
  onChange,
  problem,
  isNew,
}: {
  draft: Draft;
  onChange: (draft: Draft) => void;
  problem: Problem | null;
  isNew: boolean;
}) {
  const products = useProducts();
  const set = (change: Partial<Draft>) => onChange({ ...draft, ...change });
  const text = (name: "scopes" | "allowed_methods" | "allowed_paths" | "allowed_ips" | "labels", label: string, hint: string) => (
    <Field label={label} hint={hint} error={problem?.at(`/${name}`)}>
      {(ids) => (
        <input {...ids} className="mono" value={draft[name]} onChange={(event) => set({ [name]: event.currentTarget.value })} />
      )}
    </Field>
  );
  const names = [...new Set([...(products.data?.items ?? []).map((product) => product.name), ...draft.products])];
  return (
    <>
      <div className="columns">
        <Field label="Name" error={problem?.at("/name")}>
          {(ids) => (
            <input
              {...ids}
              required
              maxLength={128}
              placeholder="billing-worker"
              value={draft.name}
              onChange={(event) => set({ name: event.currentTarget.value })}
            />
          )}
        </Field>
        <Field label="Purpose" hint="Why the key exists." error={problem?.at("/description")}>
          {(ids) => (
            <input {...ids} value={draft.description} onChange={(event) => set({ description: event.currentTarget.value })} />
          )}
        </Field>
        <Field label="Expires on" hint="Left empty, it does not end by itself." error={problem?.at("/expires_at")}>
          {(ids) => (
            <input {...ids} type="date" value={draft.expires} onChange={(event) => set({ expires: event.currentTarget.value })} />
          )}
        </Field>
        <Field label="Risk" hint="Rotation rules and policies may go by it." error={problem?.at("/risk")}>
          {(ids) => (
            <select {...ids} value={draft.risk} onChange={(event) => set({ risk: event.currentTarget.value })}>
              <option value="low">low</option>
              <option value="standard">standard</option>
              <option value="high">high</option>
            </select>
          )}
        </Field>
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
          {problem?.at("/products") && <p className="field-error">{problem.at("/products")}</p>}
        </fieldset>
      )}
      {text("scopes", "Scopes", "Besides those of its products, like orders:read, orders:write.")}
      <RateRows rows={draft.rates} onChange={(rates) => set({ rates })} />
      {problem?.at("/rate_limits") && <p className="field-error">{problem.at("/rate_limits")}</p>}
      <QuotaRows rows={draft.quotas} onChange={(quotas) => set({ quotas })} />
      {problem?.at("/quotas") && <p className="field-error">{problem.at("/quotas")}</p>}
      <details>
        <summary>More: labels, addresses, methods, paths, environment</summary>
        <div className="columns">
          {text("labels", "Labels", "name=value, parted by commas.")}
          {isNew && (
            <Field label="Environment" hint="The first that is configured, if left empty." error={problem?.at("/env")}>
              {(ids) => (
                <input
                  {...ids}
                  className="mono"
                  pattern="[a-z0-9]{1,12}"
                  value={draft.env}
                  onChange={(event) => set({ env: event.currentTarget.value })}
                />
              )}
            </Field>
          )}
          {text("allowed_ips", "Addresses", "It may be used from, like 10.0.0.0/8. Empty: all.")}
          {text("allowed_methods", "Methods", "Like GET, HEAD. Empty: all.")}
          {text("allowed_paths", "Paths", "With all below them, like /v1/orders. Empty: all.")}
          <Field label="Requests at once" hint="Per gate. Empty: no limit." error={problem?.at("/concurrency")}>
            {(ids) => (
              <input
                {...ids}
                type="number"
                min={1}
                value={draft.concurrency}
                onChange={(event) => set({ concurrency: event.currentTarget.value })}
              />
            )}
          </Field>
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
