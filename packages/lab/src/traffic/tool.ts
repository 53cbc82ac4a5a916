/**
 * The program that runs inside guests: `tool.js serve NAME`, or one client request, whose result it prints as JSON.
 * A failed request ends with 1 and the reason on standard error.
 */
import { accepts, firstAccepted, get, put, whenTold, whenToldByUdp, who } from './client.ts';
import { serve } from './server.ts';

const [verb = '', ...args] = process.argv.slice(2);

async function main(): Promise<unknown> {
  if (verb === 'serve') return serve(args[0] ?? '');
  const [host = '', port = '', ...rest] = args;
  const target = { host, port: Number(port) };
  const options = JSON.parse(rest[0] ?? '{}') as {
    readonly bytes?: number;
    readonly seconds?: number;
    readonly rate?: number;
    readonly seed?: string;
    readonly timeoutMs?: number;
    readonly heard?: string;
    readonly go?: string;
  };
  const files = { heard: options.heard ?? '', go: options.go ?? '' };
  const seed = options.seed ?? 'cable';
  switch (verb) {
    case 'who':
      return who(target);
    case 'get':
      return get(target, options.bytes ?? 0, seed);
    case 'put':
      return put(target, { ...options, seed });
    case 'when':
      return whenTold(target, files);
    case 'when-udp':
      return whenToldByUdp(target, files);
    case 'accepts':
      return accepts(target, options.timeoutMs ?? 1_000);
    case 'first-accepted':
      return firstAccepted(target, options.timeoutMs ?? 1_000);
    default:
      throw new Error(`unknown verb ${verb}`);
  }
}

try {
  const result = await main();
  if (verb !== 'serve') process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
} catch (err) {
  process.stderr.write(`${err instanceof Error ? err.message : String(err)}\n`);
  process.exitCode = 1;
}
