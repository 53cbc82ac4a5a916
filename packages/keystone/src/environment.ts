/** `OS_*` variables, as every client of OpenStack reads them. */

import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Access, AccessError, AUTH_WORDS, type AuthWord, accessFromWords } from './access.ts';
import { readAccess } from './clouds.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What the variables say: `OS_CLOUD` names a cloud of clouds.yaml, else they say it all; null: they say nothing of how to log in. `cloud`: as if OS_CLOUD were
 * it. Throws `AccessError`.
 */
export function accessFromEnvironment(env: Environment, cloud?: string): Access | null {
  const of = (name: string): string | undefined => (env[name] === '' ? undefined : env[name]);
  const named = cloud ?? of('OS_CLOUD');
  if (named !== undefined) return readAccess(cloudsFile(env), named, { isSecret: false });
  const url = of('OS_AUTH_URL');
  if (url === undefined || of('OS_AUTH_TYPE') === 'none') return null;
  const words: Partial<Record<AuthWord, string>> = {};
  for (const word of AUTH_WORDS) {
    const text = of(`OS_${word.toUpperCase()}`) ?? of(OLDER[word] ?? '');
    if (text !== undefined) words[word] = text;
  }
  const endpoint = of('OS_NETWORK_ENDPOINT_OVERRIDE') ?? of('OS_ENDPOINT_OVERRIDE');
  const caFile = of('OS_CACERT');
  return {
    ...accessFromWords(words, [url], 'the environment (OS_*)'),
    ca: caFile === undefined ? null : readCertificates(caFile),
    verify: !/^(1|true|yes)$/i.test(of('OS_INSECURE') ?? ''),
    region: of('OS_REGION_NAME') ?? null,
    interface: interfaceOf(of('OS_INTERFACE') ?? of('OS_ENDPOINT_TYPE') ?? 'public'),
    endpoints: endpoint === undefined ? {} : { network: endpoint },
  };
}

const OLDER: Readonly<Partial<Record<AuthWord, string>>> = {
  project_name: 'OS_TENANT_NAME',
  project_id: 'OS_TENANT_ID',
};

/** Where clients look, in their order. */
function cloudsFile(env: Environment): string {
  const home = env['HOME'] ?? homedir();
  const places = [
    env['OS_CLIENT_CONFIG_FILE'],
    'clouds.yaml',
    join(env['XDG_CONFIG_HOME'] ?? join(home, '.config'), 'openstack', 'clouds.yaml'),
    '/etc/openstack/clouds.yaml',
  ].filter((place): place is string => place !== undefined && place !== '');
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new AccessError(`there is no clouds.yaml: looked for ${places.join(', ')}`);
}

function readCertificates(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (err) {
    throw new AccessError(`OS_CACERT cannot be read: ${err instanceof Error ? err.message : String(err)}`);
  }
}

function interfaceOf(text: string): Access['interface'] {
  const name = text.replace(/URL$/, '');
  if (name === 'public' || name === 'internal' || name === 'admin') return name;
  throw new AccessError('OS_INTERFACE is public, internal or admin');
}
