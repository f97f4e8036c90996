// Settings: automatic rotation, admin tokens, and the access review.

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Download, Plus } from "lucide-react";
import { useRef, useState } from "react";

import { call, type Owner, Problem, type Role, type RotationRule, seg, type Token, url } from "../api";
import { endOfDay } from "../keys/rotate";
import { SecretOnce } from "../keys/secret";
import { useList } from "../parts/cursors";
import { pages, save } from "../parts/download";
import { plural } from "../parts/numbers";
import { OwnerPicker } from "../parts/pickers";
import { ALL_KEYS, inWords, isWhole, SelectorFields, selectorOf } from "../parts/selector";
import { Ago } from "../parts/time";
import { useSay } from "../parts/toast";
import { Badge, Button, Checkbox, Dialog, Empty, Failure, Field, Fingerprint, Form, Loading, PageHead, Pager, Panel, Table } from "../parts/ui";
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
  const client = useQueryClient();
  const say = useSay();
  const [isAdding, setAdding] = useState(false);
  const [ending, setEnding] = useState<RotationRule | null>(null);
  const rules = useQuery({
    queryKey: ["rotation"],
    queryFn: ({ signal }) => call<{ items: RotationRule[] }>("/admin/keys/rotation", { signal }),
  });
  const forAll = rules.data?.items.find((rule) => rule.selector === null);
  const enable = useMutation({
    mutationFn: () =>
      call("/admin/keys/rotation/enable", { method: "POST", body: { interval_days: 90, keep_previous: true } }),
    onSuccess: async () => {
      await client.invalidateQueries();
      say("All keys are rotated every 90 days.");
    },
  });
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
      {rules.error ? (
        <Failure error={rules.error} retry={() => void rules.refetch()} />
      ) : !rules.data ? (
        <Loading rows={2} />
      ) : (
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
                A key without a sink that takes its new secret is not rotated but marked “rotation due”, so that nobody is locked
                out.
              </p>
            </div>
          </div>
          {rules.data.items.length > 0 && (
            <Table
              label="Rules of rotation"
              head={
                <>
                  <th scope="col">For</th>
                  <th scope="col">Every</th>
                  <th scope="col">The version before</th>
                  <th scope="col">Rotation due</th>
                  <th scope="col">
                    <span className="visually-hidden">Actions</span>
                  </th>
                </>
              }
            >
              {rules.data.items.map((rule) => (
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
      {isAdding && <RuleDialog onClose={() => setAdding(false)} />}
      {ending !== null && <EndRuleDialog of={ending} onClose={() => setEnding(null)} />}
    </Panel>
  );
}

function RuleDialog({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const say = useSay();
  const [days, setDays] = useState("90");
  const [keeps, setKeeps] = useState(true);
  const [grace, setGrace] = useState("24h");
  const [chosen, setChosen] = useState(ALL_KEYS);
  const enable = useMutation({
    mutationFn: () => {
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
    onSuccess: async () => {
      await client.invalidateQueries();
      say("The rule is in force.");
      onClose();
    },
  });
  const problem = enable.error instanceof Problem ? enable.error : null;
  return (
    <Dialog title="New rule of rotation" onClose={onClose}>
      <Form
        onSubmit={() => enable.mutate()}
        foot={
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="primary" busy={enable.isPending} disabled={!isWhole(chosen)}>
              Turn on
            </Button>
          </>
        }
      >
        {enable.error && <Failure error={enable.error} />}
        <SelectorFields chosen={chosen} onChange={setChosen} error={problem?.at("/selector")} />
        <Field label="Every so many days" error={problem?.at("/interval_days")}>
          {(ids) => (
            <input {...ids} type="number" min={1} max={3650} required value={days} onChange={(event) => setDays(event.currentTarget.value)} />
          )}
        </Field>
        <Checkbox
          label="Keep the version before"
          hint="It works until the next rotation, so that clients move when they like."
          checked={keeps}
          onChange={setKeeps}
        />
        {!keeps && (
          <Field label="How long the version before works" hint="Like 1h or 24h." error={problem?.at("/grace")}>
            {(ids) => (
              <input {...ids} className="mono" required pattern="[0-9]+(ms|s|m|h|d)" value={grace} onChange={(event) => setGrace(event.currentTarget.value)} />
            )}
          </Field>
        )}
        <p className="hint">A rule there is for the same keys is replaced. Of several, the narrowest holds.</p>
      </Form>
    </Dialog>
  );
}

/** The rule for all keys cannot be named: it goes with all the others, and whoever asks is told so. */
function EndRuleDialog({ of: rule, onClose }: { of: RotationRule; onClose: () => void }) {
  const client = useQueryClient();
  const say = useSay();
  const isForAll = rule.selector === null;
  const end = useMutation({
    mutationFn: () =>
      call("/admin/keys/rotation/disable", { method: "POST", body: isForAll ? {} : { selector: rule.selector } }),
    onSuccess: async () => {
      await client.invalidateQueries();
      say(isForAll ? "Nothing is rotated automatically any more." : "The rule is gone.");
      onClose();
    },
  });
  return (
    <Dialog title={isForAll ? "Turn automatic rotation off" : "Take this rule away"} onClose={onClose}>
      <Form
        onSubmit={() => end.mutate()}
        foot={
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="danger" busy={end.isPending}>
              {isForAll ? "Turn off" : "Take away"}
            </Button>
          </>
        }
      >
        {end.error && <Failure error={end.error} />}
        <p>
          {isForAll
            ? "All rules are taken away, those for some keys too. Keys stay as they are."
            : `The rule for ${inWords(rule.selector)} is taken away; a wider one may still cover these keys.`}
        </p>
      </Form>
    </Dialog>
  );
}

function Tokens() {
  const client = useQueryClient();
  const say = useSay();
  const tokens = useList<Token>("/admin/tokens", { limit: 50 });
  const [isMaking, setMaking] = useState(false);
  const [ending, setEnding] = useState<Token | null>(null);
  const end = useMutation({
    mutationFn: (token: Token) => call(`/admin/tokens/${seg(token.id)}`, { method: "DELETE" }),
    onSuccess: async (_, token) => {
      await client.invalidateQueries();
      say(`${token.name} has ended, and every session made of it.`);
      setEnding(null);
    },
  });
  return (
    <Panel
      title="Admin tokens"
      actions={
        <Button onClick={() => setMaking(true)}>
          <Plus /> New token
        </Button>
      }
    >
      {tokens.error ? (
        <Failure error={tokens.error} retry={tokens.refetch} />
      ) : tokens.items === undefined ? (
        <Loading rows={2} />
      ) : tokens.items.length === 0 ? (
        <Empty title="None but the one in the configuration." />
      ) : (
        <>
          <Table
            label="Admin tokens"
            head={
              <>
                <th scope="col">Name</th>
                <th scope="col">Role</th>
                <th scope="col">Fingerprint</th>
                <th scope="col">Made</th>
                <th scope="col">Ends</th>
                <th scope="col">
                  <span className="visually-hidden">Actions</span>
                </th>
              </>
            }
          >
            {tokens.items.map((token) => (
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
          <Pager {...tokens.pager} />
        </>
      )}
      {isMaking && <TokenDialog onClose={() => setMaking(false)} />}
      {ending && (
        <Dialog title={`Revoke ${ending.name}`} onClose={() => setEnding(null)} locked={end.isPending}>
          <Form
            onSubmit={() => end.mutate(ending)}
            foot={
              <>
                <Button onClick={() => setEnding(null)}>Cancel</Button>
                <Button type="submit" kind="danger" busy={end.isPending}>
                  Revoke for ever
                </Button>
              </>
            }
          >
            {end.error && <Failure error={end.error} />}
            <p>It opens nothing from now on, and sessions made of it end at once. If it is the one you signed in with, so does yours.</p>
          </Form>
        </Dialog>
      )}
    </Panel>
  );
}

function TokenDialog({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [isBound, setBound] = useState(false);
  const [owner, setOwner] = useState<Owner | null>(null);
  const [expiry, setExpiry] = useState("");
  const make = useMutation({
    mutationFn: () =>
      call<{ token: Token; secret: string }>("/admin/tokens", {
        method: "POST",
        body: {
          name: name.trim(),
          role,
          ...(isBound && owner ? { owner_id: owner.id } : {}),
          ...(expiry === "" ? {} : { expires_at: endOfDay(expiry) }),
        },
      }),
    onSuccess: () => client.invalidateQueries(),
  });
  if (make.data) {
    return (
      <Dialog title={`${make.data.token.name} is ready`} onClose={onClose} locked>
        <SecretOnce secret={make.data.secret} variable="PORTCULLIS_ADMIN_TOKEN" onAcknowledged={onClose} />
      </Dialog>
    );
  }
  const problem = make.error instanceof Problem ? make.error : null;
  return (
    <Dialog title="New admin token" onClose={onClose} locked={make.isPending}>
      <Form
        onSubmit={() => make.mutate()}
        foot={
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="primary" busy={make.isPending} disabled={name.trim() === "" || (isBound && !owner)}>
              Make
            </Button>
          </>
        }
      >
        {make.error && <Failure error={make.error} />}
        <Field label="Name" error={problem?.at("/name")}>
          {(ids) => <input {...ids} required maxLength={128} value={name} onChange={(event) => setName(event.currentTarget.value)} />}
        </Field>
        <Field label="Role" hint="Viewers read; operators also manage keys and owners; admins do all." error={problem?.at("/role")}>
          {(ids) => (
            <select {...ids} value={role} onChange={(event) => setRole(event.currentTarget.value as Role)}>
              <option value="viewer">viewer</option>
              <option value="operator">operator</option>
              <option value="admin">admin</option>
            </select>
          )}
        </Field>
        <Field label="Expires on" hint="Left empty, it does not end by itself." error={problem?.at("/expires_at")}>
          {(ids) => <input {...ids} type="date" value={expiry} onChange={(event) => setExpiry(event.currentTarget.value)} />}
        </Field>
        <Checkbox label="Only for one owner’s keys" checked={isBound} onChange={setBound} />
        {isBound && <OwnerPicker value={owner} onChange={setOwner} error={problem?.at("/owner_id")} />}
      </Form>
    </Dialog>
  );
}

/** Who may do what, and whether they still do: for whoever has to confirm it now and then. */
function AccessReview() {
  const [done, setDone] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  const running = useRef<AbortController | null>(null);
  const start = async () => {
    const stop = new AbortController();
    running.current = stop;
    setError(null);
    setDone(0);
    try {
      const page = (cursor: string | null) => url("/admin/reports/access-review", { format: "csv", limit: 1_000, cursor });
      const parts = await pages(page, stop.signal, setDone);
      save(parts, "portcullis-access-review.csv", "text/csv");
    } catch (failed) {
      if (!stop.signal.aborted) setError(failed);
    } finally {
      setDone(null);
    }
  };
  return (
    <Panel title="Access review">
      {error !== null && <Failure error={error} />}
      <p>
        Every key with its owner, what it may reach by itself and by its products, when it was last used and rotated, as CSV. The
        export is of no secret.
      </p>
      {done === null ? (
        <Button onClick={() => void start()}>
          <Download /> Export access review
        </Button>
      ) : (
        <Button onClick={() => running.current?.abort()}>{plural(done, "page")}… Stop</Button>
      )}
    </Panel>
  );
}
