import { Link, type LinkProps } from "@tanstack/react-router";
import classes from "./tab-links.module.css";
import { useActiveInView } from "./use-active-in-view";

/** A part of a page that has an address of its own. */
export interface TabLink {
  readonly label: string;
  readonly link: LinkProps;
}

/** The parts of a page, as links: each has an address, and the browser's back button works. */
export function TabLinks({ label, tabs }: { label: string; tabs: readonly TabLink[] }) {
  const nav = useActiveInView();
  return (
    <nav ref={nav} aria-label={label} className={classes.tabs}>
      {tabs.map((tab) => (
        <Link
          key={tab.label}
          {...tab.link}
          className={classes.tab}
          activeProps={{ "data-active": true }}
        >
          {tab.label}
        </Link>
      ))}
    </nav>
  );
}
