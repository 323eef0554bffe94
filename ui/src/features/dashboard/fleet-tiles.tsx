import {
  IconAlertOctagon,
  IconCircleDashed,
  IconCoin,
  IconPlayerPlay,
  IconRobot,
} from "@tabler/icons-react";
import { Link, type LinkProps } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Tone } from "@/components/status";
import { formatCost, formatCount } from "@/lib/format";
import classes from "./fleet-tiles.module.css";

/** The numbers of the page; those that are not known yet are undefined. */
export interface FleetNumbers {
  readonly running: number | undefined;
  readonly queued: number | undefined;
  readonly failed: number | undefined;
  readonly cost: number | undefined;
  readonly agentsUp: number | undefined;
  readonly agentsDown: number | undefined;
}

interface FleetTilesProps {
  numbers: FleetNumbers;
  /** From when on failures and costs are counted. */
  from: string;
}

/** What the fleet does in a few numbers; each leads to what it counts. */
export function FleetTiles({ numbers, from }: FleetTilesProps) {
  const { running, queued, failed, cost, agentsUp, agentsDown } = numbers;
  return (
    <ul className={classes.tiles} aria-label="The fleet in numbers">
      <Tile
        label="Running"
        icon={IconPlayerPlay}
        tone={running ? "active" : "neutral"}
        value={running}
        link={{ to: "/executions", search: { status: "running" } }}
      />
      <Tile
        label="Queued"
        icon={IconCircleDashed}
        tone="neutral"
        value={queued}
        link={{ to: "/executions", search: { status: "pending" } }}
      />
      <Tile
        label="Failed 24 h"
        icon={IconAlertOctagon}
        tone={failed ? "danger" : "neutral"}
        value={failed}
        link={{ to: "/executions", search: { status: "failed", from } }}
      />
      <Tile
        label="Cost 24 h"
        icon={IconCoin}
        tone="neutral"
        value={cost}
        format={formatCost}
        link={{ to: "/executions", search: { from } }}
      />
      <Tile
        label="Agents up"
        icon={IconRobot}
        tone={agentsUp ? "success" : "neutral"}
        value={agentsUp}
        link={{ to: "/agents", search: { status: "running" } }}
      >
        {agentsDown !== undefined && (
          <Link
            to="/agents"
            search={{ status: "stopped,changing,paused,failed" }}
            className={classes.aside}
          >
            {formatCount(agentsDown)} down
          </Link>
        )}
      </Tile>
    </ul>
  );
}

interface TileProps {
  label: string;
  icon: typeof IconCoin;
  tone: Tone;
  value: number | undefined;
  format?: (value: number) => string;
  link: LinkProps;
  children?: ReactNode;
}

function Tile({ label, icon: Icon, tone, value, format = formatCount, link, children }: TileProps) {
  return (
    <li className={classes.tile}>
      <span className={classes.label}>
        <Icon className={classes.icon} data-tone={tone} size={16} stroke={1.8} aria-hidden />
        {label}
      </span>
      <span className={classes.line}>
        <Link {...link} className={classes.value} aria-label={said(label, value, format)}>
          {value === undefined ? "–" : format(value)}
        </Link>
        {children}
      </span>
    </li>
  );
}

function said(label: string, value: number | undefined, format: (value: number) => string) {
  return value === undefined ? `${label}: not known yet` : `${label}: ${format(value)}`;
}
