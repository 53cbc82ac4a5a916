/** Options of `cable server` about Keystone. */
import { type Command, InvalidArgumentError } from 'commander';
import type { KeystoneSettings } from './identity.ts';

/** As commander gives them. */
export type KeystoneOptions = {
  readonly keystone?: string;
  readonly keystoneCloud?: string;
  readonly keystonePublicUrl?: string;
  readonly serviceTokenRole?: readonly string[];
  readonly tokenFreshSeconds: number;
  readonly nova?: true;
};

/** Adds them to a command. */
export function addKeystoneOptions(command: Command): Command {
  return command
    .option('--keystone <file>', 'with --auth keystone: where it is and who asks it, in the form of clouds.yaml')
    .option('--keystone-cloud <name>', 'the cloud in that file (default: the only one)')
    .option('--keystone-public-url <url>', 'where clients are told to log in (default: auth_url of that file)')
    .option(
      '--service-token-role <role>',
      'role of services whose X-Service-Token is believed; may be repeated (default: service)',
      (role: string, before: readonly string[] | undefined) => [...(before ?? []), role],
    )
    .option(
      '--token-fresh-seconds <count>',
      'how long Keystone is not asked again about a token; what is taken from its user counts after that time',
      parseSeconds,
      60,
    )
    .option(
      '--nova',
      'tell Nova what is new of the ports of its machines: at the compute endpoint of the catalog, or at compute_endpoint_override of the file of --keystone; the user there needs the rule os_compute_api:os-server-external-events:create (admin or service)',
    );
}

/** The settings; a text: what is wrong with the options. */
export function keystoneSettingsOf(auth: string, options: KeystoneOptions): KeystoneSettings | string | undefined {
  const {
    keystone: file,
    keystoneCloud: cloud,
    keystonePublicUrl: publicUrl,
    serviceTokenRole,
    tokenFreshSeconds,
    nova,
  } = options;
  if (auth !== 'keystone') {
    if (nova === true) return '--nova is of no use without --auth keystone: Nova takes events from who has a token';
    return file === undefined ? undefined : '--keystone FILE is of no use without --auth keystone';
  }
  if (file === undefined) return '--auth keystone needs --keystone FILE, which says where Keystone is and who asks it';
  return {
    file,
    ...(cloud === undefined ? {} : { cloud }),
    ...(publicUrl === undefined ? {} : { publicUrl }),
    serviceRoles: serviceTokenRole ?? ['service'],
    freshSeconds: tokenFreshSeconds,
  };
}

function parseSeconds(text: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= 3600) return count;
  throw new InvalidArgumentError('Give seconds from 1 to 3600.');
}
