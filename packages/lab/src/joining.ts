import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { mustRun } from './exec.ts';
import { LAUNCHER, type LabHost, type LabNames } from './names.ts';
import type { Processes } from './processes.ts';

/** A server's name, where it is reached, and its directory of `cable pki`. */
export type ServerCertificate = {
  readonly name: string;
  readonly addresses: readonly [string, ...string[]];
  readonly pki: string;
};

/** The user as whom agents make ports of pods. */
const POD_USER = 'cni';

/** The operator's `cable`, at the Unix socket of his servers. Resolves to what it printed; throws with its words. */
export function operate(names: LabNames, processes: Processes, words: readonly string[]): Promise<string> {
  return cable(processes, ['--server', `unix:${names.serverSocket}`, ...words]);
}

function cable(processes: Processes, words: readonly string[]): Promise<string> {
  return mustRun([process.execPath, LAUNCHER, ...words], { onStart: (pid) => processes.note('cable', pid) });
}

/** Makes the authorities and a certificate for each server, by the commands of the guide. */
export async function createPki(processes: Processes, servers: readonly ServerCertificate[]): Promise<void> {
  const addresses = (server: ServerCertificate): readonly string[] =>
    server.addresses.flatMap((address) => ['--address', address]);
  const [first, ...others] = servers;
  if (first === undefined) throw new Error('a control plane has at least one server');
  await cable(processes, ['pki', 'init', '--dir', first.pki, '--name', first.name, ...addresses(first)]);
  const made = others.map(async (other) => {
    cpSync(first.pki, other.pki, { recursive: true });
    await cable(processes, [
      'pki',
      'issue',
      'server',
      other.name,
      ...addresses(other),
      '--replace',
      '--dir',
      other.pki,
    ]);
    rmSync(`${other.pki}/authority.key`);
  });
  await Promise.all(made);
}

/** Makes the certificate of the user as whom agents make ports of pods, whichever project they are of. */
export async function issuePodUser(names: LabNames, processes: Processes): Promise<void> {
  const prefix = podUserFiles(names).cert.slice(0, -'.pem'.length);
  const user = [POD_USER, '--in-project', 'operators', '--with-role', 'admin'];
  await cable(processes, ['pki', 'issue', 'user', ...user, '--dir', `${names.dir}/pki`, '--out', prefix]);
}

/** What the agents show for ports of pods. */
export function podUserFiles({ dir }: LabNames): { readonly cert: string; readonly key: string } {
  return { cert: `${dir}/${POD_USER}.pem`, key: `${dir}/${POD_USER}.key` };
}

/** The authority of servers: what everybody may know. */
export function serverAuthority({ dir }: LabNames): string {
  return `${dir}/pki/authority.pem`;
}

/** Where the agent of a host finds its join token. */
export function joinFile({ dir }: LabNames, { short }: Pick<LabHost, 'short'>): string {
  return `${dir}/join/${short}`;
}

/** Makes a token for a host and lays it where its agent looks. `replace`: it may take the place of a host of that name. */
export async function giveJoinToken(
  names: LabNames,
  processes: Processes,
  host: LabHost,
  replace = false,
): Promise<void> {
  const words = ['join-token', 'create', '--host', host.name, ...(replace ? ['--replace', 'true'] : []), '--json'];
  const { token } = JSON.parse(await operate(names, processes, words)) as { readonly token: string };
  const directory = `${names.dir}/join`;
  if (!existsSync(directory)) mkdirSync(directory, { mode: 0o700 });
  writeFileSync(joinFile(names, host), `${token}\n`, { mode: 0o600 });
}

/** Once the host has joined: whatever starts its agent again then finds none. */
export function removeJoinToken(names: LabNames, host: LabHost): void {
  rmSync(joinFile(names, host));
}
