/** Places of the console in the order of its navigation, each with the key that follows `g`. */
export const places = [
  { to: "/", label: "Overview", key: "o" },
  { to: "/jobs", label: "Jobs", key: "j" },
  { to: "/workers", label: "Workers", key: "w" },
] as const;
