// Owners: who holds keys, their way in, and switching one off with everything they hold.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { LogIn, Plus, UserX } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";

import { call, type Owner, type OwnerDisabled, type OwnerType, seg, type SignIn } from "../api";
import { useList } from "../parts/cursors";
import { plural } from "../parts/numbers";
import { useSettled } from "../parts/pickers";
import { Ago, Countdown } from "../parts/time";
import { useSay } from "../parts/toast";
import { Badge, Button, CopyButton, Dialog, Empty, Failure, Field, Form, Loading, Notice, PageHead, Pager, Table } from "../parts/ui";
import { useMay } from "../session";

type Doing = { what: "new" } | { what: "rename" | "disable" | "sign-in" | "erase"; owner: Owner } | null;

export function Owners() {
  const [typed, setTyped] = useState("");
  const name = useSettled(typed);
  const owners = useList<Owner>("/admin/users", { name, limit: 50 });
  const [doing, setDoing] = useState<Doing>(null);
  const mayChange = useMay("operator");
  const isAdmin = useMay("admin");
  const client = useQueryClient();
  const say = useSay();
  const letIn = useMutation({
    mutationFn: (owner: Owner) => call<Owner>(`/admin/users/${seg(owner.id)}`, { method: "PATCH", body: { disabled: false } }),
    onSuccess: async (owner) => {
      await client.invalidateQueries();
      say(`${owner.name} may have keys again.`);
    },
  });
  const close = () => setDoing(null);
  return (
    <>
      <PageHead title="Owners" sub="Users, teams and systems that hold keys.">
        {mayChange && (
          <Button kind="primary" onClick={() => setDoing({ what: "new" })}>
            <Plus /> New owner
          </Button>
        )}
      </PageHead>
      <div className="toolbar">
        <input
          type="search"
          className="search"
          aria-label="Search by name"
          placeholder="Search by name"
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
        />
      </div>
      {letIn.error && <Failure error={letIn.error} />}
      {owners.error ? (
        <Failure error={owners.error} retry={owners.refetch} />
      ) : owners.items === undefined ? (
        <Loading rows={6} />
      ) : owners.items.length === 0 ? (
        <Empty title={name === "" ? "There are no owners yet." : "No owner is called that."}>
          {name === "" && <p>One is made with its first key, or here.</p>}
        </Empty>
      ) : (
        <div className={owners.isStale ? "fading" : undefined}>
          <Table
            label="Owners"
            head={
              <>
                <th scope="col">Name</th>
                <th scope="col">Type</th>
                <th scope="col">State</th>
                <th scope="col">Since</th>
                <th scope="col">Keys</th>
                <th scope="col">
                  <span className="visually-hidden">Actions</span>
                </th>
              </>
            }
          >
            {owners.items.map((owner) => (
              <tr key={owner.id}>
                <th scope="row">
                  {owner.name}
                  <span className="under mono">{owner.id}</span>
                </th>
                <td>{owner.type}</td>
                <td>
                  {owner.disabled_at ? (
                    <>
                      <Badge tone="bad">switched off</Badge>
                      <span className="under">
                        <Ago at={owner.disabled_at} />
                      </span>
                    </>
                  ) : (
                    <Badge tone="good">in good standing</Badge>
                  )}
                </td>
                <td>
                  <Ago at={owner.created_at} />
                </td>
                <td>
                  <Link href={`/keys?owner=${seg(owner.id)}`}>
                    Show keys<span className="visually-hidden"> of {owner.name}</span>
                  </Link>
                </td>
                <td>
                  <div className="key-actions">
                    {mayChange && !owner.disabled_at && (
                      <>
                        <Button onClick={() => setDoing({ what: "sign-in", owner })}>
                          <LogIn /> Sign-in link
                        </Button>
                        <Button onClick={() => setDoing({ what: "rename", owner })}>Rename</Button>
                        <Button kind="danger" onClick={() => setDoing({ what: "disable", owner })}>
                          <UserX /> Disable all keys
                        </Button>
                      </>
                    )}
                    {isAdmin && owner.disabled_at && (
                      <Button onClick={() => letIn.mutate(owner)} busy={letIn.isPending}>
                        Let back in
                      </Button>
                    )}
                    {isAdmin && owner.disabled_at && (
                      <Button kind="danger" onClick={() => setDoing({ what: "erase", owner })}>
                        Erase
                      </Button>
                    )}
                  </div>
                </td>
              </tr>
            ))}
          </Table>
          <Pager {...owners.pager} />
        </div>
      )}
      {doing?.what === "new" && <OwnerDialog onClose={close} />}
      {doing?.what === "rename" && <OwnerDialog of={doing.owner} onClose={close} />}
      {doing?.what === "disable" && <DisableDialog of={doing.owner} onClose={close} />}
      {doing?.what === "sign-in" && <SignInDialog of={doing.owner} onClose={close} />}
      {doing?.what === "erase" && <EraseDialog of={doing.owner} onClose={close} />}
    </>
  );
}

