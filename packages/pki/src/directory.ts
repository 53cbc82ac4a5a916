/**
 * The directory of a cloud's authorities (`--pki`):
 *
 *   authority.pem   authorities of servers and users that are trusted
 *   authority.key   key of the one that signs; may be kept elsewhere
 *   hosts.pem       authorities of hosts that are trusted: what they sign is believed of hosts alone
 *   hosts.key       key of the one that signs; servers sign with it
 *   server.pem      this server's certificate, and all of authority.pem behind it
 *   server.key      its key
 *
 * While another authority takes the place of one, `next-authority.key` or `next-hosts.key` is beside them.
 */

import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ExpectedError } from '@cable/kit';
import {
  type Authority,
  CLOCK_SKEW_MS,
  createAuthority,
  isOfAuthorities,
  isSignedBy,
  issueCertificate,
  placesOf,
  type Validity,
} from './certificates.ts';
import { type Identity, identityOf } from './identity.ts';
import { certificatesIn, createKey, fingerprintOf, isKeyOf } from './keys.ts';

/** Of servers and users, or of hosts. */
export type AuthorityKind = 'authority' | 'hosts';

/** Paths in a directory. */
export type PkiPaths = {
  readonly [K in AuthorityKind]: { readonly certificates: string; readonly key: string; readonly nextKey: string };
} & { readonly cert: string; readonly key: string };

const DAY_MS = 86_400_000;

/** An authority is good for ten years, a certificate of a server, a cluster or a user for one, a host's for thirty days. */
export const LIFE_MS: Readonly<Record<'authority' | Identity['kind'], number>> = {
  authority: 3650 * DAY_MS,
  server: 365 * DAY_MS,
  cluster: 365 * DAY_MS,
  user: 365 * DAY_MS,
  host: 30 * DAY_MS,
};

/** Where each server is reached on its own machine: in its certificate besides what is asked for. */
export const LOCAL_PLACES: readonly string[] = ['localhost', '127.0.0.1', '::1'];

export function pkiPaths(directory: string): PkiPaths {
  const of = (kind: AuthorityKind): PkiPaths[AuthorityKind] => ({
    certificates: join(directory, `${kind}.pem`),
    key: join(directory, `${kind}.key`),
    nextKey: join(directory, `next-${kind}.key`),
  });
  return {
    authority: of('authority'),
    hosts: of('hosts'),
    cert: join(directory, 'server.pem'),
    key: join(directory, 'server.key'),
  };
}

/** From `CLOCK_SKEW_MS` before now to `lifeMs` after it, but no longer than the authority. */
export function validityFrom(now: Date, lifeMs: number, authorityEnd?: Date): Validity {
  const end = now.getTime() + lifeMs;
  const most = authorityEnd === undefined ? end : Math.min(end, authorityEnd.getTime());
  return { notBefore: new Date(now.getTime() - CLOCK_SKEW_MS), notAfter: new Date(most) };
}

/** Makes both authorities in a directory in which there is none. Throws `ExpectedError` when there is. */
export async function initAuthorities(
  directory: string,
  now: Date,
): Promise<Readonly<Record<AuthorityKind, Authority>>> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new ExpectedError(`cannot make the directory ${directory}: name another with --dir`, { cause });
  }
  const make = async (kind: AuthorityKind): Promise<Authority> => {
    const { certificates, key } = pkiPaths(directory)[kind];
    const authority = await createAuthority(await createKey(), validityFrom(now, LIFE_MS.authority));
    await writeNew(key, authority.key);
    await writeNew(certificates, authority.certificate);
    return authority;
  };
  return { authority: await make('authority'), hosts: await make('hosts') };
}

/** The authority that signs, and all that are trusted, the signing one first. Throws `ExpectedError` when its key is not there. */
export async function readAuthority(
  directory: string,
  kind: AuthorityKind,
): Promise<{ readonly signer: Authority; readonly trusted: readonly string[] }> {
  const paths = pkiPaths(directory)[kind];
  const trusted = certificatesIn(await readText(paths.certificates, 'make authorities with cable pki init'));
  const key = await readText(
    paths.key,
    'certificates are made where the authority’s key is; bring it here, or make them there',
  );
  const certificate = trusted.find((one) => isKeyOf(key, one));
  if (certificate === undefined) {
    throw new ExpectedError(
      `${paths.key} is the key of no authority in ${paths.certificates}: bring both from one place`,
    );
  }
  return { signer: { certificate, key }, trusted: [certificate, ...trusted.filter((one) => one !== certificate)] };
}

