/** A list of words as a text, by which one is compared with another. */
export function textOfList(words: readonly string[]): string {
  return words.join("\n");
}

/** The words of such a text. */
export function listOfText(text: string): string[] {
  return text === "" ? [] : text.split("\n");
}

/** The same for people. */
export function wordsOfText(text: string): string {
  return listOfText(text).join(", ");
}
