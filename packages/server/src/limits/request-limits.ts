/** What a provider lets one address, and one project, ask. Beside the gates, which bound what all ask together. */
import type { IncomingMessage } from 'node:http';
import { type Logger, Repeats } from '@cable/kit';
import { CableError, type IpPrefix } from '@cable/model';
import type { AuthenticatedCaller } from '../http/auth.ts';
import type { Credentials } from '../policy/credentials.ts';
import { clientAddress, countedAs, isAmong, type ProxyTrust } from './client-address.ts';
import { ANY_SHARE, type Pass, type Refused, type Share, Shares } from './shares.ts';

/** What the operator says. */
export type LimitSettings = {
  readonly address: Share;
  readonly project: Share;
  /** Of projects that have others than the rest, by id. */
  readonly projects: ReadonlyMap<string, Share>;
  /** Addresses that are not counted. */
  readonly unlimited: readonly IpPrefix[];
  readonly proxies: ProxyTrust;
};

/** Nobody is limited. */
export const NO_LIMITS: LimitSettings = {
  address: ANY_SHARE,
  project: ANY_SHARE,
  projects: new Map(),
  unlimited: [],
  proxies: { proxies: [], header: 'x-forwarded-for' },
};

export type RequestLimitsDeps = {
  readonly settings: LimitSettings;
  /** True of administrators, who are not limited. */
  readonly isAdmin: (credentials: Credentials) => boolean;
  readonly log: Logger;
  readonly monotonicMs: () => number;
};

/** Whom a refusal was about. */
export type LimitKind = 'address' | 'project' | 'host';

/** Refusals since the start, by whom they were about and what was too many; and of how many something is kept. */
export type LimitCounts = {
  readonly refused: readonly { readonly by: LimitKind; readonly why: Refused['refused']; readonly count: number }[];
  readonly kept: Readonly<Record<Exclude<LimitKind, 'host'>, number>>;
};

type Asking = Pick<IncomingMessage, 'headers' | 'socket'>;

/** Of how many addresses and projects something is kept: some 10 MB. */
const KEPT = { address: 50_000, project: 20_000, host: 0 } as const;

/** What one host may ask: its agent has two or three requests under way. It costs nothing that is kept, and has no rate. */
const HOST_SHARE: Share = { rate: Infinity, burst: Infinity, inFlight: 16 };

/** Who has it works for others. */
const SERVICE = 'service';

const NOT_COUNTED: Pass = { leave: () => {}, giveBack: () => {} };

export class RequestLimits {
  readonly #deps: RequestLimitsDeps;
  readonly #shares: Readonly<Record<LimitKind, Shares>>;
  readonly #refused = new Map<string, { by: LimitKind; why: Refused['refused']; count: number }>();
  readonly #repeats: Repeats;
  /** A connection without a proxy before it is of one address. */
  readonly #names = new WeakMap<object, string>();
  #settings: LimitSettings;

  constructor(deps: RequestLimitsDeps) {
    const { settings, monotonicMs } = deps;
    this.#deps = deps;
    this.#settings = settings;
    this.#shares = {
      address: new Shares(KEPT.address, monotonicMs),
      project: new Shares(KEPT.project, monotonicMs),
      host: new Shares(KEPT.host, monotonicMs),
    };
    this.#repeats = new Repeats(monotonicMs);
  }

  get counts(): LimitCounts {
    const { address, project } = this.#shares;
    return { refused: [...this.#refused.values()], kept: { address: address.size, project: project.size } };
  }

  /** Takes other settings. What was taken of buckets stays taken. */
  take(settings: LimitSettings): void {
    this.#settings = settings;
  }

  /** Before anybody is asked who it is. Throws `OverLimit`. */
  enterByAddress(request: Asking): Pass {
    const { address: share } = this.#settings;
    if (share.rate === Infinity && share.inFlight === Infinity) return NOT_COUNTED;
    const name = this.#nameOf(request);
    return name === undefined ? NOT_COUNTED : this.#enter('address', name, share);
  }

  /** When it is known who asks: of a project, or a host. Throws `OverLimit`. */
  enterByCaller(caller: AuthenticatedCaller): Pass {
    if (caller.kind === 'host') return this.#enter('host', caller.host, HOST_SHARE);
    if (this.isExempt(caller)) return NOT_COUNTED;
    const { credentials } = caller;
    const { project, projects } = this.#settings;
    const { projectId, userId } = credentials;
    // Who is nobody (a host that asks to join, a client that looks at the versions) would share one with all others: that of his address counts.
    if (projectId === null && userId === null) return NOT_COUNTED;
    const share = (projectId === null ? undefined : projects.get(projectId)) ?? project;
    if (share.rate === Infinity && share.inFlight === Infinity) return NOT_COUNTED;
    return this.#enter('project', projectId === null ? `user ${userId}` : `project ${projectId}`, share);
  }

  /** True of those whose requests are not counted by address and project: hosts, administrators, services, and users whose request a service passes on. */
  isExempt(caller: AuthenticatedCaller): boolean {
    if (caller.kind === 'host') return true;
    const { credentials } = caller;
    const passedOn = credentials.others?.['service_roles'];
    const roles = Array.isArray(passedOn) ? [...credentials.roles, ...passedOn] : credentials.roles;
    return roles.some((role) => String(role).toLowerCase() === SERVICE) || this.#deps.isAdmin(credentials);
  }

  #nameOf(request: Asking): string | undefined {
    const { proxies, unlimited } = this.#settings;
    const isDirect = proxies.proxies.length === 0 && unlimited.length === 0;
    const known = isDirect ? this.#names.get(request.socket) : undefined;
    if (known !== undefined) return known;
    const address = clientAddress(request, proxies);
    if (address === undefined || isAmong(address, unlimited)) return undefined;
    const name = countedAs(address);
    if (isDirect) this.#names.set(request.socket, name);
    return name;
  }

  #enter(by: LimitKind, name: string, share: Share): Pass {
    const entered = this.#shares[by].enter(name, share);
    if (!('refused' in entered)) return entered;
    const { refused: why, afterMs } = entered;
    const key = `${by} ${why}`;
    const counted = this.#refused.get(key) ?? { by, why, count: 0 };
    counted.count += 1;
    this.#refused.set(key, counted);
    if (this.#repeats.isNews(key, name))
      this.#deps.log.warn({ by, name, why, share }, 'more requests come than one may send');
    throw overLimit(by, why, afterMs);
  }
}

function overLimit(by: LimitKind, why: Refused['refused'], afterMs: number): CableError {
  const whose = `This ${by}`;
  const seconds = Math.max(1, Math.ceil(afterMs / 1000));
  const message =
    why === 'rate' ? `${whose} sends more requests than it may.` : `${whose} has as many requests under way as it may.`;
  const detail = `Nothing was done: send it again after ${seconds} ${seconds === 1 ? 'second' : 'seconds'}.`;
  return new CableError('OverLimit', message, { detail, fields: { retryAfterSeconds: seconds } });
}
