// Files made of what the API pages out.

import { send } from "../api";

export function save(parts: BlobPart[], name: string, type: string): void {
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
export async function pages(
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
