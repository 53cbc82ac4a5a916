/** `kubectl-cable`, which kubectl runs for `kubectl cable`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, readFileSync } from 'node:fs';
import { httpTransport } from '@cable/kit';
import { BUILT_IN_RESOURCES } from '@cable/model';
import type { CliDeps } from '../context.ts';
import { CliError } from '../errors.ts';
import { optionOf } from '../global-options.ts';
import { createModelLoader } from '../model-loader.ts';
import { openOwn } from '../pcap.ts';
import { runCommandLine } from '../program.ts';
import type { KubectlLine } from './arguments.ts';
import { type PluginDeps, runPlugin } from './plugin.ts';

process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  if (err.code !== 'EPIPE') throw err;
  process.exit(0);
});

const { env } = process;
const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
const cliDeps: CliDeps = {
  env,
  loadModels: createModelLoader({ env, fallback: BUILT_IN_RESOURCES }),
  connect: httpTransport,
  print: (text) => void process.stdout.write(text),
  printError: (text) => void process.stderr.write(text),
  version: String((manifest as { readonly version: unknown }).version),
};

const deps: PluginDeps = {
  kubectl: (args) => outputOf('kubectl', args),
  cable: (line, argv) => (isAskedHere(line) ? runCommandLine(argv, cliDeps) : runInPod(line, argv)),
  ask: async (line, argv) => {
    if (!isAskedHere(line)) return await outputOf('kubectl', [...execWords(line), 'cable', ...argv], BY_POD);
    let [out, err] = ['', ''];
    const print = (text: string): void => {
      out += text;
    };
    const printError = (text: string): void => {
      err += text;
    };
    const status = await runCommandLine(argv, { ...cliDeps, print, printError });
    if (status !== 0) throw new CliError(1, err.trim().replace(/^error: /, ''));
    return out;
  },
  print: cliDeps.print,
  printError: cliDeps.printError,
};

process.exitCode = await runPlugin(process.argv.slice(2), deps);

/** A server is named: it is asked as `cable` asks it. */
function isAskedHere({ words }: KubectlLine): boolean {
  const isNamed = words.some(({ text, prefix }) =>
    [text, prefix].some((one) => /^--(server|os-cloud)=?$/.test(one ?? '')),
  );
  return isNamed || (env['CABLE_SERVER'] ?? env['OS_CLOUD'] ?? env['OS_AUTH_URL']) !== undefined;
}

function execWords({ kubectl, cableNamespace }: KubectlLine): readonly string[] {
  return [...kubectl, 'exec', `--namespace=${cableNamespace}`, 'deploy/cable-server', '--container=server', '--'];
}

/** A file is one of this machine, not of the pod. */
async function runInPod(line: KubectlLine, argv: readonly string[]): Promise<number> {
  const file = argv[0] === 'capture' ? optionOf(argv, '--out') : undefined;
  if (argv[0] === 'capture' && file === undefined && process.stdout.isTTY)
    throw new CliError(
      2,
      'pcap is not for a terminal',
      'Give --out FILE, or pipe it: kubectl cable capture POD | tcpdump -n -r -',
    );
  const kept = argv.filter(
    (word, at) => file === undefined || !(word === '--out' || word.startsWith('--out=') || argv[at - 1] === '--out'),
  );
  const out = file === undefined ? undefined : openOwn(file);
  try {
    const child = spawn('kubectl', [...execWords(line), 'cable', ...kept], {
      stdio: ['ignore', out ?? 'inherit', 'inherit'],
    });
    return await endOf(child);
  } finally {
    if (out !== undefined) closeSync(out);
  }
}

const BY_POD =
  'Without CABLE_SERVER cable is run in the server’s pod, for who may exec there: name a server, and who asks by CABLE_CERT and CABLE_KEY; or see --cable-namespace.';

/** `remedy`: what to do when it fails, besides what it says. */
async function outputOf(command: string, args: readonly string[], remedy = ''): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err]: Buffer[][] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out?.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err?.push(chunk));
  const status = await endOf(child);
  const said = Buffer.concat(err ?? [])
    .toString('utf8')
    .trim();
  if (status !== 0) throw new CliError(1, said.replace(/^[Ee]rror: /, '') || `${command} ended with ${status}`, remedy);
  return Buffer.concat(out ?? []).toString('utf8');
}

/** Ctrl-C ends both; the child says first what it has to. */
function endOf(child: ChildProcess): Promise<number> {
  const ignore = (): void => undefined;
  process.on('SIGINT', ignore);
  return new Promise((resolve, reject) => {
    child.on('error', (err: NodeJS.ErrnoException) =>
      reject(new CliError(1, `kubectl cannot be started: ${err.message}`, 'kubectl has to be in the PATH.')),
    );
    child.on('close', (code) => {
      process.off('SIGINT', ignore);
      resolve(code ?? 1);
    });
  });
}
