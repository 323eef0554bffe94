import { Link } from "@tanstack/react-router";
import classes from "./tags.module.css";

interface TagsProps {
  tags: readonly string[];
  /** Whether they are words alone, where other links are in the way. */
  isPlain?: boolean;
}

/** The words by which an agent is found; each leads to the agents that have it. */
export function Tags({ tags, isPlain = false }: TagsProps) {
  if (tags.length === 0) return null;
  return (
    <ul className={classes.tags} aria-label="Tags" data-plain={isPlain || undefined}>
      {tags.map((tag) => (
        <li key={tag}>
          {isPlain ? (
            <span className={classes.tag}>{tag}</span>
          ) : (
            <Link to="/agents" search={{ tag }} className={classes.tag}>
              {tag}
            </Link>
          )}
        </li>
      ))}
    </ul>
  );
}
