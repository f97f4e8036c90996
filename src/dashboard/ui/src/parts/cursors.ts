// A list that is paged by the gate: which page is shown, and the cursors of those before it.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { call, type Page, url } from "../api";

export interface Listed<T> {
  items: T[] | undefined;
  error: unknown;
  isStale: boolean;
  refetch: () => void;
  pager: { page: number; shown: number; hasNext: boolean; onPrevious: () => void; onNext: () => void };
}

/** One page of what `path` lists. Another query begins at its first page: a cursor belongs to its query. */
export function useList<T>(
  path: string,
  query: Record<string, string | number | boolean | null | undefined>,
  options: { refetchInterval?: number } = {},
): Listed<T> {
  const asked = url(path, query);
  const [place, setPlace] = useState<{ asked: string; cursors: string[] }>({ asked, cursors: [] });
  const cursors = place.asked === asked ? place.cursors : [];
  const cursor = cursors.at(-1);
  const list = useQuery({
    queryKey: [path, asked, cursor ?? null],
    queryFn: ({ signal }) => call<Page<T>>(url(path, { ...query, cursor }), { signal }),
    placeholderData: keepPreviousData,
    ...options,
  });
  const next = list.data?.next_cursor ?? null;
  return {
    items: list.data?.items,
    error: list.error,
    isStale: list.isPlaceholderData,
    refetch: () => void list.refetch(),
    pager: {
      page: cursors.length,
      shown: list.data?.items.length ?? 0,
      hasNext: next !== null && !list.isPlaceholderData,
      onPrevious: () => setPlace({ asked, cursors: cursors.slice(0, -1) }),
      onNext: () => next !== null && setPlace({ asked, cursors: [...cursors, next] }),
    },
  };
}
