// What is asked of the gate, as it comes: not there yet, failed, there; and lists, which come page by page.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { ChevronLeft, ChevronRight } from "lucide-react";
import { type ReactNode, useState } from "react";

import { call, type Page, url } from "../api";
import { Button, Failure, Loading } from "./ui";

/** What was asked for, as far as it has come. */
interface Asked<T> {
  data: T | undefined;
  error: unknown;
  refetch: () => unknown;
}

/** Shows what came; until then that it is under way, or what went wrong. */
export function Loaded<T>({
  of: asked,
  rows = 3,
  children,
}: {
  of: Asked<T>;
  /** How much room it will take. */
  rows?: number;
  children: (data: T) => ReactNode;
}) {
  if (asked.error) return <Failure error={asked.error} retry={() => void asked.refetch()} />;
  if (asked.data === undefined) return <Loading rows={rows} />;
  return <>{children(asked.data)}</>;
}

interface Listed<T> extends Asked<T[]> {
  /** Whether this is the page before, until the next one comes. */
  isStale: boolean;
  pager: Paging;
}

interface Paging {
  page: number;
  shown: number;
  hasNext: boolean;
  onPrevious: () => void;
  onNext: () => void;
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
    data: list.data?.items,
    error: list.error,
    isStale: list.isPlaceholderData,
    refetch: list.refetch,
    pager: {
      page: cursors.length,
      shown: list.data?.items.length ?? 0,
      hasNext: next !== null && !list.isPlaceholderData,
      onPrevious: () => setPlace({ asked, cursors: cursors.slice(0, -1) }),
      onNext: () => next !== null && setPlace({ asked, cursors: [...cursors, next] }),
    },
  };
}

/** Shows a page of a list, with the way to the others; or that there is nothing. */
export function Listing<T>({
  of: list,
  rows = 4,
  empty,
  className = "",
  children,
}: {
  of: Listed<T>;
  rows?: number;
  empty: ReactNode;
  className?: string;
  children: (items: T[]) => ReactNode;
}) {
  return (
    <Loaded of={list} rows={rows}>
      {(items) =>
        items.length === 0 ? (
          empty
        ) : (
          <div className={list.isStale ? `${className} fading` : className}>
            {children(items)}
            <Pager {...list.pager} />
          </div>
        )
      }
    </Loaded>
  );
}

/** Pages of a list that is only known by its cursors. */
function Pager({ page, shown, hasNext, onPrevious, onNext }: Paging) {
  if (page === 0 && !hasNext) {
    return null;
  }
  return (
    <nav className="pager" aria-label="Pages">
      <Button onClick={onPrevious} disabled={page === 0}>
        <ChevronLeft /> Previous
      </Button>
      <span className="muted" aria-live="polite">
        Page {page + 1}, {shown} shown
      </span>
      <Button onClick={onNext} disabled={!hasNext}>
        Next <ChevronRight />
      </Button>
    </nav>
  );
}
