import { Link, type LinkProps } from "@tanstack/react-router";
import classes from "./live-badge.module.css";

/** The pulsing word `Live` of something that runs now; a link where `to` says so. */
export function LiveBadge({ link }: { link?: LinkProps }) {
  const content = (
    <>
      <span className={classes.dot} aria-hidden />
      Live
    </>
  );
  if (!link) return <span className={classes.badge}>{content}</span>;
  return (
    <Link {...link} className={classes.badge}>
      {content}
    </Link>
  );
}
