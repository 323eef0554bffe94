import { useRef } from "react";

/** Names requests, so that one that is sent twice is done once. */
export interface RequestKeys {
  /** The name of a request with this content: the same until it was done or is another. */
  keyOf(content: unknown): string;
  /** The request was done: the same content again is another request. */
  done(): void;
}

/** Makes names of requests for as long as a form is there. */
export function requestKeys(): RequestKeys {
  let current: { text: string; key: string } | null = null;
  return {
    keyOf(content) {
      const text = JSON.stringify(content);
      if (current?.text !== text) current = { text, key: randomKey() };
      return current.key;
    },
    done() {
      current = null;
    },
  };
}

/** The names of a form's requests. */
export function useRequestKeys(): RequestKeys {
  const keys = useRef<RequestKeys | null>(null);
  keys.current ??= requestKeys();
  return keys.current;
}

/** Random also where the page came without TLS, which `crypto.randomUUID` minds. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
