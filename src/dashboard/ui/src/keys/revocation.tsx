// Revoking, and saying where it is not in force yet.

import type { Revocation } from "../api";
import { useChange } from "../parts/change";
import { Countdown, dated } from "../parts/time";
import { useSay, useTell } from "../parts/toast";
import { Notice } from "../parts/ui";

/** What has the gate answer when every gate acts on it, or when those that do not have had their time. */
export const WAITING = { wait: "all" };

/** Revokes, then says `title`; or, where it may not be in force at every gate, tells at which and until when. */
export function useRevocation(ask: () => Promise<{ revocation: Revocation }>, title: string, then: () => void) {
  const say = useSay();
  const tell = useTell();
  return useChange(ask, {
    then: ({ revocation }) => {
      then();
      if (isEverywhere(revocation)) say(`${title}.`);
      else tell({ title, body: <Standing of={revocation} /> });
    },
  });
}

/** Whether nobody may admit any more what was revoked. */
export function isEverywhere({ revision, pending }: Revocation): boolean {
  return revision !== null && pending.length === 0;
}

/** Where it is in force, and which gates may not have it. */
export function Standing({ of: { revision, applied_on: applied, durable_on: durable, pending } }: { of: Revocation }) {
  return (
    <>
      <p>Refused by {applied.join(", ")}.</p>
      {revision === null && (
        <Notice tone="warn">
          The store is away. This is durable on {durable.join(", ")}, and handed to the store when it is back; the other gates
          hear of it then.
        </Notice>
      )}
      {pending.length > 0 && (
        <Notice tone="warn">
          <p>Not every gate has it yet, and one that does not may still admit what was revoked:</p>
          <ul aria-label="Gates that may not have it">
            {pending.map(({ node, stops_by: stopsBy }) => (
              <li key={node}>
                <b>{node}</b>{" "}
                {stopsBy === null ? (
                  "until it is heard of again; it is not known when it stops serving by itself."
                ) : (
                  <>
                    until it is heard of again, at the latest until {dated(stopsBy)} (in <Countdown to={stopsBy} />
                    ): then it stops serving by itself.
                  </>
                )}
              </li>
            ))}
          </ul>
        </Notice>
      )}
    </>
  );
}
