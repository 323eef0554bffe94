import { Link, useMatches } from "@tanstack/react-router";
import classes from "./breadcrumb.module.css";

/** Where the page stands: every route of the path that has a name. */
export function Breadcrumb() {
  const crumbs = useMatches({
    select: (matches) =>
      matches.flatMap(({ id, pathname, params, staticData }) =>
        staticData.crumb ? [{ id, pathname, label: staticData.crumb(params) }] : [],
      ),
  });
  const last = crumbs.at(-1);
  return (
    <nav aria-label="Breadcrumb" className={classes.breadcrumb}>
      <ol className={classes.list}>
        {crumbs.map(({ id, pathname, label }) => (
          <li key={id} className={classes.crumb}>
            {id === last?.id ? (
              <span aria-current="page">{label}</span>
            ) : (
              <Link to={pathname}>{label}</Link>
            )}
          </li>
        ))}
      </ol>
    </nav>
  );
}
