// Which keys a rule or a policy is about.

import type { Selector } from "../api";
import { OwnerPicker, useProducts } from "./pickers";
import { Field } from "./ui";

export type Kind = "all" | "owner" | "product" | "label" | "risk" | "key_id";

const NAMES: Record<Kind, string> = {
  all: "All keys",
  owner: "Keys of an owner",
  product: "Keys with a product",
  label: "Keys with a label",
  risk: "Keys of a risk",
  key_id: "One key",
};

export interface Chosen {
  kind: Kind;
  value: string;
  /** What an owner is called, where one is chosen. */
  name: string;
}

export const ALL_KEYS: Chosen = { kind: "all", value: "", name: "" };

export function chosenOf(selector: Selector | null): Chosen {
  const [first] = Object.entries(selector ?? {});
  return first ? { kind: first[0] as Kind, value: first[1], name: first[1] } : ALL_KEYS;
}

/** As the API takes it; `null` stands for all keys. */
export function selectorOf(chosen: Chosen): Selector | null {
  return chosen.kind === "all" ? null : { [chosen.kind]: chosen.value.trim() };
}

export function isWhole(chosen: Chosen): boolean {
  return chosen.kind === "all" || chosen.value.trim() !== "";
}

export function inWords(selector: Selector | null): string {
  const { kind, value } = chosenOf(selector);
  return kind === "all" ? "all keys" : `${kind.replace("_id", "")} ${value}`;
}

export function SelectorFields({ chosen, onChange, error }: { chosen: Chosen; onChange: (chosen: Chosen) => void; error?: string | undefined }) {
  const products = useProducts();
  const set = (value: string, name = value) => onChange({ ...chosen, value, name });
  return (
    <fieldset>
      <legend>Which keys</legend>
      <Field label="It is about" error={error}>
        {(ids) => (
          <select {...ids} value={chosen.kind} onChange={(event) => onChange({ kind: event.currentTarget.value as Kind, value: event.currentTarget.value === "risk" ? "high" : "", name: "" })}>
            {Object.entries(NAMES).map(([kind, name]) => (
              <option key={kind} value={kind}>
                {name}
              </option>
            ))}
          </select>
        )}
      </Field>
      {chosen.kind === "owner" && (
        <OwnerPicker
          value={chosen.value === "" ? null : { id: chosen.value, name: chosen.name }}
          onChange={(owner) => set(owner?.id ?? "", owner?.name ?? "")}
        />
      )}
      {chosen.kind === "product" && (
        <Field label="Product">
          {(ids) => (
            <select {...ids} required value={chosen.value} onChange={(event) => set(event.currentTarget.value)}>
              <option value="">Choose…</option>
              {products.data?.items.map((product) => (
                <option key={product.name}>{product.name}</option>
              ))}
            </select>
          )}
        </Field>
      )}
      {chosen.kind === "risk" && (
        <Field label="Risk">
          {(ids) => (
            <select {...ids} value={chosen.value} onChange={(event) => set(event.currentTarget.value)}>
              <option>high</option>
              <option>standard</option>
              <option>low</option>
            </select>
          )}
        </Field>
      )}
      {(chosen.kind === "label" || chosen.kind === "key_id") && (
        <Field label={chosen.kind === "label" ? "Label" : "Key id"} hint={chosen.kind === "label" ? "name, or name=value." : undefined}>
          {(ids) => (
            <input {...ids} className="mono" required value={chosen.value} onChange={(event) => set(event.currentTarget.value)} />
          )}
        </Field>
      )}
    </fieldset>
  );
}
