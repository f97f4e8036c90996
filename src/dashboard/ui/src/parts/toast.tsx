// What was just done: in short words that pass, said to screen readers too, or in a dialog where it has to be read.

import { createContext, type ReactNode, useCallback, useContext, useState } from "react";

import { Dialog } from "./dialog";
import { Button } from "./ui";

interface Told {
  title: string;
  body: ReactNode;
}

const Saying = createContext<(text: string) => void>(() => undefined);
const Telling = createContext<(told: Told) => void>(() => undefined);

export function ToastProvider({ children }: { children: ReactNode }) {
  const [toast, setToast] = useState<{ id: number; text: string } | null>(null);
  const [told, setTold] = useState<Told | null>(null);
  const say = useCallback((text: string) => {
    const id = Date.now();
    setToast({ id, text });
    window.setTimeout(() => setToast((shown) => (shown?.id === id ? null : shown)), 5_000);
  }, []);
  return (
    <Saying value={say}>
      <Telling value={setTold}>
        {children}
        <div className="toasts" role="status">
          {toast && <div className="toast">{toast.text}</div>}
        </div>
        {told && <ToldDialog of={told} onClose={() => setTold(null)} />}
      </Telling>
    </Saying>
  );
}

function ToldDialog({ of: { title, body }, onClose }: { of: Told; onClose: () => void }) {
  return (
    <Dialog title={title} onClose={onClose}>
      <div className="form">
        <div className="form-body">{body}</div>
        <footer className="form-foot">
          <Button kind="primary" onClick={onClose}>
            Close
          </Button>
        </footer>
      </div>
    </Dialog>
  );
}

/** Says something that may be missed. */
export function useSay(): (text: string) => void {
  return useContext(Saying);
}

/** Tells something that stays until it is closed, whatever becomes of the part of the page that it came from. */
export function useTell(): (told: Told) => void {
  return useContext(Telling);
}
