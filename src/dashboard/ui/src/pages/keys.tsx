// API Keys: all of them, as a list or as cards.

import { LayoutGrid, List, Plus } from "lucide-react";
import { useEffect, useState } from "react";
import { Link, useSearchParams } from "wouter";

import { type Key, seg } from "../api";
import { KeyActions } from "../keys/actions";
import { KeyBadges } from "../keys/badges";
import { KeyCard } from "../keys/card";
import { NewKeyDialog } from "../keys/form";
import { useList } from "../parts/cursors";
import { useProducts, useSettled } from "../parts/pickers";
import { Ago } from "../parts/time";
import { Button, Checkbox, Empty, Failure, Fingerprint, Loading, PageHead, Pager, Segmented, Table } from "../parts/ui";
import { useIsBound, useMay } from "../session";

type View = "list" | "cards";
const KEPT_AS = "portcullis-keys-view";
const FILTERS = ["name", "status", "env", "product", "label", "stale", "owner"] as const;

/** What was chosen last; at first cards where a table has no room. */
function keptView(): View {
  const first = window.matchMedia("(max-width: 760px)").matches ? "cards" : "list";
  try {
    const kept = window.localStorage.getItem(KEPT_AS);
    return kept === "cards" || kept === "list" ? kept : first;
  } catch {
    return first;
  }
}

