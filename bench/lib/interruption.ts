const controller = new AbortController();

/** Aborted when a signal asks the benchmark to end. Loops look at it (`throwIfAborted`), so that what was made is removed; a second signal changes nothing. */
export const interruption: AbortSignal = controller.signal;

/** Runs the benchmark; one that was interrupted ends with the line that says so. */
export async function runInterruptibly(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (err) {
    if (!interruption.aborted) throw err;
    process.stderr.write(`bench: ${(interruption.reason as Error).message}\n`);
  }
}

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

for (const [signal, number] of Object.entries(SIGNALS)) {
  process.on(signal, () => {
    process.exitCode = 128 + number;
    controller.abort(new Error(`ended by ${signal}`));
  });
}
