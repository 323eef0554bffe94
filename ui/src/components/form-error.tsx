import classes from "./form-error.module.css";

/** Why a form was refused. */
export function FormError({ error }: { error: Error | null }) {
  return (
    <div role="alert">{error && <p className={classes.error}>{sentence(error.message)}</p>}</div>
  );
}

/** The server's words begin in lower case, as parts of a line in a log do. */
function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
