// What a list is filtered by, kept in the address of the page.

import { useSearchParams } from "wouter";

/** The filters of a page by their names. */
export function useFilters<const F extends string>(fields: readonly F[]) {
  const [params, setParams] = useSearchParams();
  const values = Object.fromEntries(fields.map((field) => [field, params.get(field)])) as Record<F, string | null>;
  return {
    values,
    isAny: fields.some((field) => values[field] !== null),
    /** Changes one and leaves the others; an empty text takes it away. */
    set: (field: F, value: string) =>
      setParams(
        (before) => {
          const after = new URLSearchParams(before);
          if (value === "") after.delete(field);
          else after.set(field, value);
          return after;
        },
        { replace: true },
      ),
    /** Takes them as they are in a form. */
    take: (form: FormData) => {
      const typed = fields.map((field) => [field, String(form.get(field) ?? "").trim()]);
      setParams(typed.filter(([, value]) => value !== ""));
    },
    /** Takes all of them away. */
    clear: (options?: { replace: boolean }) => setParams({}, options),
  };
}
