/** Saves texts, one after another, as a file of the person who is there. */
export function saveText(parts: readonly BlobPart[], name: string) {
  const url = URL.createObjectURL(new Blob([...parts], { type: "text/plain;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has begun to read it when the click returns.
  setTimeout(() => URL.revokeObjectURL(url), 0);
}
