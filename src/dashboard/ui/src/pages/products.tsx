// Products: named bundles of scopes, routes, limits and quotas that keys are given.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";

import { call, type Product, Problem, seg, send, url } from "../api";
import { type QuotaRow, quotaRows, type RateRow, rateRows, toQuotas, toRates, words } from "../keys/draft";
import { QuotaRows, RateRows } from "../keys/limits";
import { useList } from "../parts/cursors";
import { count } from "../parts/numbers";
import { useSay } from "../parts/toast";
import { Badge, Button, Chips, Dialog, Empty, Failure, Field, Form, Loading, Notice, PageHead, Pager, Table } from "../parts/ui";
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
      {products.error ? (
        <Failure error={products.error} retry={products.refetch} />
      ) : products.items === undefined ? (
        <Loading rows={4} />
      ) : products.items.length === 0 ? (
        <Empty title="There are no products yet.">
          <p>A product bundles scopes, routes, limits and quotas, so that keys need not repeat them.</p>
        </Empty>
      ) : (
        <>
          <Table
            label="Products"
            head={
              <>
                <th scope="col">Name</th>
                <th scope="col">Scopes</th>
                <th scope="col">Routes</th>
                <th scope="col">Limits and quotas</th>
                <th scope="col">Keys</th>
                <th scope="col">
                  <span className="visually-hidden">Actions</span>
                </th>
              </>
            }
          >
            {products.items.map((product) => (
              <tr key={product.name}>
                <th scope="row">
                  {product.name} {product.source === "config" && <Badge title="It stands in the configuration and is changed there">configured</Badge>}
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
          <Pager {...products.pager} />
        </>
      )}
      {doing?.what === "new" && <ProductDialog onClose={close} />}
      {doing?.what === "edit" && <ProductDialog of={doing.product} onClose={close} />}
      {doing?.what === "delete" && <DeleteDialog of={doing.product} onClose={close} />}
    </>
  );
}

function ProductDialog({ of: product, onClose }: { of?: Product; onClose: () => void }) {
  const client = useQueryClient();
  const say = useSay();
  const [name, setName] = useState(product?.name ?? "");
  const [description, setDescription] = useState(product?.description ?? "");
  const [scopes, setScopes] = useState(product?.scopes.join(", ") ?? "");
  const [routes, setRoutes] = useState(product?.routes.join(", ") ?? "");
  const [rates, setRates] = useState<RateRow[]>(product ? rateRows(product.rate_limits) : []);
  const [quotas, setQuotas] = useState<QuotaRow[]>(product ? quotaRows(product.quotas) : []);
  const change = useMutation({
    mutationFn: () => {
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
    onSuccess: async () => {
      await client.invalidateQueries();
      say(product ? `${product.name} is changed, and so are its keys.` : `${name.trim()} is made.`);
      onClose();
    },
  });
  const problem = change.error instanceof Problem ? change.error : null;
  return (
    <Dialog title={product ? `Edit ${product.name}` : "New product"} onClose={onClose} wide>
      <Form
        onSubmit={() => change.mutate()}
        foot={
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="primary" busy={change.isPending}>
              {product ? "Save" : "Make"}
            </Button>
          </>
        }
      >
        {change.error && <Failure error={change.error} />}
        {product && <Notice tone="warn">What changes here changes at once for every key that has this product.</Notice>}
        <div className="columns">
          {!product && (
            <Field label="Name" error={problem?.at("/name")}>
              {(ids) => <input {...ids} required value={name} onChange={(event) => setName(event.currentTarget.value)} />}
            </Field>
          )}
          <Field label="Description" error={problem?.at("/description")}>
            {(ids) => <input {...ids} value={description} onChange={(event) => setDescription(event.currentTarget.value)} />}
          </Field>
          <Field label="Scopes" hint="Like orders:read, orders:write." error={problem?.at("/scopes")}>
            {(ids) => <input {...ids} className="mono" value={scopes} onChange={(event) => setScopes(event.currentTarget.value)} />}
          </Field>
          <Field label="Routes" hint="By name, as configured. Empty: all." error={problem?.at("/routes")}>
            {(ids) => <input {...ids} className="mono" value={routes} onChange={(event) => setRoutes(event.currentTarget.value)} />}
          </Field>
        </div>
        <RateRows rows={rates} onChange={setRates} />
        <QuotaRows rows={quotas} onChange={setQuotas} />
      </Form>
    </Dialog>
  );
}

function DeleteDialog({ of: product, onClose }: { of: Product; onClose: () => void }) {
  const client = useQueryClient();
  const say = useSay();
  const [reason, setReason] = useState("");
  const remove = useMutation({
    mutationFn: () => send(url(`/admin/products/${seg(product.name)}`, { reason: reason.trim() }), { method: "DELETE" }),
    onSuccess: async () => {
      await client.invalidateQueries();
      say(`${product.name} is taken away.`);
      onClose();
    },
  });
  return (
    <Dialog title={`Delete ${product.name}`} onClose={onClose} locked={remove.isPending}>
      <Form
        onSubmit={() => remove.mutate()}
        foot={
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="danger" busy={remove.isPending}>
              Delete
            </Button>
          </>
        }
      >
        {remove.error && <Failure error={remove.error} />}
        <p>A product that a living key still has is not deleted.</p>
        <Field label="Reason" hint="Stands in the audit log.">
          {(ids) => <input {...ids} maxLength={1_024} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />}
        </Field>
      </Form>
    </Dialog>
  );
}
