import { expect, it } from "vitest";
import { alsoSets, bodyOf, EMPTY_FORM, type Manifest, withTemplate } from "./form";

const writer: Manifest = {
  display_name: "Writer",
  description: null,
  version: null,
  author: null,
  type: null,
  runtime: "demo",
  model: null,
  base_image: null,
  autonomy: false,
  max_parallel_tasks: 5,
  execution_timeout_seconds: null,
  resources: { cpu: null, memory: "2g" },
  skills: ["brief", "plain"],
  tags: ["words"],
  tools: [],
  credentials: {},
  use_cases: [],
};

it("takes over what a template says, and gives it back with the template", () => {
  const named = { ...EMPTY_FORM, name: "poet" };
  const chosen = withTemplate(named, "writer", writer);
  expect(chosen).toMatchObject({ name: "poet", runtime: "demo", capacity: "5", timeout: "900" });
  expect(withTemplate(chosen, "", null)).toEqual(named);
});

it("asks for what is written, and leaves the rest to the template or the server", () => {
  const form = { ...EMPTY_FORM, name: "poet", template: "writer", capacity: "", model: " opus " };
  expect(bodyOf(form)).toMatchObject({
    template: "writer",
    model: "opus",
    max_parallel_tasks: null,
    execution_timeout_seconds: 900,
    custom_instructions: null,
  });
  expect(bodyOf(EMPTY_FORM).template).toBeNull();
});

it("names what a template sets beside the fields", () => {
  expect(alsoSets(writer)).toEqual([
    { name: "Skills", value: "brief, plain" },
    { name: "Tags", value: "words" },
    { name: "Limits", value: "2g of memory" },
    { name: "Autonomy", value: "off" },
  ]);
});
