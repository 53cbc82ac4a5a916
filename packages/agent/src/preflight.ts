import { existsSync, statfsSync } from 'node:fs';
import { isListenedOn } from '@cable/kit';
import { readMetadataSecret } from './guest/metadata-secret.ts';
import { lockNamespace } from './net/namespace-lock.ts';
import { type AgentOptions, BPFFS } from './options.ts';

const BPFFS_MAGIC = 0xcafe4a11;
/** sun_path less its final zero (unix(7)). A longer path would be cut without a word. */
const MAX_SOCKET_PATH = 107;

/**
 * Why the agent cannot run here and what to do about it; undefined: it can. This process then has the network namespace for itself until it
 * ends: nothing may be changed before that.
 */
export async function preflight(options: AgentOptions, socketPath: string): Promise<string | undefined> {
  if (process.getuid?.() !== 0)
    return 'the agent needs root: it loads BPF programs and makes network devices; run it with sudo';
  if (!isBpffs()) return `no BPF file system at ${BPFFS}: run "mount -t bpf bpf ${BPFFS}"`;
  if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH) {
    return `the path ${socketPath} is longer than the ${MAX_SOCKET_PATH} bytes that a socket may have: name a shorter directory with --run`;
  }
  if (await isListenedOn(socketPath)) {
    return `an agent for host ${options.host} is running already (${socketPath} answers): stop it first, or choose another --host`;
  }
  if (!options.teardown && !existsSync(options.object)) {
    return `the vrouter is not built (${options.object} is missing): run "npm run build", or name it with --object`;
  }
  const nova = options.teardown ? null : options.novaMetadata;
  const secret = nova === null ? undefined : readMetadataSecret(nova.secretFile);
  if (secret?.ok === false) return secret.reason;
  return lockNamespace({ host: options.host, pid: process.pid });
}

function isBpffs(): boolean {
  try {
    return statfsSync(BPFFS).type === BPFFS_MAGIC;
  } catch {
    return false;
  }
}
