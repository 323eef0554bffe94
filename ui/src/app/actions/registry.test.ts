import { describe, expect, it } from "vitest";
import { type Action, ActionRegistry, keyName, match } from "./registry";

const action = (id: string, keys?: string): Action => ({
  id,
  label: id,
  group: "Test",
  keys,
  run: () => {},
});

describe("actions", () => {
  it("are found by a key or by a sequence of keys", () => {
    const all = [action("help", "?"), action("agents", "g a")];
    expect(match(all, ["?"])).toMatchObject({ type: "run", action: { id: "help" } });
    expect(match(all, ["g"])).toEqual({ type: "wait" });
    expect(match(all, ["g", "a"])).toMatchObject({ type: "run", action: { id: "agents" } });
    expect(match(all, ["g", "x"])).toEqual({ type: "none" });
  });

  it("give a key to whoever came last, and back when that is gone", () => {
    const registry = new ActionRegistry();
    registry.add([action("page", "x")]);
    const remove = registry.add([action("dialog", "x")]);
    expect(match(registry.all(), ["x"])).toMatchObject({ action: { id: "dialog" } });
    remove();
    expect(match(registry.all(), ["x"])).toMatchObject({ action: { id: "page" } });
  });

  it("know keys by what they write, and modifiers by what they mean", () => {
    const press = (key: string, init: KeyboardEventInit = {}) =>
      keyName(new KeyboardEvent("keydown", { key, ...init }));
    expect(press("J")).toBe("j");
    expect(press("?", { shiftKey: true })).toBe("?");
    expect(press("k", { ctrlKey: true })).toBe("mod+k");
    expect(press("k", { metaKey: true })).toBe("mod+k");
    expect(press("k", { altKey: true })).toBeNull();
  });
});
