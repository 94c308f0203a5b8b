/** Whether an error says that a file is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/** For a file that another worker may have removed meanwhile: undefined where it is gone, else the error. */
export function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}
