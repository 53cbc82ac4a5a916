/** Runs the code of an extension: the same in the process where it is tried and in the server. */
import { setImmediate } from 'node:timers/promises';
import { EXTENSION_TOOLS, type ServerExtension } from './extension.ts';
import { extensionOf } from './given.ts';

/** What marks the addresses that extensions are imported by, and so the lines of stacks that are theirs. */
const MARK = '?cable-extension=';

/** The address to import a file by. Another hash makes Node read it anew; what it imports itself is read once a process. */
export function addressOf(fileUrl: string, hash: string): string {
  return `${fileUrl}${MARK}${hash}`;
}

/** The address of the extension that an error came by, as far as its stack tells; undefined: it does not. */
export function extensionIn(error: unknown): string | undefined {
  const stack = error instanceof Error ? String(error.stack) : '';
  const end = stack.indexOf(MARK);
  return end < 0 ? undefined : stack.slice(stack.lastIndexOf('file:', end), end);
}

/** Imports the code, calls it, and looks through what it gives. Throws an `Error` that says what went wrong. */
export async function runCode(address: string): Promise<ServerExtension> {
  const module = await attempt('it cannot be run', async () => (await import(address)) as Record<string, unknown>);
  const { extension } = module;
  if (typeof extension !== 'function') {
    throw new Error('it has no function. Write: export function extension({ CableError }) {...}');
  }
  const given = await attempt('its function extension failed', () => extension(EXTENSION_TOOLS) as unknown);
  const made = extensionOf(given);
  // Promises that were rejected meanwhile, and that nobody waits for, are told of before the next turn.
  await setImmediate();
  return made;
}

/** What is thrown may be anything. */
export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** What `act` gives; what it throws is said together with the problem that this is. */
export async function attempt<T>(problem: string, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    throw new Error(`${problem}: ${messageOf(cause)}`);
  }
}
