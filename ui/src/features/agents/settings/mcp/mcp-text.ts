/** MCP servers by name, each as an MCP configuration says it. */
export type McpServers = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** MCP servers as the text of an MCP configuration. */
export function textOfServers(servers: McpServers): string {
  return Object.keys(servers).length === 0 ? "" : JSON.stringify({ mcpServers: servers }, null, 2);
}

/** The servers that such a text names, or what is wrong with it. */
export function serversOfText(
  text: string,
): { readonly servers: McpServers } | { readonly wrong: string } {
  if (text.trim() === "") return { servers: {} };
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch (error) {
    return { wrong: `It is no JSON: ${error instanceof Error ? error.message : error}` };
  }
  // What is copied from elsewhere may be the inner part alone.
  const servers = isObject(read) && "mcpServers" in read ? read.mcpServers : read;
  if (!isObject(servers)) return { wrong: 'It names no servers: {"mcpServers": {…}}.' };
  const odd = Object.entries(servers).find(([, server]) => !isObject(server));
  if (odd) return { wrong: `“${odd[0]}” is no object with a command or a url.` };
  return { servers: servers as McpServers };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** How a server is started or reached, in a line. */
export function serverLine(server: Readonly<Record<string, unknown>>): string {
  const { command, args, url } = server;
  if (typeof url === "string") return url;
  const words = [command, ...(Array.isArray(args) ? args : [])];
  return words.filter((word) => typeof word === "string").join(" ");
}
