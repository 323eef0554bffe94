// @ts-check
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { cp, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { until } from "./until.mjs";

const START_MS_MAX = 30_000;
const STOP_MS_MAX = 20_000;
/** How often a request is sent to a server that says that it is busy. */
const ATTEMPTS_MAX = 10;

/** The real server on a port of its own, with the demo runtime and a data directory that is removed. */
export class Server {
  /** @type {import("node:child_process").ChildProcess | null} */
  #process = null;
  #folder = "";
  #isDemo = true;
  #keepsFolder = false;
  /** @type {Record<string, string>} */
  #env = {};
  /** Where it listens, such as `http://127.0.0.1:41234`. */
  url = "";
  /** The one-time link of the first run; empty later. */
  setupUrl = "";

  /** Starts one, with the demo fleet unless said otherwise; on a data directory that stays, if given. */
  static async start({ isDemo = true, folder = "", env = {} } = {}) {
    const server = new Server();
    server.#env = env;
    server.#isDemo = isDemo;
    server.#keepsFolder = folder !== "";
    server.#folder = folder || (await mkdtemp(join(tmpdir(), "trinity-ui-")));
    await server.startAgain("127.0.0.1:0");
    return server;
  }

  /** Starts it, on the address that it had before unless another is said. */
  async startAgain(address = new URL(this.url).host) {
    const binary = process.env.TRINITY_BIN ?? "../target/debug/trinity";
    const args = ["serve", "--data-dir", this.#folder, "--listen", address];
    if (this.#isDemo) args.push("--demo");
    // Pages of most tests show what the test has made, and nothing else.
    const env = { ...process.env, TRINITY_SYSTEM_AGENT: "false", ...this.#env };
    const child = spawn(binary, args, { stdio: ["ignore", "ignore", "pipe"], env });
    this.#process = child;
    const isLate = setTimeout(() => child.kill("SIGKILL"), START_MS_MAX);
    for await (const line of createInterface({ input: child.stderr })) {
      this.url = line.match(/serves on (http:\S+)/)?.[1] ?? this.url;
      this.setupUrl = line.match(/password at (\S+\/setup\?token=\S+)/)?.[1] ?? "";
      if (this.setupUrl || line.includes("log in as")) break;
    }
    clearTimeout(isLate);
    // What it says later is not read, and must not stop it either.
    child.stderr.resume();
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`);
  }

  /**
   * Calls the API as the administrator of this machine.
   *
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   */
  async call(method, path, body) {
    const token = await readFile(join(this.#folder, "local-token"), "utf8");
    const headers = {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      // However often it is sent, it is done once.
      "idempotency-key": randomUUID(),
    };
    for (let attempt = 1; ; attempt += 1) {
      const request = { method, headers, body: body && JSON.stringify(body) };
      const response = await fetch(this.url + path, request);
      if (response.ok) return response.json();
      const isBusy = response.status === 503 && attempt < ATTEMPTS_MAX;
      if (!isBusy)
        throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
      const seconds = Number(response.headers.get("retry-after") ?? 1);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    }
  }

  /** Gives an agent a task; answers with the id of its execution. */
  async submit(/** @type {string} */ agent, /** @type {string} */ message) {
    const body = { message, async_mode: true };
    return (await this.call("POST", `/api/agents/${agent}/task`, body)).execution_id;
  }

  /** Waits until nothing runs any more, and nothing waits to. */
  async untilIdle() {
    await until("no run is open", async () => {
      const open = await this.call("GET", "/api/executions?status=pending,running&limit=1");
      return open.length === 0;
    });
  }

  /** Ends the process, by SIGKILL without a chance to say so; runs go on without it. */
  async stop(signal = /** @type {"SIGTERM" | "SIGKILL"} */ ("SIGTERM")) {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    const isLate = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
    child.kill(signal);
    await once(child, "exit");
    clearTimeout(isLate);
  }

  /** Keeps a copy of everything that the server knows; it has no agents that run. */
  async backUp() {
    await this.stop();
    await cp(this.#folder, `${this.#folder}-backup`, { recursive: true });
    await this.startAgain();
  }

  /** Goes back to what was kept, as if nothing had happened since. */
  async restore() {
    await this.stop();
    await rm(this.#folder, { recursive: true });
    await rename(`${this.#folder}-backup`, this.#folder);
    await this.startAgain();
  }

  /** Sends a signal to whatever looks after the runs of the agents, a process of its own for each. */
  async signalAgents(/** @type {NodeJS.Signals} */ signal) {
    const mark = `\0--state\0${this.#folder}/`;
    for (const pid of await readdir("/proc")) {
      if (!/^\d+$/.test(pid)) continue;
      const words = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      if (words.includes(mark)) process.kill(Number(pid), signal);
    }
  }

  /** Ends the agents too, then the server, and leaves nothing behind but a directory that stays. */
  async remove() {
    if (this.#keepsFolder) return this.stop();
    if (this.#process) {
      // Those that are stopped have no process; the server's own agent is never deleted.
      const agents = await this.call("GET", "/api/agents?limit=1000");
      const open = agents.filter(
        (/** @type {{ phase: string }} */ { phase }) => phase !== "stopped",
      );
      await Promise.all(
        open.map((/** @type {{ name: string, is_system: boolean }} */ { name, is_system }) =>
          is_system
            ? this.call("POST", `/api/agents/${name}/stop`)
            : this.call("DELETE", `/api/agents/${name}`),
        ),
      );
      await this.stop();
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}
