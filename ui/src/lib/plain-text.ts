/**
 * Characters that reorder, hide or ring: what an agent wrote must not look like something else.
 *
 * Tabs and line feeds are layout, joiners are part of emoji and of some scripts.
 */
const TRICKS = /(?![\t\n\u200c\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** Makes what cannot be seen visible, such as `⟨U+202E⟩`; line feeds and tabs stay. */
export function plainText(text: string): string {
  return text.replace(TRICKS, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/**
 * The first line of a text that says something; a line such as `#!demo` only says to whom, and a
 * comment after it is what the script is called.
 */
export function firstLine(text: string): string {
  const says = (candidate: string) => candidate.trim() !== "" && !candidate.startsWith("#!");
  const line = text.split("\n", 20).find(says) ?? text;
  const said = text.startsWith("#!") ? line.replace(/^\s*#\s+/, "") : line;
  return plainText(said.trim());
}
