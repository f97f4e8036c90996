// Files made of what the API pages out.

import { type ReactNode, useRef, useState } from "react";

import { send } from "../api";
import { Button, Failure } from "./ui";

function save(parts: BlobPart[], name: string, type: string): void {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/**
 * Everything behind a paged call that answers in text, page by page. `page` makes the path of one page; of CSV
 * the first one alone has a head.
 */
async function pages(
  page: (cursor: string | null) => string,
  signal: AbortSignal,
  onPage: (pages: number) => void,
): Promise<string[]> {
  const parts: string[] = [];
  let cursor: string | null = null;
  do {
    const response = await send(page(cursor), { signal });
    const text = await response.text();
    parts.push(text);
    cursor = response.headers.get("x-next-cursor");
    onPage(parts.length);
  } while (cursor !== null && cursor !== "");
  return parts;
}

/** A file that is called `name`, of this media type, made of what is behind the paths that `page` makes. */
interface Wanted {
  page: (cursor: string | null) => string;
  name: string;
  type: string;
}

/** Buttons that download files; while one is made they make room for how far it is, and for stopping it. */
export function Downloads({ children }: { children: (start: (wanted: Wanted) => void) => ReactNode }) {
  const [done, setDone] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  const running = useRef<AbortController | null>(null);
  const start = async ({ page, name, type }: Wanted) => {
    const stop = new AbortController();
    running.current = stop;
    setError(null);
    setDone(0);
    try {
      save(await pages(page, stop.signal, setDone), name, type);
    } catch (failed) {
      if (!stop.signal.aborted) setError(failed);
    } finally {
      setDone(null);
    }
  };
  return (
    <>
      {error !== null && <Failure error={error} />}
      {done === null ? (
        children((wanted) => void start(wanted))
      ) : (
        <Button onClick={() => running.current?.abort()}>Exporting, page {done + 1}… Stop</Button>
      )}
    </>
  );
}