/** A certificate of a new key. */
export async function issueWithKey(
  signer: Authority,
  {
    identity,
    places = [],
    validity,
  }: { readonly identity: Identity; readonly places?: readonly string[]; readonly validity: Validity },
): Promise<{ readonly certificate: string; readonly key: string }> {
  const key = await createKey();
  const publicKey = createPublicKey(createPrivateKey(key)).export({ type: 'spki', format: 'der' });
  return { key, certificate: await issueCertificate(signer, { identity, places, publicKey, ...validity }) };
}

/** Writes a client's certificate and its key to PREFIX.pem and PREFIX.key. Throws `ExpectedError` when there are some and `replace` is not said. */
export async function writeClient(
  prefix: string,
  { certificate, key }: { readonly certificate: string; readonly key: string },
  replace: boolean,
): Promise<void> {
  const write = replace ? replaceFile : writeNew;
  await write(`${prefix}.key`, key);
  await write(`${prefix}.pem`, certificate);
}

/** Writes a server's certificate, with the authorities behind it, and its key. Throws `ExpectedError` when there are some and `replace` is not said. */
export async function writeServer(
  directory: string,
  { certificate, key }: { readonly certificate: string; readonly key: string },
  trusted: readonly string[],
  replace: boolean,
): Promise<void> {
  const paths = pkiPaths(directory);
  const write = replace ? replaceFile : writeNew;
  await write(paths.key, key);
  await write(paths.cert, `${certificate}${trusted.join('')}`);
}

/** The three steps in which another authority takes the place of one (docs/design/joining.md). */
export type RotationStep = 'begin' | 'switch' | 'end';

/**
 * Goes one step further; what breaks off is repeated. With the step in which another authority begins to sign, the server's certificate in the directory is issued anew by it, if it was
 * of the one before; the last step is refused while it is not. Throws `ExpectedError` for that, and when it is not the step's turn. Answers the fingerprints of those that are trusted
 * now, the signing one first.
 */
export async function rotateAuthority(
  directory: string,
  kind: AuthorityKind,
  step: RotationStep,
  now: Date,
): Promise<readonly string[]> {
  const { signer, trusted } = await readAuthority(directory, kind);
  await STEPS[step](pkiPaths(directory)[kind], { directory, kind, signer: signer.certificate, trusted, now });
  return (await readAuthority(directory, kind)).trusted.map((one) => fingerprintOf(one));
}

type Rotating = {
  readonly directory: string;
  readonly kind: AuthorityKind;
  readonly signer: string;
  readonly trusted: readonly string[];
  readonly now: Date;
};

const STEPS: Readonly<Record<RotationStep, (paths: PkiPaths[AuthorityKind], rotating: Rotating) => Promise<void>>> = {
  begin: async (paths, { signer, trusted, now }) => {
    if (trusted.length > 1) {
      throw new ExpectedError(
        'two authorities are trusted already: go on with cable pki rotate switch, or cable pki rotate end',
      );
    }
    const key = await createKey();
    const { certificate } = await createAuthority(key, validityFrom(now, LIFE_MS.authority));
    await replaceFile(paths.nextKey, key);
    await replaceFile(paths.certificates, `${signer}${certificate}`);
  },
  switch: async (paths, { directory, kind, signer, trusted, now }) => {
    const key = await readText(
      paths.nextKey,
      'a rotation is begun with cable pki rotate begin, and goes on in the same directory',
    );
    const certificate = trusted.find((one) => one !== signer && isKeyOf(key, one));
    if (certificate === undefined) {
      throw new ExpectedError(
        `${paths.nextKey} is the key of no authority in ${paths.certificates}: begin with cable pki rotate begin`,
      );
    }
    // The key last: until it is in its place, the whole step can be repeated.
    if (kind === 'authority') await reissueServer(directory, { signer, next: { certificate, key }, now });
    await rename(paths.nextKey, paths.key);
  },
  end: async (paths, { directory, kind, signer, trusted }) => {
    if (trusted.length < 2) throw new ExpectedError('one authority is trusted: there is no rotation to end');
    if (await exists(paths.nextKey))
      throw new ExpectedError('the new authority does not sign yet: first cable pki rotate switch');
    if (kind === 'authority') await refuseUncovered(directory, signer);
    await replaceFile(paths.certificates, signer);
  },
};

