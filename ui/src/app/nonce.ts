import { setNonce } from "get-nonce";

/**
 * The word by which the page's policy knows the style elements of this page load.
 *
 * The server makes a new one for every answer, so that no other style element is obeyed.
 */
export function styleNonce(): string {
  return document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce ?? "";
}

// What keeps the page behind a dialog from scrolling makes a style element of its own.
setNonce(styleNonce());
