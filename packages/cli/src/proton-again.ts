/** Requests about protons that may take longer than one request has time for. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '@cable/api';
import { TransportError } from '@cable/kit';
import type { CliContext } from './context.ts';
import { CliError } from './errors.ts';
import { harmless } from './render.ts';

/** How often in a row the server may say nothing of how far it is. */
const SILENT_MOST = 20;

/** Between two requests. */
const WAIT_MS = 200;

const GOES_ON = 'What was begun may go on: cable proton list shows how far it is. Run it again to finish.';

/** Sends the request until it is done, and says on standard error how far it is. Sent twice, it does nothing twice. `isGone`: that there is no such proton any more is what is wanted. */
export async function untilDone(
  context: Pick<CliContext, 'printError'>,
  send: () => Promise<unknown>,
  { isGone = false }: { readonly isGone?: boolean } = {},
): Promise<unknown> {
  let silent = 0;
  for (;;) {
    try {
      return await send();
    } catch (err) {
      if (!(err instanceof ApiError || err instanceof TransportError)) throw err;
      if (isGone && silent > 0 && err instanceof ApiError && err.status === 404) return undefined;
      const isProgress = err instanceof ApiError && err.type === 'GoesOn';
      if (!isProgress && !mayPass(err, silent > 0)) throw err;
      silent = isProgress ? 0 : silent + 1;
      if (silent > SILENT_MOST) throw new CliError(1, err.message, GOES_ON);
      context.printError(`${harmless(err.message).replace(/\.$/, '')}${isProgress ? '' : ': it is asked again'}\n`);
      await sleep(WAIT_MS);
    }
  }
}

/** That somebody else changes it may be what was sent before and was not answered. */
function mayPass(err: ApiError | TransportError, isAgain: boolean): boolean {
  if (err instanceof TransportError) return err.code === 'timeout';
  return (
    err.status === 503 || (isAgain && err.status === 409 && /is being changed by another request/.test(err.message))
  );
}
