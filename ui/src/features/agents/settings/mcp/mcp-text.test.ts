import { expect, it } from "vitest";
import { serverLine, serversOfText, textOfServers } from "./mcp-text";

const git = { command: "git-mcp", args: ["--root", "."], env: { TOKEN: `\${GIT_TOKEN}` } };

it("writes servers as a configuration, and reads them again", () => {
  expect(serversOfText(textOfServers({ git }))).toEqual({ servers: { git } });
  expect(textOfServers({})).toBe("");
  expect(serversOfText(" \n")).toEqual({ servers: {} });
});

it("reads what was copied without its frame", () => {
  expect(serversOfText(JSON.stringify({ git }))).toEqual({ servers: { git } });
});

it("says what is wrong before anything is sent", () => {
  expect(serversOfText("{")).toMatchObject({ wrong: expect.stringMatching(/no JSON/) });
  expect(serversOfText("[]")).toMatchObject({ wrong: expect.stringMatching(/names no servers/) });
  expect(serversOfText('{"git": 1}')).toMatchObject({ wrong: expect.stringMatching(/“git”/) });
});

it("says in a line how a server is started or reached", () => {
  expect(serverLine(git)).toBe("git-mcp --root .");
  expect(serverLine({ url: "https://example.com/mcp" })).toBe("https://example.com/mcp");
});
