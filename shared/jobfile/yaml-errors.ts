/** What the YAML package says, and how we say it: in words of the file, with what to do. */
const translations: readonly (readonly [RegExp, string])[] = [
  [/^Missing closing "quote$/, 'this text in double quotes is not closed; add the missing "'],
  [/^Missing closing 'quote$/, "this text in single quotes is not closed; add the missing '"],
  [
    /^Nested mappings are not allowed in compact mappings$/,
    "text with ': ' in it must be in quotes, or a line below is indented too far",
  ],
  [
    /^Implicit keys need to be on a single line$/,
    "this is no 'key: value'; a space may be missing after ':', or a line below is indented wrongly",
  ],
  [/^Implicit map keys need to be followed by map values$/, "this is no 'key: value'; add the ':' and the value"],
  [
    /^Sequence item without - indicator$/,
    "'- ' is missing here, or the line is not indented like the item it belongs to",
  ],
  [/^All mapping items must start at the same column$/, "keys of one map must be indented alike"],
  [/^All sequence items must start at the same column$/, "items of one list must be indented alike"],
  [/^Flow sequence in .* end with a \]$/, "a list in brackets is not closed before this; add the missing ]"],
  [/^Flow map in .* end with a \}$/, "a map in braces is not closed before this; add the missing }"],
  [/^Tabs are not allowed as indentation$/, "tabs cannot indent YAML; use spaces"],
  [/^(Plain value cannot start with .*)$/, "$1; put it in quotes"],
  [/^Unresolved tag: (.*)$/s, "tag '$1' is not known; put text that starts with '!' in quotes"],
];

/** A syntax error of the YAML package in our words; unknown ones stay as they are. */
export function translateYamlError(message: string): string {
  for (const [pattern, text] of translations) if (pattern.test(message)) return message.replace(pattern, text);
  return message;
}
