// Rows of rate limits and quotas in a form.

import { Plus, Trash2 } from "lucide-react";

import { Button, Checkbox, IconButton } from "../parts/ui";
import { PERIODS, type QuotaRow, type RateRow, UNITS } from "./draft";

export function RateRows({ rows, onChange }: { rows: RateRow[]; onChange: (rows: RateRow[]) => void }) {
  const set = (at: number, change: Partial<RateRow>) =>
    onChange(rows.map((row, each) => (each === at ? { ...row, ...change } : row)));
  return (
    <fieldset>
      <legend>Rate limits</legend>
      {rows.length === 0 && <p className="hint">None of its own; those of its products hold.</p>}
      {rows.map((row, at) => (
        <div className="row limits" key={at}>
          <input
            type="number"
            min={1}
            required
            aria-label={`Requests of limit ${at + 1}`}
            placeholder="100"
            value={row.number}
            onChange={(event) => set(at, { number: event.currentTarget.value })}
          />
          <select
            aria-label={`Unit of limit ${at + 1}`}
            value={row.unit}
            onChange={(event) => set(at, { unit: event.currentTarget.value })}
          >
            {UNITS.map((unit) => (
              <option key={unit} value={unit}>
                per {unit}
              </option>
            ))}
          </select>
          <input
            type="number"
            min={1}
            aria-label={`Burst of limit ${at + 1}`}
            placeholder="burst"
            value={row.burst}
            onChange={(event) => set(at, { burst: event.currentTarget.value })}
          />
          <Checkbox
            label="Shadow"
            checked={row.enforce === "shadow"}
            onChange={(isShadow) => set(at, { enforce: isShadow ? "shadow" : "on" })}
          />
          <IconButton label={`Remove limit ${at + 1}`} onClick={() => onChange(rows.filter((_, each) => each !== at))}>
            <Trash2 />
          </IconButton>
        </div>
      ))}
      <Button
        onClick={() => onChange([...rows, { number: "", unit: "second", burst: "", mode: "shared", enforce: "on" }])}
      >
        <Plus /> Add a limit
      </Button>
    </fieldset>
  );
}

export function QuotaRows({ rows, onChange }: { rows: QuotaRow[]; onChange: (rows: QuotaRow[]) => void }) {
  const set = (at: number, change: Partial<QuotaRow>) =>
    onChange(rows.map((row, each) => (each === at ? { ...row, ...change } : row)));
  return (
    <fieldset>
      <legend>Quotas</legend>
      {rows.length === 0 && <p className="hint">None of its own; those of its products hold.</p>}
      {rows.map((row, at) => (
        <div className="row limits" key={at}>
          <input
            type="number"
            min={1}
            required
            aria-label={`Requests of quota ${at + 1}`}
            placeholder="10000"
            value={row.limit}
            onChange={(event) => set(at, { limit: event.currentTarget.value })}
          />
          <select
            aria-label={`Period of quota ${at + 1}`}
            value={row.per}
            onChange={(event) => set(at, { per: event.currentTarget.value, on_day: null })}
          >
            {PERIODS.map((period) => (
              <option key={period} value={period}>
                {period === "total" ? "in total" : `per ${period}`}
              </option>
            ))}
          </select>
          <Checkbox label="Hard" checked={row.hard} onChange={(hard) => set(at, { hard })} />
          <IconButton label={`Remove quota ${at + 1}`} onClick={() => onChange(rows.filter((_, each) => each !== at))}>
            <Trash2 />
          </IconButton>
        </div>
      ))}
      <Button onClick={() => onChange([...rows, { limit: "", per: "month", on_day: null, hard: true }])}>
        <Plus /> Add a quota
      </Button>
    </fieldset>
  );
}
