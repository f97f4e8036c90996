// A secret, shown this once.

import { type ReactNode, useState } from "react";

import { Checkbox } from "../parts/fields";
import { Button, CopyButton, Notice } from "../parts/ui";

/** Shows a secret with what to do with it, until whoever reads it says that it is kept. */
export function SecretOnce({
  secret,
  variable,
  children,
  onAcknowledged,
}: {
  secret: string;
  /** What an environment variable for it would be called. */
  variable: string;
  children?: ReactNode;
  onAcknowledged: () => void;
}) {
  const [isKept, setKept] = useState(false);
  const snippet = `export ${variable}=${secret}`;
  return (
    <div className="form">
      <div className="form-body">
        <Notice tone="warn">
          This is the only time the secret is shown. Nobody can read it again, not even an admin; if it is lost, rotate the
          key.
        </Notice>
        {children}
        <div className="field">
          <label htmlFor="the-secret">Secret</label>
          <div className="with-button">
            <input
              id="the-secret"
              className="mono secret"
              readOnly
              value={secret}
              onFocus={(event) => event.currentTarget.select()}
            />
            <CopyButton text={secret} label="Copy secret" />
          </div>
        </div>
        <div className="field">
          <span className="label">As an environment variable</span>
          <div className="with-button">
            <pre className="snippet" tabIndex={0}>
              {snippet}
            </pre>
            <CopyButton text={snippet} label="Copy line" />
          </div>
        </div>
      </div>
      <footer className="form-foot">
        <Checkbox label="I have stored the secret where I will find it" checked={isKept} onChange={setKept} />
        <Button kind="primary" disabled={!isKept} onClick={onAcknowledged}>
          Done
        </Button>
      </footer>
    </div>
  );
}

/** `billing-worker` becomes `BILLING_WORKER_API_KEY`. */
export function variableOf(name: string): string {
  const word = name
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "");
  return word === "" || /^[0-9]/.test(word) ? `KEY_${word}API_KEY` : `${word}_API_KEY`;
}
