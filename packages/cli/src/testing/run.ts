import { httpTransport } from '@cable/kit';
import { BUILT_IN_RESOURCES, type ResourceModel } from '@cable/model';
import { runCommandLine } from '../program.ts';

export type Outcome = { readonly status: number; readonly out: string; readonly err: string };

/** Runs a command line, given as words or as text without quotes in it. */
export async function cable(
  command: string | readonly string[],
  server?: { readonly url: string },
  models: readonly ResourceModel[] = BUILT_IN_RESOURCES,
): Promise<Outcome> {
  let out = '';
  let err = '';
  const argv = typeof command === 'string' ? command.split(' ').filter((word) => word !== '') : command;
  const status = await runCommandLine(argv, {
    env: server === undefined ? {} : { CABLE_SERVER: server.url },
    loadModels: () => Promise.resolve(models),
    connect: (address) => httpTransport(address),
    print: (text) => {
      out += text;
    },
    printError: (text) => {
      err += text;
    },
    version: '1.2.3',
  });
  return { status, out, err };
}
