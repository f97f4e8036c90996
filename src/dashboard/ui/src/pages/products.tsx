// Products: named bundles of scopes, routes, limits and quotas that keys are given.

import { Plus } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";

import { call, type Product, seg, send, url } from "../api";
import { type QuotaRow, quotaRows, type RateRow, rateRows, toQuotas, toRates, words } from "../keys/draft";
import { QuotaRows, RateRows } from "../keys/limits";
import { useChange, withReason } from "../parts/change";
import { FormDialog } from "../parts/dialog";
import { InputField, ReasonField } from "../parts/fields";
import { Listing, useList } from "../parts/list";
import { count } from "../parts/numbers";
import { ACTIONS, Badge, Button, Chips, Empty, Notice, PageHead, Table } from "../parts/ui";
import { useMay } from "../session";

type Doing = { what: "new" } | { what: "edit" | "delete"; product: Product } | null;

export function Products() {
  const products = useList<Product>("/admin/products", { limit: 50 });
  const [doing, setDoing] = useState<Doing>(null);
  const mayChange = useMay("admin");
  const close = () => setDoing(null);
  return (
    <>
      <PageHead title="Products" sub="What keys are given by name. A change holds for all of them at once.">
        {mayChange && (
          <Button kind="primary" onClick={() => setDoing({ what: "new" })}>
            <Plus /> New product
          </Button>
        )}
      </PageHead>
      <Listing
        of={products}
        rows={4}
        empty={
          <Empty title="There are no products yet.">
            <p>A product bundles scopes, routes, limits and quotas, so that keys need not repeat them.</p>
          </Empty>
        }
      >
        {(page) => (
          <Table label="Products" columns={["Name", "Scopes", "Routes", "Limits and quotas", "Keys", ACTIONS]}>
            {page.map((product) => (
              <tr key={product.name}>
                <th scope="row">
                  {product.name}{" "}
                  {product.source === "config" && <Badge title="It stands in the configuration and is changed there">configured</Badge>}
                  {product.description && <span className="under">{product.description}</span>}
                </th>
                <td>
                  <Chips items={product.scopes} none="none" />
                </td>
                <td>
                  <Chips items={product.routes} none="all" />
                </td>
                <td>
                  <Chips
                    items={[
                      ...product.rate_limits.map((limit) => `${limit.rate}, burst ${limit.burst}`),
                      ...product.quotas.map((quota) => `${count(quota.limit)} per ${quota.per}${quota.hard ? "" : ", soft"}`),
                    ]}
                    none="none"
                  />
                </td>
                <td>
                  <Link href={url("/keys", { product: product.name })}>
                    Show keys<span className="visually-hidden"> with {product.name}</span>
                  </Link>
                </td>
                <td>
                  {mayChange && product.source === "api" && (
                    <div className="key-actions">
                      <Button onClick={() => setDoing({ what: "edit", product })}>Edit</Button>
                      <Button kind="danger" onClick={() => setDoing({ what: "delete", product })}>
                        Delete
                      </Button>
                    </div>
                  )}
                </td>
              </tr>
            ))}
          </Table>
        )}
      </Listing>
      {doing?.what === "new" && <ProductDialog onClose={close} />}
      {doing?.what === "edit" && <ProductDialog of={doing.product} onClose={close} />}
      {doing?.what === "delete" && <DeleteDialog of={doing.product} onClose={close} />}
    </>
  );
}

function ProductDialog({ of: product, onClose }: { of?: Product; onClose: () => void }) {
  const [name, setName] = useState(product?.name ?? "");
  const [description, setDescription] = useState(product?.description ?? "");
  const [scopes, setScopes] = useState(product?.scopes.join(", ") ?? "");
  const [routes, setRoutes] = useState(product?.routes.join(", ") ?? "");
  const [rates, setRates] = useState<RateRow[]>(product ? rateRows(product.rate_limits) : []);
  const [quotas, setQuotas] = useState<QuotaRow[]>(product ? quotaRows(product.quotas) : []);
  const change = useChange(
    () => {
      const body = {
        description: description.trim() === "" ? null : description.trim(),
        scopes: words(scopes),
        routes: words(routes),
        rate_limits: toRates(rates),
        quotas: toQuotas(quotas),
      };
      return product
        ? call(`/admin/products/${seg(product.name)}`, { method: "PATCH", body })
        : call("/admin/products", { method: "POST", body: { ...body, name: name.trim() } });
    },
    {
      said: () => (product ? `${product.name} is changed, and so are its keys.` : `${name.trim()} is made.`),
      then: onClose,
    },
  );
  return (
    <FormDialog
      title={product ? `Edit ${product.name}` : "New product"}
      change={change}
      submit={product ? "Save" : "Make"}
      wide
      onClose={onClose}
    >
      {product && <Notice tone="warn">What changes here changes at once for every key that has this product.</Notice>}
      <div className="columns">
        {!product && <InputField label="Name" at="/name" required value={name} onChange={setName} />}
        <InputField label="Description" at="/description" value={description} onChange={setDescription} />
        <InputField
          label="Scopes"
          hint="Like orders:read, orders:write."
          at="/scopes"
          className="mono"
          value={scopes}
          onChange={setScopes}
        />
        <InputField
          label="Routes"
          hint="By name, as configured. Empty: all."
          at="/routes"
          className="mono"
          value={routes}
          onChange={setRoutes}
        />
      </div>
      <RateRows rows={rates} onChange={setRates} />
      <QuotaRows rows={quotas} onChange={setQuotas} />
    </FormDialog>
  );
}

function DeleteDialog({ of: product, onClose }: { of: Product; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const remove = useChange(() => send(url(`/admin/products/${seg(product.name)}`, withReason(reason)), { method: "DELETE" }), {
    said: () => `${product.name} is taken away.`,
    then: onClose,
  });
  return (
    <FormDialog title={`Delete ${product.name}`} change={remove} submit="Delete" kind="danger" onClose={onClose}>
      <p>A product that a living key still has is not deleted.</p>
      <ReasonField value={reason} onChange={setReason} />
    </FormDialog>
  );
}
