// Who is signed in, and what they may do.

import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";

import { call, holdToken, Problem, type Role, send, SESSION, type Session, type Signed, whenSignedOut } from "./api";

interface Signing {
  session: Session | null | undefined;
  /** Why the last session is over, if it was not ended by hand. */
  notice: string | null;
  signIn: (credential: { token: string } | { code: string }) => Promise<void>;
  signOut: () => Promise<void>;
  failure: unknown;
  retry: () => void;
}

const Context = createContext<Signing | null>(null);

export function SessionProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  // Not asked yet, nobody, or someone.
  const [session, setSession] = useState<Session | null | undefined>(undefined);
  const [notice, setNotice] = useState<string | null>(null);
  const [failure, setFailure] = useState<unknown>(null);

  const ask = useCallback(async () => {
    setFailure(null);
    try {
      setSession((await call<Signed>(SESSION)).session);
    } catch (error) {
      setFailure(error);
    }
  }, []);

  useEffect(() => {
    void ask();
  }, [ask]);

  useEffect(() => {
    whenSignedOut(() => {
      holdToken(null);
      client.clear();
      setNotice("Your session is over. Sign in again.");
      setSession(null);
    });
  }, [client]);

  const signIn = useCallback(
    async (credential: { token: string } | { code: string }) => {
      holdToken(null);
      await send(SESSION, { method: "POST", body: credential });
      let { session: signed } = await call<Signed>(SESSION);
      if (signed === null) {
        // The browser did not keep the cookie: some take no secure cookie over plain HTTP.
        if (!("token" in credential)) {
          throw new Problem(401, "cookie", "This browser keeps no secure cookie for this address. Use https.", [], null);
        }
        holdToken(credential.token);
        signed = (await call<Signed>(SESSION)).session;
      }
      client.clear();
      setNotice(null);
      setSession(signed);
    },
    [client],
  );

  const signOut = useCallback(async () => {
    try {
      await send(SESSION, { method: "DELETE" });
    } catch (error) {
      // A session that is over already is what was asked for.
      if (!(error instanceof Problem) || error.status !== 401) {
        throw error;
      }
    }
    holdToken(null);
    client.clear();
    setNotice(null);
    setSession(null);
  }, [client]);

  // What refreshes by itself is no use of the dashboard: who does nothing for so long is signed out.
  useEffect(() => {
    if (!session) return undefined;
    let used = Date.now();
    const use = () => (used = Date.now());
    const timer = window.setInterval(() => {
      if (Date.now() - used < IDLE_MS) return;
      const over = () => setNotice("You were signed out after 30 minutes without use.");
      signOut().then(over, over);
    }, 15_000);
    for (const event of USES) window.addEventListener(event, use, { passive: true });
    return () => {
      window.clearInterval(timer);
      for (const event of USES) window.removeEventListener(event, use);
    };
  }, [session, signOut]);

  const value = useMemo(
    () => ({ session, notice, signIn, signOut, failure, retry: () => void ask() }),
    [session, notice, signIn, signOut, failure, ask],
  );
  return <Context value={value}>{children}</Context>;
}

const IDLE_MS = 30 * 60_000;
const USES = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"];

export function useSigned(): Signing {
  const signed = useContext(Context);
  if (signed === null) {
    throw new Error("outside of a SessionProvider");
  }
  return signed;
}

/** The session of a page that is only shown with one. */
export function useSession(): Session {
  const { session } = useSigned();
  if (!session) {
    throw new Error("nobody is signed in");
  }
  return session;
}

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** Whether who is signed in has this role or a greater one. */
export function useMay(role: Role): boolean {
  return RANK[useSession().role] >= RANK[role];
}

/** Whether who is signed in sees one owner's keys only. */
export function useIsBound(): boolean {
  return useSession().owner !== null;
}
