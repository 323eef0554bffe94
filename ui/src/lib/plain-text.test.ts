import { expect, it } from "vitest";
import { firstLine, plainText } from "./plain-text";

it("shows what would reorder or hide text", () => {
  expect(plainText("a\u202egpj.exe")).toBe("a⟨U+202E⟩gpj.exe");
  expect(plainText("ring\u0007\u001b[31m")).toBe("ring⟨U+0007⟩⟨U+001B⟩[31m");
  expect(plainText("tab\tline\n👩‍💻")).toBe("tab\tline\n👩‍💻");
});

it("takes the first line that says something", () => {
  expect(firstLine("\n  \n  Fix it \nplease")).toBe("Fix it");
  expect(firstLine("#!demo\nsay hello")).toBe("say hello");
  expect(firstLine("#!demo\n# Greet the world\nsay hello")).toBe("Greet the world");
  expect(firstLine("# A heading")).toBe("# A heading");
});
