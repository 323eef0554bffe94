import type { ReactNode } from "react";
import { Brand } from "@/app/shell/brand";
import classes from "./auth-card.module.css";

/** The page around a login: one card in the middle of nothing. */
export function AuthCard({ title, children }: { title: string; children: ReactNode }) {
  return (
    <main className={classes.page}>
      <title>{`${title} · Trinity`}</title>
      <div className={classes.card}>
        <Brand />
        <h1 className={classes.title}>{title}</h1>
        {children}
      </div>
    </main>
  );
}
