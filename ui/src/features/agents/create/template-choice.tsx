import { NativeSelect } from "@mantine/core";
import { Properties } from "@/components/properties";
import { plainText } from "@/lib/plain-text";
import classes from "./create-agent.module.css";
import { alsoSets, type Manifest, type Template } from "./form";

interface TemplateChoiceProps {
  templates: readonly Template[];
  /** The name of the one that is chosen; empty for none. */
  chosen: string;
  error: string | undefined;
  onChoose: (id: string, manifest: Manifest | null) => void;
}

/** What a new agent is made from, and what that means. */
export function TemplateChoice({ templates, chosen, error, onChoose }: TemplateChoiceProps) {
  const manifestOf = (id: string) => templates.find((one) => one.id === id)?.manifest ?? null;
  const manifest = manifestOf(chosen);
  const broken = templates.filter((one) => one.error !== null);
  return (
    <div>
      <NativeSelect
        label="Template"
        data={[
          { value: "", label: "None: an empty workspace" },
          ...templates.map(({ id, manifest }) => ({
            value: id,
            label: plainText(manifest?.display_name ?? id),
            disabled: manifest === null,
          })),
        ]}
        value={chosen}
        onChange={({ currentTarget: { value } }) => onChoose(value, manifestOf(value))}
        error={error}
      />
      {manifest && <About manifest={manifest} />}
      {broken.length > 0 && (
        <details className={classes.broken}>
          <summary>
            {broken.length === 1 ? "1 template" : `${broken.length} templates`} cannot be used
          </summary>
          {broken.map(({ id, error }) => (
            <p key={id}>
              <code>{id}</code>: <bdi>{plainText(error ?? "")}</bdi>
            </p>
          ))}
        </details>
      )}
    </div>
  );
}

function About({ manifest }: { manifest: Manifest }) {
  const { description, credentials, use_cases } = manifest;
  const sets = alsoSets(manifest);
  const wanted = Object.entries(credentials);
  return (
    <section className={classes.about} aria-label="What the template says">
      {description !== null && <p>{plainText(description)}</p>}
      {sets.length > 0 && (
        <Properties
          items={sets.map(({ name, value }) => ({ name, value: <bdi>{plainText(value)}</bdi> }))}
        />
      )}
      {wanted.length > 0 && (
        <div>
          <p className={classes.dim}>It needs credentials, which you can set afterwards:</p>
          <ul className={classes.list}>
            {wanted.map(([name, purpose]) => (
              <li key={name}>
                <code>{plainText(name)}</code> {plainText(purpose)}
              </li>
            ))}
          </ul>
        </div>
      )}
      {use_cases.length > 0 && (
        <div>
          <p className={classes.dim}>Good for:</p>
          <ul className={classes.list}>
            {use_cases.map((text) => (
              <li key={text}>{plainText(text)}</li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}
