/** The line that the hash of an address names, such as `seq=1432`; null when it names none. */
export function lineOfHash(hash: string): number | null {
  const seq = Number(/^#?seq=(\d{1,12})$/.exec(hash)?.[1]);
  return seq > 0 ? seq : null;
}
