// API Keys: all of them, as a list or as cards.

import { LayoutGrid, List, Plus } from "lucide-react";
import { useEffect, useState } from "react";
import { Link } from "wouter";

import { type Key, seg } from "../api";
import { KeyActions } from "../keys/actions";
import { KeyBadges } from "../keys/badges";
import { KeyCard } from "../keys/card";
import { NewKeyDialog } from "../keys/form";
import { Checkbox, SearchBox, Segmented } from "../parts/fields";
import { useFilters } from "../parts/filters";
import { Listing, useList } from "../parts/list";
import { useProducts, useSettled } from "../parts/pickers";
import { Ago } from "../parts/time";
import { ACTIONS, Button, Empty, Fingerprint, PageHead, Table } from "../parts/ui";
import { useIsBound, useMay } from "../session";

type View = "list" | "cards";
const KEPT_AS = "portcullis-keys-view";
const FILTERS = ["name", "status", "env", "product", "label", "stale", "owner"] as const;
/** Those that are typed, and asked by when the typing rests. */
const TYPED = ["name", "label", "env"] as const;
const ORDER = ["sort"] as const;

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
  const filters = useFilters(FILTERS);
  const { values, set } = filters;
  const order = useFilters(ORDER);
  const [view, setView] = useState<View>(keptView);
  const [isMaking, setMaking] = useState(false);
  const mayMake = useMay("operator");
  const isBound = useIsBound();
  const [name, setName] = useState(values.name ?? "");
  const [label, setLabel] = useState(values.label ?? "");
  const [env, setEnv] = useState(values.env ?? "");
  const products = useProducts();

  const typed = { name: useSettled(name), label: useSettled(label), env: useSettled(env) };
  useEffect(() => {
    for (const field of TYPED) {
      if ((values[field] ?? "") !== typed[field]) set(field, typed[field]);
    }
    // Only what was typed moves the address; the address moves nothing that is being typed.
    // eslint-disable-next-line
  }, [typed.name, typed.label, typed.env]);

  const sort = order.values.sort ?? "name";
  const keys = useList<Key>("/admin/keys", { ...values, sort, limit: view === "cards" ? 12 : 50 }, { refetchInterval: 30_000 });

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
    filters.clear({ replace: true });
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
          <SearchBox label="Search by name" value={name} onChange={setName} />
          <select aria-label="Status" value={values.status ?? ""} onChange={(event) => set("status", event.currentTarget.value)}>
            <option value="">Any status</option>
            <option value="active">Active</option>
            <option value="suspended">Suspended</option>
            <option value="expired">Expired</option>
            <option value="revoked">Revoked</option>
          </select>
          <select aria-label="Product" value={values.product ?? ""} onChange={(event) => set("product", event.currentTarget.value)}>
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
            checked={values.stale === "true"}
            onChange={(checked) => set("stale", checked ? "true" : "")}
          />
          {filters.isAny && (
            <Button kind="quiet" onClick={clear}>
              Clear
            </Button>
          )}
        </div>
        <div className="views">
          <label className="inline">
            <span>Sort</span>
            <select value={sort} onChange={(event) => order.set("sort", event.currentTarget.value)}>
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
              {
                value: "list",
                label: (
                  <>
                    <List /> List
                  </>
                ),
              },
              {
                value: "cards",
                label: (
                  <>
                    <LayoutGrid /> Detailed
                  </>
                ),
              },
            ]}
            onChange={choose}
          />
        </div>
      </div>
      {values.owner && !isBound && (
        <p className="filter-note">
          Keys of one owner.{" "}
          <Button kind="quiet" onClick={() => set("owner", "")}>
            Show all
          </Button>
        </p>
      )}
      <Listing
        of={keys}
        rows={6}
        empty={
          <Empty title={filters.isAny ? "No key is like that." : "There are no keys yet."}>
            {filters.isAny ? (
              <Button onClick={clear}>Show all keys</Button>
            ) : (
              mayMake && <p>Generate the first one; its secret is shown once.</p>
            )}
          </Empty>
        }
      >
        {(page) =>
          view === "cards" ? (
            <div className="cards">
              {page.map((key) => (
                <KeyCard key={key.id} of={key} />
              ))}
            </div>
          ) : (
            <KeyTable keys={page} />
          )
        }
      </Listing>
      {isMaking && <NewKeyDialog onClose={() => setMaking(false)} />}
    </>
  );
}

function KeyTable({ keys }: { keys: Key[] }) {
  return (
    <Table
      label="API keys"
      columns={[
        "Name",
        "Status",
        "Owner",
        { name: "Fingerprint", className: "wide-only" },
        { name: "Created", className: "wide-only" },
        "Last used",
        ACTIONS,
      ]}
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
