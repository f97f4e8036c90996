// Owners: who holds keys, their way in, and switching one off with everything they hold.

import { useMutation } from "@tanstack/react-query";
import { LogIn, Plus, UserX } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";

import { call, type Owner, type OwnerDisabled, type OwnerType, seg, type SignIn, url } from "../api";
import { isEverywhere, Standing, WAITING } from "../keys/revocation";
import { useChange, withReason } from "../parts/change";
import { Dialog, FormDialog } from "../parts/dialog";
import { Form, InputField, ReasonField, SearchBox } from "../parts/fields";
import { Listing, useList } from "../parts/list";
import { plural } from "../parts/numbers";
import { OwnerTypeField, useSettled } from "../parts/pickers";
import { Ago, Countdown } from "../parts/time";
import { useTell } from "../parts/toast";
import { ACTIONS, Badge, Button, CopyButton, Empty, Failure, Notice, PageHead, Table } from "../parts/ui";
import { useMay } from "../session";

type Doing = { what: "new" } | { what: "rename" | "disable" | "sign-in" | "erase"; owner: Owner } | null;

export function Owners() {
  const [typed, setTyped] = useState("");
  const name = useSettled(typed);
  const owners = useList<Owner>("/admin/users", { name, limit: 50 });
  const [doing, setDoing] = useState<Doing>(null);
  const mayChange = useMay("operator");
  const isAdmin = useMay("admin");
  const letIn = useChange((owner: Owner) => call<Owner>(`/admin/users/${seg(owner.id)}`, { method: "PATCH", body: { disabled: false } }), {
    said: (owner) => `${owner.name} may have keys again.`,
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
        <SearchBox label="Search by name" value={typed} onChange={setTyped} />
      </div>
      {letIn.error && <Failure error={letIn.error} />}
      <Listing
        of={owners}
        rows={6}
        empty={
          <Empty title={name === "" ? "There are no owners yet." : "No owner is called that."}>
            {name === "" && <p>One is made with its first key, or here.</p>}
          </Empty>
        }
      >
        {(page) => (
          <Table label="Owners" columns={["Name", "Type", "State", "Since", "Keys", ACTIONS]}>
            {page.map((owner) => (
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
        )}
      </Listing>
      {doing?.what === "new" && <OwnerDialog onClose={close} />}
      {doing?.what === "rename" && <OwnerDialog of={doing.owner} onClose={close} />}
      {doing?.what === "disable" && <DisableDialog of={doing.owner} onClose={close} />}
      {doing?.what === "sign-in" && <SignInDialog of={doing.owner} onClose={close} />}
      {doing?.what === "erase" && <EraseDialog of={doing.owner} onClose={close} />}
    </>
  );
}

function OwnerDialog({ of: owner, onClose }: { of?: Owner; onClose: () => void }) {
  const [name, setName] = useState(owner?.name ?? "");
  const [type, setType] = useState<OwnerType>("team");
  const change = useChange(
    () =>
      owner
        ? call<Owner>(`/admin/users/${seg(owner.id)}`, { method: "PATCH", body: { name: name.trim() } })
        : call<Owner>("/admin/users", { method: "POST", body: { name: name.trim(), type } }),
    { said: (done) => (owner ? `Now called ${done.name}.` : `${done.name} is made.`), then: onClose },
  );
  return (
    <FormDialog
      title={owner ? `Rename ${owner.name}` : "New owner"}
      change={change}
      submit={owner ? "Rename" : "Make"}
      isReady={name.trim() !== ""}
      onClose={onClose}
    >
      <InputField label="Name" required maxLength={128} value={name} onChange={setName} />
      {!owner && <OwnerTypeField value={type} onChange={setType} />}
    </FormDialog>
  );
}

function DisableDialog({ of: owner, onClose }: { of: Owner; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const tell = useTell();
  const disable = useChange(
    () => call<OwnerDisabled>(url(`/admin/users/${seg(owner.id)}/keys/disable`, WAITING), { method: "POST", body: withReason(reason) }),
    {
      then: (done) => {
        onClose();
        tell({ title: `${owner.name} is switched off`, body: <SwitchedOff of={done} /> });
      },
    },
  );
  return (
    <FormDialog
      title={`Disable all keys of ${owner.name}`}
      change={disable}
      submit="Disable all keys"
      kind="danger"
      isReady={typed === owner.name}
      onClose={onClose}
    >
      <Notice tone="bad">
        Every key of this owner is revoked in one step, protected ones too, and its tokens and sessions end.{" "}
        <b>The keys never come back.</b>
      </Notice>
      <ReasonField value={reason} onChange={setReason} />
      <InputField label={`Type “${owner.name}” to confirm`} autoComplete="off" value={typed} onChange={setTyped} />
    </FormDialog>
  );
}

function SwitchedOff({ of: done }: { of: OwnerDisabled }) {
  return (
    <>
      <p>
        {plural(done.revoked, "key")} revoked, {plural(done.tokens_ended, "token")} ended; sessions are over.
        {done.under_way && " All of them are refused already; the gate is still writing them down one by one."}
      </p>
      {!isEverywhere(done.revocation) && <Standing of={done.revocation} />}
    </>
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
        error={make.error}
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
        {make.data ? (
          <>
            <p>
              Send it to {owner.name} over a channel you trust. It works once, for another{" "}
              <Countdown to={make.data.expires_at} over="0 s: it has ended" />.
            </p>
            <div className="with-button">
              <input
                className="mono secret"
                readOnly
                value={link}
                aria-label="Sign-in link"
                onFocus={(event) => event.currentTarget.select()}
              />
              <CopyButton text={link} label="Copy link" />
            </div>
          </>
        ) : (
          <p>
            Whoever opens the link, once and within 15 minutes, sees, makes, rotates and revokes the keys of {owner.name}, and nothing else.
          </p>
        )}
      </Form>
    </Dialog>
  );
}

function EraseDialog({ of: owner, onClose }: { of: Owner; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const erase = useChange(() => call(url(`/admin/users/${seg(owner.id)}`, withReason(reason)), { method: "DELETE" }), {
    said: () => "The person is erased; the id stays.",
    then: onClose,
  });
  return (
    <FormDialog title={`Erase ${owner.name}`} change={erase} submit="Erase for ever" kind="danger" onClose={onClose}>
      <Notice tone="bad">
        The name is taken out everywhere, the audit log included, which stays whole. The id {owner.id} stays. This cannot be undone.
      </Notice>
      <ReasonField value={reason} onChange={setReason} />
    </FormDialog>
  );
}
