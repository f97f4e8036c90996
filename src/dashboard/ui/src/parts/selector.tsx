// Which keys a rule or a policy is about.

import type { Selector } from "../api";
import { InputField, SelectField } from "./fields";
import { OwnerPicker, useProducts } from "./pickers";

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

export function SelectorFields({
  chosen,
  onChange,
  at,
}: {
  chosen: Chosen;
  onChange: (chosen: Chosen) => void;
  at?: string;
}) {
  const products = useProducts();
  const set = (value: string, name = value) => onChange({ ...chosen, value, name });
  return (
    <fieldset>
      <legend>Which keys</legend>
      <SelectField
        label="It is about"
        at={at}
        value={chosen.kind}
        onChange={(kind) => onChange({ kind, value: kind === "risk" ? "high" : "", name: "" })}
      >
        {Object.entries(NAMES).map(([kind, name]) => (
          <option key={kind} value={kind}>
            {name}
          </option>
        ))}
      </SelectField>
      {chosen.kind === "owner" && (
        <OwnerPicker
          value={chosen.value === "" ? null : { id: chosen.value, name: chosen.name }}
          onChange={(owner) => set(owner?.id ?? "", owner?.name ?? "")}
        />
      )}
      {chosen.kind === "product" && (
        <SelectField label="Product" required value={chosen.value} onChange={set}>
          <option value="">Choose…</option>
          {products.data?.items.map((product) => (
            <option key={product.name}>{product.name}</option>
          ))}
        </SelectField>
      )}
      {chosen.kind === "risk" && (
        <SelectField label="Risk" value={chosen.value} onChange={set}>
          <option>high</option>
          <option>standard</option>
          <option>low</option>
        </SelectField>
      )}
      {(chosen.kind === "label" || chosen.kind === "key_id") && (
        <InputField
          label={chosen.kind === "label" ? "Label" : "Key id"}
          hint={chosen.kind === "label" ? "name, or name=value." : undefined}
          className="mono"
          required
          value={chosen.value}
          onChange={set}
        />
      )}
    </fieldset>
  );
}
