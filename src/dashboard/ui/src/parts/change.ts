// Changing something at the gate.

import { useMutation, useQueryClient } from "@tanstack/react-query";

import { useSay } from "./toast";

/**
 * A call that changes something. Once it has, what was done is `said`, `then` it goes on, and all that is shown is
 * asked for anew, which may take its time where the store is away.
 */
export function useChange<T, V = void>(
  ask: (of: V) => Promise<T>,
  { said, then }: { said?: (done: T, of: V) => string; then?: (done: T) => void } = {},
) {
  const client = useQueryClient();
  const say = useSay();
  return useMutation({
    mutationFn: ask,
    onSuccess: async (done, of) => {
      if (said) say(said(done, of));
      then?.(done);
      await client.invalidateQueries();
    },
  });
}

/** A reason as the body of a call takes it, where it may be left out. */
export function withReason(reason: string): { reason?: string } {
  return reason.trim() === "" ? {} : { reason: reason.trim() };
}
