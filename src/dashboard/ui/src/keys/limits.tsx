// Rows of rate limits and quotas in a form.

import { Plus, Trash2 } from "lucide-react";
import type { ReactNode } from "react";

import { Checkbox } from "../parts/fields";
import { Button, IconButton } from "../parts/ui";
import { PERIODS, type QuotaRow, type RateRow, UNITS } from "./draft";

export function RateRows({ rows, onChange }: { rows: RateRow[]; onChange: (rows: RateRow[]) => void }) {
  const blank = { number: "", unit: "second", burst: "", mode: "shared", enforce: "on" };
  return (
    <Rows title="Rate limits" one="limit" blank={blank} rows={rows} onChange={onChange}>
      {(row, name, set) => (
        <>
          <NumberInput label={`Requests of ${name}`} example="100" required value={row.number} onChange={(number) => set({ number })} />
          <select aria-label={`Unit of ${name}`} value={row.unit} onChange={(event) => set({ unit: event.currentTarget.value })}>
            {UNITS.map((unit) => (
              <option key={unit} value={unit}>
                per {unit}
              </option>
            ))}
          </select>
          <NumberInput label={`Burst of ${name}`} example="burst" value={row.burst} onChange={(burst) => set({ burst })} />
          <Checkbox label="Shadow" checked={row.enforce === "shadow"} onChange={(isShadow) => set({ enforce: isShadow ? "shadow" : "on" })} />
        </>
      )}
    </Rows>
  );
}

export function QuotaRows({ rows, onChange }: { rows: QuotaRow[]; onChange: (rows: QuotaRow[]) => void }) {
  const blank = { limit: "", per: "month", on_day: null, hard: true };
  return (
    <Rows title="Quotas" one="quota" blank={blank} rows={rows} onChange={onChange}>
      {(row, name, set) => (
        <>
          <NumberInput label={`Requests of ${name}`} example="10000" required value={row.limit} onChange={(limit) => set({ limit })} />
          <select
            aria-label={`Period of ${name}`}
            value={row.per}
            onChange={(event) => set({ per: event.currentTarget.value, on_day: null })}
          >
            {PERIODS.map((period) => (
              <option key={period} value={period}>
                {period === "total" ? "in total" : `per ${period}`}
              </option>
            ))}
          </select>
          <Checkbox label="Hard" checked={row.hard} onChange={(hard) => set({ hard })} />
        </>
      )}
    </Rows>
  );
}

/** Rows that are added to and taken from; each is drawn with its name, as `limit 1`, and what changes it. */
function Rows<T>({
  title,
  one,
  blank,
  rows,
  onChange,
  children,
}: {
  title: string;
  one: string;
  blank: T;
  rows: T[];
  onChange: (rows: T[]) => void;
  children: (row: T, name: string, set: (change: Partial<T>) => void) => ReactNode;
}) {
  return (
    <fieldset>
      <legend>{title}</legend>
      {rows.length === 0 && <p className="hint">None of its own; those of its products hold.</p>}
      {rows.map((row, at) => (
        <div className="row limits" key={at}>
          {children(row, `${one} ${at + 1}`, (change) =>
            onChange(rows.map((other, place) => (place === at ? { ...other, ...change } : other))),
          )}
          <IconButton label={`Remove ${one} ${at + 1}`} onClick={() => onChange(rows.filter((_, place) => place !== at))}>
            <Trash2 />
          </IconButton>
        </div>
      ))}
      <Button onClick={() => onChange([...rows, blank])}>
        <Plus /> Add a {one}
      </Button>
    </fieldset>
  );
}

function NumberInput({
  label,
  example,
  required = false,
  value,
  onChange,
}: {
  label: string;
  example: string;
  required?: boolean;
  value: string;
  onChange: (value: string) => void;
}) {
  return (
    <input
      type="number"
      min={1}
      required={required}
      aria-label={label}
      placeholder={example}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
