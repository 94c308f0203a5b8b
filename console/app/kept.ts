import { useState } from "react";

/** A choice of who looks at the console that this browser keeps for the next time. */
export function useKept(name: string): [boolean, (value: boolean) => void] {
  const key = `sluice.${name}`;
  const [value, setValue] = useState(() => localStorage.getItem(key) === "yes");
  const choose = (next: boolean) => {
    localStorage.setItem(key, next ? "yes" : "no");
    setValue(next);
  };
  return [value, choose];
}
