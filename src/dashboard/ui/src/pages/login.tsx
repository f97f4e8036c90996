// The way in: an admin token, or an owner's link.

import { useEffect, useState } from "react";
import { useLocation } from "wouter";

import { Mark } from "../app";
import { Field } from "../parts/fields";
import { Button, Failure, Loading, Notice } from "../parts/ui";
import { useSigned } from "../session";

export function Login() {
  const { signIn, notice } = useSigned();
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);

  const submit = async () => {
    setBusy(true);
    setError(null);
    try {
      await signIn({ token: token.trim() });
    } catch (failed) {
      setError(failed);
      setBusy(false);
    }
  };

  return (
    <main className="alone">
      <form
        className="login panel"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <div className="brand">
          <Mark />
          <h1>Portcullis</h1>
        </div>
        {notice && error === null && <Notice tone="calm">{notice}</Notice>}
        {error !== null && <Failure error={error} />}
        <Field
          label="Admin token"
          hint="Printed once when the gate first started; more are made in Settings. Owners use the link they were sent."
        >
          {(ids) => (
            <input
              {...ids}
              type="password"
              className="mono"
              autoComplete="current-password"
              autoFocus
              required
              value={token}
              onChange={(event) => setToken(event.currentTarget.value)}
            />
          )}
        </Field>
        <Button type="submit" kind="primary" busy={busy} className="block">
          {busy ? "Signing in…" : "Sign in"}
        </Button>
        <p className="hint">A session ends after 30 minutes without use, and with the token it was made of.</p>
      </form>
    </main>
  );
}

/** Where an owner's link leads. Its code stands behind the `#`, which no server and no log ever sees. */
export function SignInLink() {
  const { signIn } = useSigned();
  const [, go] = useLocation();
  const [code] = useState(() => window.location.hash.slice(1));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);

  useEffect(() => {
    // It works once; it need not stand in the history.
    window.history.replaceState(null, "", "/sign-in");
  }, []);

  const submit = async () => {
    setBusy(true);
    setError(null);
    try {
      await signIn({ code });
      go("/keys", { replace: true });
    } catch (failed) {
      setError(failed);
      setBusy(false);
    }
  };

  return (
    <main className="alone">
      <div className="login panel">
        <div className="brand">
          <Mark />
          <h1>Portcullis</h1>
        </div>
        {code === "" ? (
          <Notice tone="warn">This link is not whole. Open it as you were sent it, or ask for another.</Notice>
        ) : error !== null ? (
          <Failure error={error} />
        ) : busy ? (
          <Loading rows={1} />
        ) : (
          <>
            <p>This link signs you in once, to see, rotate and revoke your own keys.</p>
            <Button kind="primary" className="block" onClick={() => void submit()}>
              Sign in
            </Button>
          </>
        )}
      </div>
    </main>
  );
}
