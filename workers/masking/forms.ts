import { secretRules } from "../../shared/domain/secret-rules.ts";

/** Columns at which programs wrap base64: coreutils, and PEM with OpenSSL. */
const wrapColumns = [76, 64];
/** A shorter last line holds a few bytes of a secret of sixty or more, and would slow the search for all. */
const minWrappedLength = 12;

/**
 * Every text by which a secret is known in output: the value, each of its lines, and what usual programs make of the
 * whole value. Texts shorter than `secretRules.minMaskedLength` are left out: they would be found everywhere.
 */
export function listSecretForms(value: string): string[] {
  if (value.length < secretRules.minMaskedLength) return [];
  const lines = value.split(/\r?\n/).map((line) => line.trim());
  const plain = [value, value.replaceAll(/\r?\n/g, "\n"), value.replaceAll(/\r?\n/g, "\r\n"), ...lines];
  const forms = [
    ...plain,
    ...base64Forms(value),
    ...urlForms(value),
    ...jsonForms(value),
    ...shellForms(value),
    ...hexForms(value),
  ];
  return [...new Set(forms)].filter((form) => form.length >= secretRules.minMaskedLength);
}

/**
 * Base64 depends on where the value stands in what is encoded: three alignments, each without the characters that it
 * shares with its neighbours, and with those of the end where nothing, or a line end as of `echo`, follows.
 */
function base64Forms(value: string): string[] {
  const bytes = Buffer.from(value);
  const forms = [0, 1, 2].flatMap((offset) => {
    const first = offset === 0 ? 0 : offset + 1;
    const encode = (after: string) =>
      Buffer.concat([Buffer.alloc(offset), bytes, Buffer.from(after)]).toString("base64");
    const inner = encode("").slice(first, Math.floor(((offset + bytes.length) * 8) / 6));
    return [inner, encode("").slice(first), encode("\n").slice(first)];
  });
  const wrapped = ["", "\n"].flatMap((after) => {
    const text = Buffer.concat([bytes, Buffer.from(after)]).toString("base64");
    return wrapColumns.flatMap((columns) =>
      text.length > columns ? cutText(text, columns).filter((line) => line.length >= minWrappedLength) : [],
    );
  });
  const all = [...forms, ...wrapped];
  return [...all, ...all.map((form) => form.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, ""))];
}

function cutText(text: string, columns: number): string[] {
  return Array.from({ length: Math.ceil(text.length / columns) }, (_, index) =>
    text.slice(index * columns, (index + 1) * columns),
  );
}

/** Libraries differ in what they leave as it is, in `+` for a space, and in the case of the digits. */
function urlForms(value: string): string[] {
  const wellFormed = value.toWellFormed();
  const component = encodeURIComponent(wellFormed);
  const strict = component.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  const form = new URLSearchParams([["", wellFormed]]).toString().slice(1);
  const forms = [component, strict, strict.replaceAll("%2F", "/"), strict.replaceAll("%20", "+"), form];
  forms.push(encodeURI(wellFormed));
  return [...forms, ...forms.map((text) => text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()))];
}

/** As a JSON text, with what some writers escape beyond need, and once more inside of another JSON text. */
function jsonForms(value: string): string[] {
  const quote = (text: string) => JSON.stringify(text).slice(1, -1);
  const plain = quote(value);
  const toCode = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const ascii = plain.replace(/[\u007f-\uffff]/g, toCode);
  const html = plain.replace(/[<>&\u2028\u2029]/g, toCode);
  return [plain, ascii, html, plain.replaceAll("/", "\\/"), quote(plain)];
}

/** As shells show it: inside of single quotes (`set -x`), and with backslashes (`printf %q`). */
function shellForms(value: string): string[] {
  return [value.replaceAll("'", "'\\''"), value.replace(/[^\w@%+=:,./-]/g, "\\$&")];
}

function hexForms(value: string): string[] {
  const hex = Buffer.from(value).toString("hex");
  return [hex, hex.toUpperCase()];
}
