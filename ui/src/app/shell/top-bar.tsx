import { UnstyledButton } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { Kbd } from "@/components/kbd";
import { Brand } from "./brand";
import { Breadcrumb } from "./breadcrumb";
import { LiveChip } from "./live-chip";
import { ThemeToggle } from "./theme-toggle";
import classes from "./top-bar.module.css";
import { UserMenu } from "./user-menu";

/** Where one is, how live that is, and what can be done. */
export function TopBar({ onSearch }: { onSearch: () => void }) {
  return (
    <header className={classes.bar}>
      <Link to="/" className={classes.brand} aria-label="Trinity, first page">
        <Brand />
      </Link>
      <Breadcrumb />
      <div className={classes.tools}>
        <UnstyledButton className={classes.search} onClick={onSearch}>
          <IconSearch size={15} stroke={1.7} aria-hidden />
          <span className={classes.searchText}>Search or run a command</span>
          <span className={classes.searchKeys}>
            <Kbd keys="mod+k" />
          </span>
        </UnstyledButton>
        <LiveChip />
        <ThemeToggle />
        <UserMenu />
      </div>
    </header>
  );
}
