import {
  type AnyObject,
  BLANK_DHCP_OPTIONS,
  CableError,
  isDhcpClientIdentifier,
  isDhcpOptionName,
  type Port,
  parseExtraDhcpOption,
  parseIp,
} from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';

type Option = Port['extra_dhcp_opts'][number];

/** As a client gives it: null removes the option. */
type Asked = Omit<Option, 'opt_value' | 'ip_version'> & {
  readonly opt_value: string | null;
  readonly ip_version?: 4 | 6;
};

/** As many as one request may name. */
const MOST = 64;

/** Extra DHCP options of ports: an update changes those that it names (Neutron's `extra_dhcp_opt`). */
export const portDhcpOptionsModule: Contribution<AnyObject> = contribute<Port>({
  derive: (_planning, given) => ({ extra_dhcp_opts: merged([], given.extra_dhcp_opts ?? []) }),
  change: (_planning, before, after) => {
    if (after.extra_dhcp_opts === before.extra_dhcp_opts) return {};
    return { extra_dhcp_opts: merged(before.extra_dhcp_opts, after.extra_dhcp_opts) };
  },
});

/** Those that are there keep their places. */
function merged(before: readonly Option[], asked: readonly Asked[]): readonly Option[] {
  const options = new Map(before.map((one) => [keyOf(one.opt_name, one.ip_version), one]));
  const named = new Set<string>();
  for (const { opt_name, opt_value, ip_version = 4 } of asked) {
    const key = keyOf(opt_name, ip_version);
    if (named.has(key)) throw invalid(`opt_name: ${opt_name} is there twice for IPv${ip_version}`);
    named.add(key);
    if (opt_value === null) {
      options.delete(key);
      continue;
    }
    checkOption(opt_name, opt_value, ip_version);
    options.set(key, { opt_name, opt_value, ip_version });
  }
  if (options.size > MOST) throw invalid(`the port has ${options.size} options then, more than ${MOST}`);
  return [...options.values()];
}

function keyOf(name: string, version: number): string {
  return `${version} ${name}`;
}

function checkOption(name: string, value: string, version: 4 | 6): void {
  if (value === '' && !BLANK_DHCP_OPTIONS.includes(name)) {
    throw invalid(`opt_value: ${name} has no value: give one, or null to remove the option`);
  }
  // A guest is known by its port, whatever it calls itself.
  if (version === 4 && isDhcpClientIdentifier(name)) return;
  // Clients give the same names for both versions. What DHCPv6 has no option for is kept, and nobody is sent it.
  if (version === 6 && !isDhcpOptionName(6, name) && isDhcpOptionName(4, name)) return;
  const parsed = parseExtraDhcpOption(version, name, value);
  // Nor do they say the version: an IPv6 address stands there as of DHCPv4, as Neutron takes it.
  const isOfOther = version === 4 && isDhcpOptionName(4, name) && parseIp(value)?.version === 6;
  if (!parsed.ok && !isOfOther) throw invalid(parsed.reason);
}

function invalid(reason: string): CableError {
  return new CableError('HTTPBadRequest', `Invalid input for extra_dhcp_opts. Reason: ${reason}.`, {
    fields: { name: 'extra_dhcp_opts' },
  });
}
