// Dialogs, and those that ask before something is changed.

import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useLayoutEffect, useRef } from "react";

import { Form } from "./fields";
import { Button, IconButton } from "./ui";

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

/** A dialog for one change: its fields, what was wrong with them, and the buttons to make it or not. */
export function FormDialog({
  title,
  change,
  error = change.error,
  submit,
  kind = "primary",
  cancel = "Cancel",
  isReady = true,
  also,
  wide = false,
  onClose,
  children,
}: {
  title: string;
  change: { mutate: (of: void) => void; isPending: boolean; error: unknown };
  /** What went wrong, if that is not what went wrong with the change alone. */
  error?: unknown;
  /** What the button says that makes the change. */
  submit: ReactNode;
  kind?: "primary" | "danger";
  cancel?: string;
  isReady?: boolean;
  /** What else can be done. */
  also?: ReactNode;
  wide?: boolean;
  onClose: () => void;
  children: ReactNode;
}) {
  return (
    <Dialog title={title} onClose={onClose} locked={change.isPending} wide={wide}>
      <Form
        onSubmit={() => isReady && change.mutate()}
        error={error}
        foot={
          <>
            <Button onClick={onClose}>{cancel}</Button>
            {also}
            <Button type="submit" kind={kind} busy={change.isPending} disabled={!isReady}>
              {submit}
            </Button>
          </>
        }
      >
        {children}
      </Form>
    </Dialog>
  );
}
