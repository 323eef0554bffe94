/**
 * Copies a text.
 *
 * Browsers offer the clipboard to pages over TLS or from this machine alone; elsewhere a selection is
 * copied, as by the keyboard.
 */
export async function copyText(text: string): Promise<void> {
  const clipboard = navigator.clipboard as Clipboard | undefined;
  if (clipboard) return clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
