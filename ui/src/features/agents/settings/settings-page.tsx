import { Link, Outlet } from "@tanstack/react-router";
import { useActiveInView } from "@/components/use-active-in-view";
import { useAgent } from "../use-agent";
import { sectionsFor } from "./sections";
import classes from "./settings.module.css";

/** What can be set of an agent, in parts that each have an address. */
export function SettingsPage() {
  const agent = useAgent();
  const nav = useActiveInView();
  return (
    <div className={classes.layout}>
      <nav ref={nav} aria-label="Settings" className={classes.nav}>
        {sectionsFor(agent).map(({ label, to }) => (
          <Link
            key={to}
            to={to}
            params={{ name: agent.name }}
            className={classes.link}
            activeOptions={{ exact: true }}
            activeProps={{ "data-active": true }}
          >
            {label}
          </Link>
        ))}
      </nav>
      <div className={classes.page}>
        <Outlet />
      </div>
    </div>
  );
}
