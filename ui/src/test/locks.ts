/** Locks as browsers lend them, for environments that have none. */
export class TestLocks {
  readonly #queues = new Map<string, Promise<unknown>>();

  /** Runs `work` once nobody before holds the lock any more. */
  request(name: string, options: { signal: AbortSignal }, work: () => Promise<void>) {
    const before = this.#queues.get(name) ?? Promise.resolve();
    const mine = before.then(() => {
      options.signal.throwIfAborted();
      return work();
    });
    this.#queues.set(
      name,
      mine.catch(() => {}),
    );
    return mine;
  }
}
