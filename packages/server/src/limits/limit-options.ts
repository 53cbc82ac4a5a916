/** Options of `cable server` about what one address and one project may ask. */
import { type IpPrefix, parseIpOrCidr } from '@cable/model';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ProxyHeader } from './client-address.ts';
import { type LimitsFile, readLimitsFile } from './limits-file.ts';
import type { LimitSettings } from './request-limits.ts';
import type { Share } from './shares.ts';

/** As commander gives them. */
export type LimitOptions = {
  readonly addressRate: Rate;
  readonly projectRate: Rate;
  readonly addressInFlight: number;
  readonly projectInFlight: number;
  readonly limitsFile?: string;
  readonly trustedProxy: readonly IpPrefix[];
  readonly proxyHeader: ProxyHeader;
};

type Rate = Pick<Share, 'rate' | 'burst'>;

/** What is much for one provider's clients is not for another's; what is under way holds others up everywhere. */
const ANY_RATE: Rate = { rate: Infinity, burst: Infinity };
const ADDRESS_IN_FLIGHT = 512;
const PROJECT_IN_FLIGHT = 128;

/** Adds them to a command. */
export function addLimitOptions(command: Command): Command {
  return command
    .addOption(
      rateOption('address', '; what a project is refused counts, too: see unlimited_addresses of --limits-file'),
    )
    .addOption(inFlightOption('address', ADDRESS_IN_FLIGHT))
    .addOption(rateOption('project'))
    .addOption(inFlightOption('project', PROJECT_IN_FLIGHT))
    .option(
      '--limits-file <file>',
      'projects with limits of their own, and addresses that are not counted; read anew on SIGHUP',
    )
    .addOption(
      new Option(
        '--trusted-proxy <prefix>',
        'address or prefix of proxies that are believed for whom they ask; may be repeated',
      )
        .argParser(addProxy)
        .default([], 'none'),
    )
    .addOption(
      new Option('--proxy-header <name>', 'the header in which they say so')
        .choices(['x-forwarded-for', 'forwarded'])
        .default('x-forwarded-for'),
    );
}

/** What they come to. Throws `LimitsFileError`. */
export function limitSettingsOf(options: LimitOptions): LimitSettings {
  const { addressRate, addressInFlight, projectRate, projectInFlight, limitsFile } = options;
  const file: LimitsFile =
    limitsFile === undefined ? { projects: new Map(), unlimited: [] } : readLimitsFile(limitsFile);
  const project: Share = { ...projectRate, inFlight: projectInFlight };
  return {
    address: { ...addressRate, inFlight: addressInFlight },
    project,
    projects: new Map([...file.projects].map(([id, said]) => [id, beside(project, said)])),
    unlimited: file.unlimited,
    proxies: { proxies: options.trustedProxy, header: options.proxyHeader },
  };
}

/** A rate without a burst has the burst of twice as many. */
function beside(rest: Share, said: Partial<Share>): Share {
  return { ...rest, ...(said.rate === undefined ? {} : { burst: Math.max(1, said.rate * 2) }), ...said };
}

function rateOption(who: string, more = ''): Option {
  return new Option(
    `--${who}-rate <count>`,
    `requests a second of one ${who}, or COUNT:BURST with as many at once (twice COUNT if not given); more get 429; 0: any number${more}`,
  )
    .argParser(parseRate)
    .default(ANY_RATE, 'any number');
}

function inFlightOption(who: string, inFlight: number): Option {
  return new Option(
    `--${who}-in-flight <count>`,
    `requests of one ${who} that are under way; more get 429; 0: any number`,
  )
    .argParser(parseInFlight)
    .default(inFlight);
}

function parseRate(text: string): Rate {
  const [, count = '', burst] = /^(\d{1,6}(?:\.\d{1,3})?)(?::(\d{1,7}))?$/.exec(text) ?? [];
  const rate = Number(count);
  if (count !== '' && rate === 0 && burst === undefined) return { rate: Infinity, burst: Infinity };
  const most = burst === undefined ? Math.max(1, rate * 2) : Number(burst);
  if (rate > 0 && most >= 1) return { rate, burst: most };
  throw new InvalidArgumentError('Give COUNT or COUNT:BURST, such as 500, 0.5:10 or 0.');
}

function parseInFlight(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text) === 0 ? Infinity : Number(text);
  throw new InvalidArgumentError('Give a number; 0 is any number.');
}

function addProxy(text: string, before: readonly IpPrefix[]): readonly IpPrefix[] {
  const prefix = parseIpOrCidr(text);
  if (prefix !== undefined) return [...before, prefix];
  throw new InvalidArgumentError('Give an address or a prefix, such as 192.0.2.1 or 2001:db8::/64.');
}
