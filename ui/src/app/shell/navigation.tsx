import { Link } from "@tanstack/react-router";
import { NAV } from "@/app/nav";
import classes from "./navigation.module.css";

/** The pages: beside the content, or below it where there is little room. */
export function Navigation() {
  return (
    <nav className={classes.nav} aria-label="Pages">
      {NAV.map(({ label, to, icon: Icon }) => (
        <Link
          key={to}
          to={to}
          className={classes.item}
          activeOptions={{ exact: to === "/", includeSearch: false }}
          activeProps={{ "data-active": true }}
        >
          <Icon size={18} stroke={1.6} aria-hidden />
          <span>{label}</span>
        </Link>
      ))}
    </nav>
  );
}
