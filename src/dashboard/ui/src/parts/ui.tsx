// The small set of parts that every page is made of.

import { Check, ChevronLeft, ChevronRight, Copy, TriangleAlert, X } from "lucide-react";
import {
  type ButtonHTMLAttributes,
  type FormEvent,
  type ReactNode,
  useEffect,
  useId,
  useLayoutEffect,
  useRef,
  useState,
} from "react";

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

/** A modal dialog. While `locked`, neither Escape nor the cross closes it. */
export function Dialog({
  title,
  onClose,
  locked = false,
  wide = false,
  children,
}: {
  title: string;
  onClose: () => void;
  locked?: boolean;
  wide?: boolean;
  children: ReactNode;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Before the element leaves the page, so that the focus goes back to where it came from.
  useLayoutEffect(() => {
    const dialog = ref.current;
    const opener = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, []);
  const close = useRef(onClose);
  close.current = onClose;
  useEffect(() => {
    // Wherever the focus is, and before the browser, which closes a dialog at the second Escape whatever was
    // said to the first.
    const escape = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      if (!locked) close.current();
    };
    document.addEventListener("keydown", escape, true);
    return () => document.removeEventListener("keydown", escape, true);
  }, [locked]);
  useEffect(() => {
    if (!locked) {
      return undefined;
    }
    // What is shown once must not be lost by a reload.
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [locked]);
  return (
    <dialog
      ref={ref}
      className={wide ? "dialog wide" : "dialog"}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        if (!locked) onClose();
      }}
      onClose={(event) => {
        // By other ways than its own, a back gesture say.
        if (event.target !== ref.current) return;
        if (locked) ref.current?.showModal();
        else onClose();
      }}
    >
      <header className="dialog-head">
        <h2 id={id}>{title}</h2>
        {!locked && (
          <IconButton label="Close" onClick={onClose}>
            <X />
          </IconButton>
        )}
      </header>
      {children}
    </dialog>
  );
}

/** The form of a dialog: its fields, and its buttons at the foot. */
export function Form({
  onSubmit,
  children,
  foot,
  className = "",
}: {
  onSubmit: () => void;
  children: ReactNode;
  foot: ReactNode;
  className?: string;
}) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSubmit();
  };
  return (
    <form className={`form ${className}`} onSubmit={submit}>
      <div className="form-body">{children}</div>
      <footer className="form-foot">{foot}</footer>
    </form>
  );
}

/** A labelled control with its hint and what was wrong with it. */
export function Field({
  label,
  hint,
  error,
  children,
}: {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  children: (ids: { id: string; "aria-describedby": string; "aria-invalid": boolean | undefined }) => ReactNode;
}) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, "aria-describedby": `${id}-hint`, "aria-invalid": error ? true : undefined })}
      <div id={`${id}-hint`}>
        {error ? <p className="field-error">{error}</p> : hint ? <p className="hint">{hint}</p> : null}
      </div>
    </div>
  );
}

export function Checkbox({
  label,
  hint,
  checked,
  onChange,
  disabled = false,
}: {
  label: ReactNode;
  hint?: ReactNode;
  checked: boolean;
  onChange: (checked: boolean) => void;
  disabled?: boolean;
}) {
  return (
    <label className="checkbox">
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>
        {label}
        {hint && <span className="hint">{hint}</span>}
      </span>
    </label>
  );
}

/** One of a few, side by side. */
export function Segmented<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T;
  options: { value: T; label: ReactNode; title?: string }[];
  onChange: (value: T) => void;
}) {
  return (
    <div className="segmented" role="group" aria-label={label}>
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={option.value === value}
          title={option.title}
          onClick={() => onChange(option.value)}
        >
          {option.label}
        </button>
      ))}
    </div>
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

/** A table that scrolls sideways in itself where there is no room. */
export function Table({ label, head, children }: { label: string; head: ReactNode; children: ReactNode }) {
  return (
    <div className="table-wrap" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>{head}</tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** Pages of a list that is only known by its cursors. */
export function Pager({
  page,
  shown,
  hasNext,
  onPrevious,
  onNext,
}: {
  page: number;
  shown: number;
  hasNext: boolean;
  onPrevious: () => void;
  onNext: () => void;
}) {
  if (page === 0 && !hasNext) {
    return null;
  }
  return (
    <nav className="pager" aria-label="Pages">
      <Button onClick={onPrevious} disabled={page === 0}>
        <ChevronLeft /> Previous
      </Button>
      <span className="muted" aria-live="polite">
        Page {page + 1}, {shown} shown
      </span>
      <Button onClick={onNext} disabled={!hasNext}>
        Next <ChevronRight />
      </Button>
    </nav>
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
