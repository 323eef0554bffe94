import { Checkbox, Loader, UnstyledButton } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, load } from "@/api/client";
import { keys } from "@/api/keys";
import { ErrorState } from "@/components/error-state";
import { SkeletonRows } from "@/components/skeleton-rows";
import { plainText } from "@/lib/plain-text";
import classes from "../settings.module.css";
import type { SkillRow } from "./skills";
import own from "./skills.module.css";

interface SkillItemProps {
  skill: SkillRow;
  isClosed: boolean;
  isPending: boolean;
  onToggle: (isAttached: boolean) => void;
}

/** A skill: whether the agent has it, what it is good for, and what it says. */
export function SkillItem({ skill, isClosed, isPending, onToggle }: SkillItemProps) {
  const { name, description, problem, isAttached } = skill;
  const [isOpen, setOpen] = useState(false);
  return (
    <li className={classes.row}>
      <div className={classes.subject}>
        <Checkbox
          label={<code>{name}</code>}
          description={description === null ? undefined : plainText(description)}
          checked={isAttached}
          // What cannot be given can be taken away all the same.
          disabled={isClosed || (problem !== null && !isAttached)}
          onChange={(event) => onToggle(event.currentTarget.checked)}
        />
        {problem !== null && <p className={own.problem}>{plainText(problem)}</p>}
      </div>
      {isPending && <Loader size={14} aria-label="Saving" />}
      {problem === null && (
        <UnstyledButton
          className={own.read}
          aria-expanded={isOpen}
          onClick={() => setOpen(!isOpen)}
        >
          {isOpen ? "Close" : "Read"} <span className="visually-hidden">{name}</span>
        </UnstyledButton>
      )}
      {isOpen && <SkillText name={name} />}
    </li>
  );
}

function skillQuery(id: string) {
  return queryOptions({
    queryKey: keys.library.skill(id),
    queryFn: ({ signal }) =>
      load(api.GET("/api/skills/library/{id}", { params: { path: { id } }, signal })),
    staleTime: 0,
  });
}

function SkillText({ name }: { name: string }) {
  const query = useQuery(skillQuery(name));
  const skill = query.data?.value;
  if (query.isPending) return <SkeletonRows rows={2} height={32} />;
  if (!skill) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be scrolled by keys
    <section className={own.text} aria-label={`SKILL.md of ${name}`} tabIndex={0}>
      <pre>{plainText(skill.text)}</pre>
      {skill.files.length > 1 && <p>With {skill.files.map(plainText).join(", ")}</p>}
    </section>
  );
}
