const versionPattern = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([\w.-]{1,64}))?$/;

/** Whether the text is a version such as `1.4.0` or `1.5.0-rc.1`. */
export function isVersion(text: string): boolean {
  return versionPattern.test(text);
}

/**
 * Whether one version comes before another; a pre-release before its release. A text that is no version comes before
 * none: nothing can be said of it.
 */
export function isOlderVersion(version: string, than: string): boolean {
  const [a, b] = [versionPattern.exec(version), versionPattern.exec(than)];
  if (!a || !b) return false;
  for (const part of [1, 2, 3]) {
    if (a[part] !== b[part]) return Number(a[part]) < Number(b[part]);
  }
  if (a[4] === b[4]) return false;
  return a[4] !== undefined && (b[4] === undefined || a[4].localeCompare(b[4], "en", { numeric: true }) < 0);
}
