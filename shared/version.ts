/** The version of this build; `package.json` carries the same (a test holds them together). */
export const version = "0.1.0";
