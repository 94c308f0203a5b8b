import type { z } from "zod";

/**
 * An answer with its keys in the order of its schema: a map that comes from the table has them in any order, and who
 * compares two answers as text would see changes where there are none.
 */
export function inOrder<Schema extends z.ZodType>(schema: Schema, answer: z.infer<Schema>): z.infer<Schema> {
  const parsed = schema.safeParse(answer);
  // What an earlier version stored may not be what the schema says today; it is told all the same.
  return parsed.success ? parsed.data : answer;
}
