/**
 * Ends the process when a command line was not understood, with status 2, or asked for help, with 0. `err.exitCode`: 0 after help. For
 * commander's `exitOverride`: what failed ends with 1, as everywhere, so callers can tell the two.
 */
export function exitUsage(err: { readonly exitCode: number }): never {
  process.exit(err.exitCode === 0 ? 0 : 2);
}
