// Choosing an owner or a product among those there are.

import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { call, type Owner, type OwnerType, type Page, type Product, url } from "../api";
import { Field, InputField, SelectField } from "./fields";

/** A text that has not changed for a moment. */
export function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = window.setTimeout(() => setSettled(text), 250);
    return () => window.clearTimeout(timer);
  }, [text]);
  return settled;
}

export function useProducts() {
  return useQuery({
    queryKey: ["products", "all"],
    queryFn: ({ signal }) => call<Page<Product>>("/admin/products?limit=1000", { signal }),
    staleTime: 30_000,
  });
}

/** Finds an owner by a part of the name. */
export function OwnerPicker({
  label = "Owner",
  value,
  onChange,
  at,
}: {
  label?: string;
  value: { id: string; name: string } | null;
  onChange: (owner: Owner | null) => void;
  at?: string;
}) {
  const [typed, setTyped] = useState("");
  const name = useSettled(typed);
  const found = useQuery({
    queryKey: ["owners", "pick", name],
    queryFn: ({ signal }) => call<Page<Owner>>(url("/admin/users", { name, limit: 50 }), { signal }),
  });
  const owners = found.data?.items ?? [];
  const isListed = owners.some((owner) => owner.id === value?.id);
  return (
    <div className="row">
      <div className="grow">
        <InputField
          label={`Find ${label.toLowerCase()}`}
          type="search"
          placeholder="Part of the name"
          value={typed}
          onChange={setTyped}
        />
      </div>
      <div className="grow">
        <Field label={label} at={at}>
          {(ids) => (
            <select
              {...ids}
              value={value?.id ?? ""}
              onChange={(event) => onChange(owners.find((owner) => owner.id === event.currentTarget.value) ?? null)}
            >
              <option value="">{found.isPending ? "Looking…" : "Choose…"}</option>
              {value && !isListed && <option value={value.id}>{value.name}</option>}
              {owners.map((owner) => (
                <option key={owner.id} value={owner.id} disabled={owner.disabled_at !== null}>
                  {owner.name} ({owner.type}
                  {owner.disabled_at !== null ? ", switched off" : ""})
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
    </div>
  );
}

export function OwnerTypeField({ value, onChange }: { value: OwnerType; onChange: (type: OwnerType) => void }) {
  return (
    <SelectField label="Type" value={value} onChange={onChange}>
      <option value="team">team</option>
      <option value="user">user</option>
      <option value="system">system</option>
    </SelectField>
  );
}
