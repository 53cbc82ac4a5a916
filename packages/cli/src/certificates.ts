/** What a command line shows of its user to a server that is asked by https, and which servers it trusts. */
import { X509Certificate } from 'node:crypto';
import type { ClientTls } from '@cable/kit';
import { identityOf, nameOfIdentity, readTlsFiles } from '@cable/pki';
import { CliError } from './errors.ts';
import { optionOf } from './global-options.ts';

/** Options and variables of the user's own files. */
export const OWN_FILES = [
  ['--cert', 'CABLE_CERT'],
  ['--key', 'CABLE_KEY'],
] as const;

const ALL_FILES = [['--ca', 'CABLE_CA'], ...OWN_FILES] as const;

type Environment = Readonly<Record<string, string | undefined>>;

/** Of the files that the options or the environment name; the environment's are for https alone. Throws `CliError` and `ExpectedError`, which say what to do. */
export async function readCertificates(env: Environment, argv: readonly string[], server: string): Promise<ClientTls> {
  if (!server.startsWith('https:')) {
    const [idle] = ALL_FILES.filter(([option]) => optionOf(argv, option) !== undefined);
    if (idle === undefined) return {};
    throw new CliError(2, `${idle[0]} has no effect: ${server} is not asked by https`, 'See --server.');
  }
  const [ca, cert, key] = ALL_FILES.map(([option, variable]) => optionOf(argv, option) ?? (env[variable] || undefined));
  if ((cert === undefined) !== (key === undefined))
    throw new CliError(
      2,
      '--cert (CABLE_CERT) and --key (CABLE_KEY) go together',
      'Give the two that were made together.',
    );
  const own = cert === undefined || key === undefined ? null : { cert, key };
  const material = await readTlsFiles({ own, ca: ca ?? null }, new Date());
  if (own !== null && material.own !== null) refuseOthers(own.cert, material.own.cert);
  return {
    ...(material.ca === null ? {} : { ca: material.ca }),
    ...(material.own === null ? {} : { own: { cert: material.own.cert, key: material.own.key } }),
  };
}

/** A server would refuse it, and could not name the file. */
function refuseOthers(file: string, certificate: string): void {
  const identity = identityOf(new X509Certificate(certificate).subjectAltName);
  if (identity === undefined || identity.kind === 'user') return;
  throw new CliError(
    1,
    `${file} is the certificate of ${nameOfIdentity(identity)}, which is no user`,
    'Show that of a user: cable pki issue user NAME makes one.',
  );
}
