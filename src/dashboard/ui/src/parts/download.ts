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

/** One field of CSV (RFC 4180). What a spreadsheet would take for a formula is made a text. */
export function csvField(value: unknown): string {
  let text = value === null || value === undefined ? "" : String(value);
  if (/^[=+\-@\t\r]/.test(text)) {
    text = `'${text}`;
  }
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csvLine(values: unknown[]): string {
  return `${values.map(csvField).join(",")}\r\n`;
}

/**
 * Everything behind a paged call that answers in text, page by page. `page` makes the path of one page;
 * of CSV the head is kept once.
 */
export async function pages(
  page: (cursor: string | null) => string,
  isCsv: boolean,
  signal: AbortSignal,
  onPage: (pages: number) => void,
): Promise<string[]> {
  const parts: string[] = [];
  let cursor: string | null = null;
  do {
    const response = await send(page(cursor), { signal });
    const text = await response.text();
    parts.push(isCsv && parts.length > 0 ? text.slice(text.indexOf("\n") + 1) : text);
    cursor = response.headers.get("x-next-cursor");
    onPage(parts.length);
  } while (cursor !== null && cursor !== "");
  return parts;
}
