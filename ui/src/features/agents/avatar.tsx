import classes from "./avatar.module.css";
import type { Agent } from "./fold";

interface AvatarProps {
  agent: Pick<Agent, "name" | "avatar_sha256">;
  /** How wide and high it is, in pixels. */
  size: number;
}

/** The picture of an agent, where it has one; its name stands beside it. */
export function Avatar({ agent: { name, avatar_sha256 }, size }: AvatarProps) {
  if (avatar_sha256 === null) return null;
  // Another picture has another address, so that the browser asks for it.
  const src = `/api/agents/${encodeURIComponent(name)}/avatar#${avatar_sha256}`;
  return <img className={classes.avatar} src={src} alt="" width={size} height={size} />;
}
