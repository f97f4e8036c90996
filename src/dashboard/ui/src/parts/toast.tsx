// Short words on what was just done, said to screen readers too.

import { createContext, type ReactNode, useCallback, useContext, useState } from "react";

const Context = createContext<(text: string) => void>(() => undefined);

export function ToastProvider({ children }: { children: ReactNode }) {
  const [toast, setToast] = useState<{ id: number; text: string } | null>(null);
  const say = useCallback((text: string) => {
    const id = Date.now();
    setToast({ id, text });
    window.setTimeout(() => setToast((shown) => (shown?.id === id ? null : shown)), 5_000);
  }, []);
  return (
    <Context value={say}>
      {children}
      <div className="toasts" role="status">
        {toast && <div className="toast">{toast.text}</div>}
      </div>
    </Context>
  );
}

export function useSay(): (text: string) => void {
  return useContext(Context);
}
