import * as v from "valibot";

/** The address of the files of an agent names the one that is open. */
export const filesSearch = v.object({
  file: v.fallback(v.optional(v.pipe(v.string(), v.minLength(1))), undefined),
});
