import classes from "./brand.module.css";

/** The name of the product with its mark. */
export function Brand() {
  return (
    <span className={classes.brand}>
      <svg width="20" height="20" viewBox="0 0 20 20" fill="none" aria-hidden="true">
        <path d="M10 4.2 3.6 15.4h12.8z" stroke="currentColor" strokeWidth="1.5" />
        <g fill="var(--surface)" stroke="currentColor" strokeWidth="1.5">
          <circle cx="10" cy="4.2" r="2.6" />
          <circle cx="3.6" cy="15.4" r="2.6" />
          <circle cx="16.4" cy="15.4" r="2.6" />
        </g>
      </svg>
      Trinity
    </span>
  );
}
