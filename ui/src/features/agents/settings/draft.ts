/** What somebody is writing into a setting. */
export interface Draft {
  /** What they have written; null while they have not. */
  readonly value: string | null;
  /** What the setting was when they began, or what they have seen since. */
  readonly base: string | null;
}

/** Nothing is being written. */
export const BASE: Draft = { value: null, base: null };

/** The draft after something was written, over what the setting is now. */
export function edited(draft: Draft, value: string, current: string): Draft {
  return { value, base: draft.value === null ? current : draft.base };
}

/** What somebody else has set meanwhile; null when the draft is over what is set. */
export function changed({ value, base }: Draft, current: string): string | null {
  return value !== null && base !== current && value !== current ? current : null;
}

/** The draft once that was seen and what was written is wanted all the same. */
export function seen({ value }: Draft, current: string): Draft {
  return { value, base: current };
}
