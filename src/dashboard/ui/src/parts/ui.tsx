// The small set of parts that every page is made of.

import { Check, Copy, TriangleAlert } from "lucide-react";
import { type ButtonHTMLAttributes, type ReactNode, useEffect, useId, useState } from "react";

import { Problem } from "../api";

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & {
  kind?: "primary" | "danger" | "plain" | "quiet";
  busy?: boolean;
};

export function Button({ kind = "plain", busy = false, className = "", children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`button ${kind} ${className}`}
      disabled={rest.disabled === true || busy}
      aria-busy={busy || undefined}
    >
      {children}
    </button>
  );
}

/** A button that shows only an icon; its name is said and stands in its tooltip. */
export function IconButton({ label, children, className = "", ...rest }: ButtonProps & { label: string }) {
  const { kind: _, busy: __, ...attributes } = rest;
  return (
    <button type="button" {...attributes} className={`icon-button ${className}`} aria-label={label} title={label}>
      {children}
    </button>
  );
}

export type Tone = "good" | "warn" | "bad" | "calm" | "accent";

export function Badge({ tone = "calm", title, children }: { tone?: Tone; title?: string; children: ReactNode }) {
  return (
    <span className={`badge ${tone}`} title={title}>
      {children}
    </span>
  );
}

/** Copies a text, and says that it has. */
export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = window.setTimeout(() => setCopied(false), 2_000);
    return () => window.clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      setFailed(true);
    }
  };
  return (
    <>
      <Button onClick={() => void copy()} className="copy">
        {copied ? <Check /> : <Copy />}
        {copied ? "Copied" : failed ? "Select it and copy" : label}
      </Button>
      <span className="visually-hidden" role="status">
        {copied ? "Copied" : ""}
      </span>
    </>
  );
}

export function Notice({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <div className={`notice ${tone}`}>
      {(tone === "warn" || tone === "bad") && <TriangleAlert aria-hidden="true" />}
      <div>{children}</div>
    </div>
  );
}

/** What went wrong, with the id that the gate's log knows it by. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = error instanceof Problem ? error : null;
  const detail = error instanceof Error ? error.message : "Something went wrong.";
  return (
    <div className="notice bad" role="alert">
      <TriangleAlert aria-hidden="true" />
      <div>
        <p>{sentence(detail)}</p>
        {problem && problem.errors.length > 0 && (
          <ul>
            {problem.errors.map((fault) => (
              <li key={fault.pointer + fault.code}>
                <code>{fault.pointer}</code> {fault.detail}
              </li>
            ))}
          </ul>
        )}
        {problem?.requestId && <p className="hint mono">{problem.requestId}</p>}
        {retry && <Button onClick={retry}>Try again</Button>}
      </div>
    </div>
  );
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

export function Loading({ rows = 3 }: { rows?: number }) {
  return (
    <div className="loading" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, at) => (
        <div key={at} className="bone" />
      ))}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** The heading of a page, with what can be done there. */
export function PageHead({ title, sub, children }: { title: ReactNode; sub?: ReactNode; children?: ReactNode }) {
  return (
    <header className="page-head">
      <div>
        <h1>{title}</h1>
        {sub && <p className="sub">{sub}</p>}
      </div>
      {children && <div className="page-actions">{children}</div>}
    </header>
  );
}

export function Panel({
  title,
  actions,
  children,
  className = "",
}: {
  title?: string;
  actions?: ReactNode;
  children: ReactNode;
  className?: string;
}) {
  const id = useId();
  return (
    <section className={`panel ${className}`} aria-labelledby={title ? id : undefined}>
      {title && (
        <header className="panel-head">
          <h2 id={id}>{title}</h2>
          {actions}
        </header>
      )}
      {children}
    </section>
  );
}

/** A column by its name, which may be only said, not shown. */
export type Column = string | { name: string; className?: string; isSaidOnly?: boolean };

export const ACTIONS: Column = { name: "Actions", isSaidOnly: true };

/** A table that scrolls sideways in itself where there is no room. */
export function Table({ label, columns, children }: { label: string; columns: Column[]; children: ReactNode }) {
  return (
    <div className="table-wrap" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => {
              const { name, className, isSaidOnly = false } = typeof column === "string" ? { name: column } : column;
              return (
                <th key={name} scope="col" className={className}>
                  {isSaidOnly ? <span className="visually-hidden">{name}</span> : name}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** Rows of name and value. */
export function Facts({ rows }: { rows: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Chips({ items, none }: { items: string[]; none: string }) {
  if (items.length === 0) {
    return <span className="muted">{none}</span>;
  }
  return (
    <span className="chips">
      {items.map((item) => (
        <code key={item} className="chip">
          {item}
        </code>
      ))}
    </span>
  );
}

/** What of a secret may be shown. */
export function Fingerprint({ of }: { of: string | null }) {
  return of ? (
    <code className="fingerprint" title="Fingerprint: the first 12 hex digits of the secret's SHA-256">
      {of}
    </code>
  ) : (
    <span className="muted">–</span>
  );
}