function OwnerDialog({ of: owner, onClose }: { of?: Owner; onClose: () => void }) {
  const client = useQueryClient();
  const say = useSay();
  const [name, setName] = useState(owner?.name ?? "");
  const [type, setType] = useState<OwnerType>("team");
  const change = useMutation({
    mutationFn: () =>
      owner
        ? call<Owner>(`/admin/users/${seg(owner.id)}`, { method: "PATCH", body: { name: name.trim() } })
        : call<Owner>("/admin/users", { method: "POST", body: { name: name.trim(), type } }),
    onSuccess: async (done) => {
      await client.invalidateQueries();
      say(owner ? `Now called ${done.name}.` : `${done.name} is made.`);
      onClose();
    },
  });
  return (
    <Dialog title={owner ? `Rename ${owner.name}` : "New owner"} onClose={onClose}>
      <Form
        onSubmit={() => change.mutate()}
        foot={
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="primary" busy={change.isPending} disabled={name.trim() === ""}>
              {owner ? "Rename" : "Make"}
            </Button>
          </>
        }
      >
        {change.error && <Failure error={change.error} />}
        <Field label="Name">
          {(ids) => <input {...ids} required maxLength={128} value={name} onChange={(event) => setName(event.currentTarget.value)} />}
        </Field>
        {!owner && (
          <Field label="Type">
            {(ids) => (
              <select {...ids} value={type} onChange={(event) => setType(event.currentTarget.value as OwnerType)}>
                <option value="team">team</option>
                <option value="user">user</option>
                <option value="system">system</option>
              </select>
            )}
          </Field>
        )}
      </Form>
    </Dialog>
  );
}

function DisableDialog({ of: owner, onClose }: { of: Owner; onClose: () => void }) {
  const client = useQueryClient();
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const disable = useMutation({
    mutationFn: () =>
      call<OwnerDisabled>(`/admin/users/${seg(owner.id)}/keys/disable`, {
        method: "POST",
        body: reason.trim() === "" ? {} : { reason: reason.trim() },
      }),
    onSuccess: () => client.invalidateQueries(),
  });
  const done = disable.data;
  if (done) {
    return (
      <Dialog title={`${owner.name} is switched off`} onClose={onClose}>
        <div className="form">
          <div className="form-body">
            <p>
              {plural(done.revoked, "key")} revoked, {plural(done.tokens_ended, "token")} ended; sessions are over.
              {done.under_way && " All of them are refused already; the gate is still writing them down one by one."}
            </p>
          </div>
          <footer className="form-foot">
            <Button kind="primary" onClick={onClose}>
              Close
            </Button>
          </footer>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title={`Disable all keys of ${owner.name}`} onClose={onClose} locked={disable.isPending}>
      <Form
        onSubmit={() => disable.mutate()}
        foot={
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="danger" busy={disable.isPending} disabled={typed !== owner.name}>
              Disable all keys
            </Button>
          </>
        }
      >
        {disable.error && <Failure error={disable.error} />}
        <Notice tone="bad">
          Every key of this owner is revoked in one step, protected ones too, and its tokens and sessions end.{" "}
          <b>The keys never come back.</b>
        </Notice>
        <Field label="Reason" hint="Stands in the audit log.">
          {(ids) => <input {...ids} maxLength={1_024} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />}
        </Field>
        <Field label={`Type “${owner.name}” to confirm`}>
          {(ids) => <input {...ids} autoComplete="off" value={typed} onChange={(event) => setTyped(event.currentTarget.value)} />}
        </Field>
      </Form>
    </Dialog>
  );
}

function SignInDialog({ of: owner, onClose }: { of: Owner; onClose: () => void }) {
  const make = useMutation({
    mutationFn: () => call<SignIn>(`/admin/users/${seg(owner.id)}/sign-in`, { method: "POST" }),
  });
  const link = make.data ? `${window.location.origin}${make.data.path}` : "";
  return (
    <Dialog title={`Sign-in link for ${owner.name}`} onClose={onClose}>
      <Form
        onSubmit={() => make.mutate()}
        foot={
          make.data ? (
            <Button kind="primary" onClick={onClose}>
              Done
            </Button>
          ) : (
            <>
              <Button onClick={onClose}>Cancel</Button>
              <Button type="submit" kind="primary" busy={make.isPending}>
                Make a link
              </Button>
            </>
          )
        }
      >
        {make.error && <Failure error={make.error} />}
        {make.data ? (
          <>
            <p>
              Send it to {owner.name} over a channel you trust. It works once, for another{" "}
              <Countdown to={make.data.expires_at} over="0 s: it has ended" />.
            </p>
            <div className="with-button">
              <input className="mono secret" readOnly value={link} aria-label="Sign-in link" onFocus={(event) => event.currentTarget.select()} />
              <CopyButton text={link} label="Copy link" />
            </div>
          </>
        ) : (
          <p>
            Whoever opens the link, once and within 15 minutes, sees, makes, rotates and revokes the keys of {owner.name}, and
            nothing else.
          </p>
        )}
      </Form>
    </Dialog>
  );
}

function EraseDialog({ of: owner, onClose }: { of: Owner; onClose: () => void }) {
  const client = useQueryClient();
  const say = useSay();
  const [reason, setReason] = useState("");
  const erase = useMutation({
    mutationFn: async () => {
      const query = reason.trim() === "" ? "" : `?reason=${seg(reason.trim())}`;
      await call(`/admin/users/${seg(owner.id)}${query}`, { method: "DELETE" });
    },
    onSuccess: async () => {
      await client.invalidateQueries();
      say("The person is erased; the id stays.");
      onClose();
    },
  });
  return (
    <Dialog title={`Erase ${owner.name}`} onClose={onClose} locked={erase.isPending}>
      <Form
        onSubmit={() => erase.mutate()}
        foot={
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="danger" busy={erase.isPending}>
              Erase for ever
            </Button>
          </>
        }
      >
        {erase.error && <Failure error={erase.error} />}
        <Notice tone="bad">
          The name is taken out everywhere, the audit log included, which stays whole. The id {owner.id} stays. This cannot be
          undone.
        </Notice>
        <Field label="Reason" hint="Stands in the audit log.">
          {(ids) => <input {...ids} maxLength={1_024} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />}
        </Field>
      </Form>
    </Dialog>
  );
}
