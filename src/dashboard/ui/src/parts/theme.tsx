// Light or dark: the system's, unless someone says otherwise.

import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";

export type Choice = "system" | "light" | "dark";

interface Theme {
  choice: Choice;
  /** What is shown: the choice, or what the system says. */
  theme: "light" | "dark";
  choose: (choice: Choice) => void;
}

const Context = createContext<Theme>({ choice: "system", theme: "light", choose: () => undefined });
const KEPT_AS = "portcullis-theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function kept(): Choice {
  try {
    const value = window.localStorage.getItem(KEPT_AS);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

export function ThemeProvider({ children }: { children: ReactNode }) {
  const [choice, setChoice] = useState<Choice>(kept);
  const [isDark, setIsDark] = useState(dark.matches);
  useEffect(() => {
    const changed = () => setIsDark(dark.matches);
    dark.addEventListener("change", changed);
    return () => dark.removeEventListener("change", changed);
  }, []);
  const theme = choice === "system" ? (isDark ? "dark" : "light") : choice;
  useEffect(() => {
    document.documentElement.dataset["theme"] = theme;
  }, [theme]);
  const value = useMemo(() => {
    const choose = (next: Choice) => {
      setChoice(next);
      try {
        if (next === "system") window.localStorage.removeItem(KEPT_AS);
        else window.localStorage.setItem(KEPT_AS, next);
      } catch {
        // Where nothing may be kept, the choice lasts as long as the page.
      }
    };
    return { choice, theme, choose } satisfies Theme;
  }, [choice, theme]);
  return <Context value={value}>{children}</Context>;
}

export function useTheme(): Theme {
  return useContext(Context);
}
