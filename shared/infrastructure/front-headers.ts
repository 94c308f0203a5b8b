/** Headers of the console's files, wherever they are served from. Nothing comes from elsewhere, nothing is inline. */
export const contentSecurityPolicy = [
  "default-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "img-src 'self' data:",
  "object-src 'none'",
].join("; ");

/** No page that is linked to learns of a job's name. */
export const referrerPolicy = "no-referrer";
