import { AppError } from "../domain/errors.ts";
import { parseJson } from "../parse-json.ts";

/**
 * A place in a list as callers see it: opaque text. It names its list, and holds no key of the table: the list builds
 * that itself from what it has checked, so a forged cursor can lead nowhere else.
 */
export function encodeCursor(list: string, place: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify([list, ...place])).toString("base64url");
}

/** The place in a cursor of this list, or undefined where there is none. Text that is no such cursor is the caller's error. */
export function decodeCursor<Place>(
  list: string,
  cursor: string | undefined,
  check: (place: readonly unknown[]) => Place | undefined,
): Place | undefined {
  if (cursor === undefined) return undefined;
  const decoded = parseJson(Buffer.from(cursor, "base64url").toString("utf8"));
  const place = Array.isArray(decoded) && decoded[0] === list ? check(decoded.slice(1)) : undefined;
  if (place !== undefined) return place;
  throw new AppError("invalid_cursor", "this cursor was not made by this list; start again without one");
}
