// Requests as they finish, as the gate tells of them.

import { useEffect, useRef, useState } from "react";

import { type Finished, Problem, send } from "../api";

interface Seen {
  requests: Finished[];
  dropped: number;
  /** Gates that do not answer: what they serve is not seen. */
  missing: string[];
}

export interface Live extends Seen {
  error: unknown;
  isPaused: boolean;
  toggle: () => void;
}

const SHOWN = 15;
/** How often what came in is shown: however fast requests come, the page is drawn twice a second. */
const DRAWN_EVERY_MS = 500;
const AGAIN_AFTER_MS = 3_000;

const NOTHING: Seen = { requests: [], dropped: 0, missing: [] };

/** Listens for as long as the page shows it; what is lost is asked for anew. */
export function useLive(): Live {
  const [shown, setShown] = useState<Seen>(NOTHING);
  const [error, setError] = useState<unknown>(null);
  const [isPaused, setPaused] = useState(false);
  const paused = useRef(isPaused);
  paused.current = isPaused;

  useEffect(() => {
    const stop = new AbortController();
    const seen: Seen = { ...NOTHING };
    let isNew = false;
    const take = (kind: string, data: string) => {
      isNew = true;
      if (kind === "dropped") {
        seen.dropped += (JSON.parse(data) as { count: number }).count;
        return;
      }
      if (kind === "gates") {
        seen.missing = (JSON.parse(data) as { missing: string[] }).missing;
        return;
      }
      // What a newer gate tells besides is its own business.
      if (kind !== "request") return;
      seen.requests = [JSON.parse(data) as Finished, ...seen.requests].slice(0, SHOWN);
    };
    const timer = window.setInterval(() => {
      if (isNew && !paused.current) {
        isNew = false;
        setShown({ ...seen });
      }
    }, DRAWN_EVERY_MS);
    const listen = async () => {
      while (!stop.signal.aborted) {
        try {
          const response = await send("/admin/live", { signal: stop.signal });
          setError(null);
          if (response.body) await events(response.body, take);
        } catch (failed) {
          if (stop.signal.aborted) return;
          // A connection that broke off is made anew without a word; a no is shown.
          if (failed instanceof Problem) setError(failed);
        }
        await new Promise((then) => window.setTimeout(then, AGAIN_AFTER_MS));
      }
    };
    void listen();
    return () => {
      stop.abort();
      window.clearInterval(timer);
    };
  }, []);

  return { ...shown, error, isPaused, toggle: () => setPaused((before) => !before) };
}

/** Reads server-sent events off a stream until it ends. */
async function events(body: ReadableStream<Uint8Array>, take: (kind: string, data: string) => void): Promise<void> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      let kind = "message";
      let data = "";
      for (const line of block.split("\n")) {
        if (line.startsWith("event:")) kind = line.slice(6).trim();
        else if (line.startsWith("data:")) data += line.slice(5).trimStart();
      }
      if (data !== "") take(kind, data);
    }
  }
}
