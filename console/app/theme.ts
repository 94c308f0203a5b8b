import { useSyncExternalStore } from "react";

export const themes = ["system", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

const key = "sluice.theme";
const listeners = new Set<() => void>();

function readTheme(): Theme {
  const kept = localStorage.getItem(key);
  return themes.find((theme) => theme === kept) ?? "system";
}

/** Shows the theme that was chosen; `system` follows the browser. */
export function applyTheme(theme: Theme = readTheme()): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

const darkSystem = window.matchMedia("(prefers-color-scheme: dark)");

/** Whether the page is dark now, by choice or as the browser is. */
export function useDark(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      darkSystem.addEventListener("change", listener);
      return () => {
        listeners.delete(listener);
        darkSystem.removeEventListener("change", listener);
      };
    },
    () => {
      const theme = readTheme();
      return theme === "system" ? darkSystem.matches : theme === "dark";
    },
  );
}

/** The theme that was chosen, and how to choose another. */
export function useTheme(): [Theme, (theme: Theme) => void] {
  const theme = useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, readTheme);
  const choose = (next: Theme) => {
    localStorage.setItem(key, next);
    applyTheme(next);
    for (const listener of listeners) listener();
  };
  return [theme, choose];
}