/** Issues the server's certificate of a directory by the next authority, with the names and the life of before; nothing, if there is none of the one that signs. */
async function reissueServer(
  directory: string,
  { signer, next, now }: { readonly signer: string; readonly next: Authority; readonly now: Date },
): Promise<void> {
  const [before] = await certificatesAt(pkiPaths(directory).cert);
  if (before === undefined || !isSignedBy(before, signer)) return;
  const { subjectAltName, validFrom, validTo } = new X509Certificate(before);
  const identity = identityOf(subjectAltName);
  // One that was made otherwise is not ours to make: the last step names it.
  if (identity?.kind !== 'server') return;
  const lifeMs = Date.parse(validTo) - Date.parse(validFrom) - CLOCK_SKEW_MS;
  const validity = validityFrom(now, lifeMs, new Date(new X509Certificate(next.certificate).validTo));
  const made = await issueWithKey(next, { identity, places: placesOf(before), validity });
  await writeServer(directory, made, [next.certificate, signer], true);
}

/** Throws `ExpectedError` when the server's certificate of a directory is not of the authority that is to be trusted alone. */
async function refuseUncovered(directory: string, authority: string): Promise<void> {
  const { cert } = pkiPaths(directory);
  const chain = await certificatesAt(cert);
  if (chain.length === 0 || isOfAuthorities(chain, [authority])) return;
  throw new ExpectedError(
    `${cert} is not of the authority that stays, so no host would trust this server: first ${serverCommand(directory, chain)}`,
  );
}

/** The command that issues the server's certificate of a directory anew. `chain`: that of before. */
export function serverCommand(directory: string, [before]: readonly string[]): string {
  const identity = before === undefined ? undefined : identityOf(new X509Certificate(before).subjectAltName);
  const places = before === undefined ? [] : placesOf(before).filter((place) => !LOCAL_PLACES.includes(place));
  const [name, addresses] =
    identity?.kind === 'server' ? [identity.name, places] : ['NAME', places.length === 0 ? ['ADDRESS'] : places];
  const words = ['cable pki issue server', name, ...addresses.map((place) => `--address ${place}`), '--replace'];
  return `${words.join(' ')} --dir ${quoted(directory)}`;
}

/** A certificate in a directory that is of an authority which does not sign there any more. */
export type OldCertificate = {
  readonly file: string;
  /** Issues it anew. */
  readonly command: string;
};

/** Certificates of users (`hosts`: of hosts) that lie in a directory, are good at that time, and not of the authority that signs. Those that were put elsewhere are not known. */
export async function findOldCertificates(
  directory: string,
  kind: AuthorityKind,
  now: Date,
): Promise<readonly OldCertificate[]> {
  const { signer } = await readAuthority(directory, kind);
  const found: OldCertificate[] = [];
  for (const name of (await readdir(directory)).filter((one) => one.endsWith('.pem')).sort()) {
    const file = join(directory, name);
    const [certificate] = await certificatesAt(file);
    if (certificate === undefined) continue;
    const { subjectAltName, validTo } = new X509Certificate(certificate);
    const identity = identityOf(subjectAltName);
    if (identity?.kind !== (kind === 'hosts' ? 'host' : 'user') || Date.parse(validTo) <= now.getTime()) continue;
    if (isSignedBy(certificate, signer.certificate)) continue;
    found.push({ file, command: clientCommand(directory, identity, file.slice(0, -'.pem'.length)) });
  }
  return found;
}

function clientCommand(directory: string, identity: Identity, prefix: string): string {
  const words = ['cable pki issue', identity.kind, identity.name];
  if (identity.kind === 'user') {
    if (identity.projectId !== null) words.push(`--in-project ${quoted(identity.projectId)}`);
    words.push(...identity.roles.map((role) => `--with-role ${quoted(role)}`));
  }
  return `${words.join(' ')} --replace --dir ${quoted(directory)} --out ${quoted(prefix)}`;
}

/** As a word of a shell. */
function quoted(text: string): string {
  return /^[\w./:@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Those in a file; none when it is not there. */
async function certificatesAt(path: string): Promise<readonly string[]> {
  return (await exists(path)) ? certificatesIn(await readPem(path)) : [];
}

/** A file that was not there, readable for its owner alone. Throws `ExpectedError` when it is there. */
async function writeNew(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw new ExpectedError(`cannot write ${path}`, { cause });
    throw new ExpectedError(
      `${path} is there already: nothing is overwritten; move it away first, or name another directory`,
    );
  }
}

/** Puts a file there as a whole, readable for its owner alone. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  await writeFile(temporary, text, { mode: 0o600, flag: 'wx', flush: true });
  await chmod(temporary, 0o600);
  await rename(temporary, path);
}

/** Throws `ExpectedError` when it cannot be read. */
export function readPem(path: string): Promise<string> {
  return readText(path, 'make authorities with cable pki init, or name their directory with --dir');
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

async function readText(path: string, remedy: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new ExpectedError(`cannot read ${path}: ${remedy}`, { cause });
  }
}