export function Keys() {
  const [params, setParams] = useSearchParams();
  const [view, setView] = useState<View>(keptView);
  const [isMaking, setMaking] = useState(false);
  const mayMake = useMay("operator");
  const isBound = useIsBound();
  const [name, setName] = useState(params.get("name") ?? "");
  const [label, setLabel] = useState(params.get("label") ?? "");
  const [env, setEnv] = useState(params.get("env") ?? "");
  const products = useProducts();

  const set = (field: string, value: string) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before);
        if (value === "") after.delete(field);
        else after.set(field, value);
        return after;
      },
      { replace: true },
    );
  const typed = { name: useSettled(name), label: useSettled(label), env: useSettled(env) };
  useEffect(() => {
    for (const [field, value] of Object.entries(typed)) {
      if ((params.get(field) ?? "") !== value) set(field, value);
    }
    // Only what was typed moves the address; the address moves nothing that is being typed.
    // eslint-disable-next-line
  }, [typed.name, typed.label, typed.env]);

  const filters = Object.fromEntries(FILTERS.map((field) => [field, params.get(field)]));
  const isFiltered = FILTERS.some((field) => params.get(field) !== null);
  const sort = params.get("sort") ?? "name";
  const keys = useList<Key>("/admin/keys", { ...filters, sort, limit: view === "cards" ? 12 : 50 }, { refetchInterval: 30_000 });

  const choose = (next: View) => {
    setView(next);
    try {
      window.localStorage.setItem(KEPT_AS, next);
    } catch {
      // Then it is asked again next time.
    }
  };
  const clear = () => {
    setName("");
    setLabel("");
    setEnv("");
    setParams({}, { replace: true });
  };

  return (
    <>
      <PageHead title="API Keys" sub={isBound ? "Your keys." : "Every key there is, who holds it and what it does."}>
        {mayMake && (
          <Button kind="primary" onClick={() => setMaking(true)}>
            <Plus /> Generate New API Key
          </Button>
        )}
      </PageHead>
      <div className="toolbar">
        <div className="filters" role="search" aria-label="Filter keys">
          <input
            type="search"
            aria-label="Search by name"
            placeholder="Search by name"
            className="search"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <select aria-label="Status" value={params.get("status") ?? ""} onChange={(event) => set("status", event.currentTarget.value)}>
            <option value="">Any status</option>
            <option value="active">Active</option>
            <option value="suspended">Suspended</option>
            <option value="expired">Expired</option>
            <option value="revoked">Revoked</option>
          </select>
          <select aria-label="Product" value={params.get("product") ?? ""} onChange={(event) => set("product", event.currentTarget.value)}>
            <option value="">Any product</option>
            {products.data?.items.map((product) => (
              <option key={product.name}>{product.name}</option>
            ))}
          </select>
          <input
            aria-label="Environment"
            placeholder="Environment"
            className="narrow"
            value={env}
            onChange={(event) => setEnv(event.currentTarget.value)}
          />
          <input
            aria-label="Label"
            placeholder="Label, team=billing"
            value={label}
            onChange={(event) => setLabel(event.currentTarget.value)}
          />
          <Checkbox
            label="Potentially stale"
            checked={params.get("stale") === "true"}
            onChange={(checked) => set("stale", checked ? "true" : "")}
          />
          {isFiltered && (
            <Button kind="quiet" onClick={clear}>
              Clear
            </Button>
          )}
        </div>
        <div className="views">
          <label className="inline">
            <span>Sort</span>
            <select value={sort} onChange={(event) => set("sort", event.currentTarget.value)}>
              <option value="name">Name</option>
              <option value="-name">Name, descending</option>
              <option value="-created_at">Newest</option>
              <option value="created_at">Oldest</option>
              <option value="-last_used_at">Used last</option>
              <option value="last_used_at">Longest unused</option>
            </select>
          </label>
          <Segmented
            label="View"
            value={view}
            options={[
              { value: "list", label: <><List /> List</> },
              { value: "cards", label: <><LayoutGrid /> Detailed</> },
            ]}
            onChange={choose}
          />
        </div>
      </div>
      {params.get("owner") && !isBound && (
        <p className="filter-note">
          Keys of one owner. <Button kind="quiet" onClick={() => set("owner", "")}>Show all</Button>
        </p>
      )}
      {keys.error ? (
        <Failure error={keys.error} retry={keys.refetch} />
      ) : keys.items === undefined ? (
        <Loading rows={6} />
      ) : keys.items.length === 0 ? (
        <Empty title={isFiltered ? "No key is like that." : "There are no keys yet."}>
          {isFiltered ? (
            <Button onClick={clear}>Show all keys</Button>
          ) : (
            mayMake && <p>Generate the first one; its secret is shown once.</p>
          )}
        </Empty>
      ) : (
        <div className={keys.isStale ? "fading" : undefined}>
          {view === "cards" ? (
            <div className="cards">
              {keys.items.map((key) => (
                <KeyCard key={key.id} of={key} />
              ))}
            </div>
          ) : (
            <KeyTable keys={keys.items} />
          )}
          <Pager {...keys.pager} />
        </div>
      )}
      {isMaking && <NewKeyDialog onClose={() => setMaking(false)} />}
    </>
  );
}

function KeyTable({ keys }: { keys: Key[] }) {
  return (
    <Table
      label="API keys"
      head={
        <>
          <th scope="col">Name</th>
          <th scope="col">Status</th>
          <th scope="col">Owner</th>
          <th scope="col" className="wide-only">Fingerprint</th>
          <th scope="col" className="wide-only">Created</th>
          <th scope="col">Last used</th>
          <th scope="col">
            <span className="visually-hidden">Actions</span>
          </th>
        </>
      }
    >
      {keys.map((key) => (
        <tr key={key.id}>
          <th scope="row">
            <Link href={`/keys/${seg(key.id)}`}>{key.name}</Link>
            <span className="under">{key.env}</span>
          </th>
          <td>
            <KeyBadges of={key} />
          </td>
          <td>
            {key.owner.name}
            <span className="under">{key.owner.type}</span>
          </td>
          <td className="wide-only">
            <Fingerprint of={key.fingerprint} />
          </td>
          <td className="wide-only">
            <Ago at={key.created_at} />
          </td>
          <td>
            <Ago at={key.last_used_at} />
          </td>
          <td>
            <KeyActions of={key} />
          </td>
        </tr>
      ))}
    </Table>
  );
}
