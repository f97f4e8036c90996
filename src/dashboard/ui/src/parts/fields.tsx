// What forms are made of: fields with their label, their hint, and what the gate found wrong with them.

import {
  createContext,
  type FormEvent,
  type InputHTMLAttributes,
  type ReactNode,
  type SelectHTMLAttributes,
  useContext,
  useId,
} from "react";

import { Problem } from "../api";
import { Failure } from "./ui";

/** Why the form around was refused, if it was. */
const Refusal = createContext<Problem | null>(null);

/** The form of a dialog: what went wrong with it, its fields, and its buttons at the foot. */
export function Form({
  onSubmit,
  error,
  foot,
  className = "",
  children,
}: {
  onSubmit: () => void;
  error?: unknown;
  foot: ReactNode;
  className?: string;
  children: ReactNode;
}) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSubmit();
  };
  return (
    <form className={`form ${className}`} onSubmit={submit}>
      <div className="form-body">
        {Boolean(error) && <Failure error={error} />}
        <Refusal value={error instanceof Problem ? error : null}>{children}</Refusal>
      </div>
      <footer className="form-foot">{foot}</footer>
    </form>
  );
}

/** What was wrong with a part of the body, by its pointer. */
function useFault(at: string | undefined): string | undefined {
  const refusal = useContext(Refusal);
  return at === undefined ? undefined : refusal?.at(at);
}

/** What was wrong with a part that is more than one field. */
export function Fault({ at }: { at: string }) {
  const fault = useFault(at);
  return fault ? <p className="field-error">{fault}</p> : null;
}

interface Labelled {
  label: string;
  hint?: ReactNode;
  /** Where it is in the body that is sent. */
  at?: string | undefined;
}

/** A labelled control with its hint and what was wrong with it. */
export function Field({
  label,
  hint,
  at,
  children,
}: Labelled & {
  children: (ids: { id: string; "aria-describedby": string; "aria-invalid": boolean | undefined }) => ReactNode;
}) {
  const id = useId();
  const fault = useFault(at);
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, "aria-describedby": `${id}-hint`, "aria-invalid": fault ? true : undefined })}
      <div id={`${id}-hint`}>
        {fault ? <p className="field-error">{fault}</p> : hint ? <p className="hint">{hint}</p> : null}
      </div>
    </div>
  );
}

type Own = "value" | "onChange";

/** A field that takes a line of text, a number or a day. */
export function InputField({
  label,
  hint,
  at,
  value,
  onChange,
  ...rest
}: Labelled & { value: string; onChange: (value: string) => void } & Omit<InputHTMLAttributes<HTMLInputElement>, Own>) {
  return (
    <Field label={label} hint={hint} at={at}>
      {(ids) => <input {...rest} {...ids} value={value} onChange={(event) => onChange(event.currentTarget.value)} />}
    </Field>
  );
}

/** A field that takes one of the options it holds. */
export function SelectField<T extends string>({
  label,
  hint,
  at,
  value,
  onChange,
  children,
  ...rest
}: Labelled & { value: T; onChange: (value: T) => void } & Omit<SelectHTMLAttributes<HTMLSelectElement>, Own>) {
  return (
    <Field label={label} hint={hint} at={at}>
      {(ids) => (
        <select {...rest} {...ids} value={value} onChange={(event) => onChange(event.currentTarget.value as T)}>
          {children}
        </select>
      )}
    </Field>
  );
}

/** Why something is done. */
export function ReasonField({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <InputField label="Reason" hint="Stands in the audit log." maxLength={1_024} value={value} onChange={onChange} />
  );
}

/** Searches what a page shows. */
export function SearchBox({
  label,
  value,
  onChange,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
}) {
  return (
    <input
      type="search"
      className="search"
      aria-label={label}
      placeholder={label}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
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
