import type { Schemas } from "@/api/client";

/** What a template says of the agents made from it. */
export type Manifest = Omit<Schemas["Manifest"], "resources"> & {
  resources?: Schemas["Resources"];
};

/** A template, or why it cannot be used. */
export interface Template {
  readonly id: string;
  readonly manifest: Manifest | null;
  readonly error: string | null;
}

/** A new agent as it is written down. */
export interface Form {
  readonly name: string;
  /** The template's name; empty for none. */
  readonly template: string;
  readonly runtime: string;
  readonly model: string;
  readonly instructions: string;
  readonly capacity: string;
  readonly timeout: string;
  readonly start: boolean;
}

/** What a form begins with. */
export const EMPTY_FORM: Form = {
  name: "",
  template: "",
  runtime: "claude-code",
  model: "",
  instructions: "",
  capacity: "3",
  timeout: "900",
  start: true,
};

/** The form once a template was chosen: its fields say what the template does. */
export function withTemplate(form: Form, template: string, manifest: Manifest | null): Form {
  const { runtime, model, max_parallel_tasks, execution_timeout_seconds } = manifest ?? {};
  return {
    ...form,
    template,
    runtime: runtime ?? EMPTY_FORM.runtime,
    model: model ?? EMPTY_FORM.model,
    capacity: String(max_parallel_tasks ?? EMPTY_FORM.capacity),
    timeout: String(execution_timeout_seconds ?? EMPTY_FORM.timeout),
  };
}

/** The request for an agent; what it leaves unsaid is said by its template or the server. */
export function bodyOf(form: Form): Schemas["CreateAgent"] {
  return {
    name: form.name,
    template: form.template || null,
    runtime: form.runtime,
    model: form.model.trim() || null,
    custom_instructions: form.instructions.trim() === "" ? null : form.instructions,
    max_parallel_tasks: numberOf(form.capacity),
    execution_timeout_seconds: numberOf(form.timeout),
  };
}

/** An empty field is the server's default; what is no number is refused there, at its field. */
function numberOf(text: string): number | null {
  return text.trim() === "" ? null : Number(text);
}

/** What a template sets that the form has no field for, in words. */
export function alsoSets(manifest: Manifest): { name: string; value: string }[] {
  const { skills, tools, tags, resources, base_image, autonomy } = manifest;
  const limits = [
    resources?.memory == null ? null : `${resources.memory} of memory`,
    resources?.cpu == null ? null : `${resources.cpu} processors`,
  ];
  const facts = [
    { name: "Skills", value: skills.join(", ") },
    { name: "Tools", value: tools.join(", ") },
    { name: "Tags", value: tags.join(", ") },
    { name: "Limits", value: limits.filter((limit) => limit !== null).join(", ") },
    { name: "Image", value: base_image ?? "" },
    { name: "Autonomy", value: autonomy == null ? "" : autonomy ? "on" : "off" },
  ];
  return facts.filter(({ value }) => value !== "");
}
