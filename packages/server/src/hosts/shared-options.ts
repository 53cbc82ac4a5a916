/** Options that all servers on one store are to have alike: what a request comes to, and what hosts are told, must not depend on which server was asked. */
import { hostname } from 'node:os';
import type { Logger } from '@cable/kit';
import type { Settings } from '../engine/context.ts';
import type { DefaultsName } from '../policy/rules.ts';
import type { ServerRow } from '../rows.ts';
import type { Tables } from '../tables.ts';

/** By the option's name, what was given, in one form. */
export type SharedOptions = Readonly<Record<string, string>>;

/** One option that another server has otherwise. `server`: its machine and process. */
export type OtherOption = {
  readonly server: string;
  readonly option: string;
  readonly here: string;
  readonly there: string;
};

/** What this server was given. */
export function sharedOptions(settings: Settings, defaults: DefaultsName): SharedOptions {
  const {
    quotas = {},
    tenants = false,
    segmentRanges = [],
    overlayIpVersion = 4,
    pluginPorts = 'programmed',
  } = settings;
  const counts = Object.entries(quotas).map(([type, count]) => `${type}=${count}`);
  const rangesOf = (type: string): readonly string[] =>
    segmentRanges
      .filter((one) => one.type === type)
      .map(({ physical, minimum, maximum }) => [...(physical === null ? [] : [physical]), minimum, maximum].join(':'));
  return {
    '--auth': tenants ? 'keystone' : 'noauth',
    '--policy-defaults': defaults,
    '--underlay-mtu': String(settings.underlayMtuBytes),
    '--overlay-ip-version': String(overlayIpVersion),
    '--quota': listed(counts),
    '--vni-range': listed(rangesOf('vxlan')),
    '--vlan-range': listed(rangesOf('vlan')),
    '--bgp-as': settings.bgpAs === undefined ? 'not given' : String(settings.bgpAs),
    '--contrail-port-status': pluginPorts,
  };
}

function listed(texts: readonly string[]): string {
  return texts.length === 0 ? 'not given' : [...texts].sort().join(' ');
}

/** Where this server runs, for people. */
export function placeOfServer(): string {
  return `${hostname()} (process ${process.pid})`;
}

export type OtherServersDeps = {
  readonly tables: Pick<Tables, 'of'>;
  /** Id of this server. */
  readonly server: string;
  readonly options: SharedOptions;
  readonly log: Logger;
};

/** What the other servers on the store have otherwise. Each is told of once, here and in its own log. */
export class OtherServers {
  readonly #deps: OtherServersDeps;
  readonly #told = new Map<string, string>();

  constructor(deps: OtherServersDeps) {
    this.#deps = deps;
  }

  /** Of all that run now. One of an older version says nothing of itself. */
  get otherwise(): readonly OtherOption[] {
    return [...this.#deps.tables.of('server').values()].flatMap((row) => this.#otherwiseOf(row));
  }

  /** After the row of a server has come, changed or gone. */
  changed(id: string): void {
    const row = this.#deps.tables.of('server').get(id);
    if (row === undefined) {
      this.#told.delete(id);
      return;
    }
    const options = this.#otherwiseOf(row);
    const text = JSON.stringify(options);
    if (text === (this.#told.get(id) ?? '[]')) return;
    this.#told.set(id, text);
    if (options.length === 0) return;
    this.#deps.log.warn(
      { server: row.place, options: options.map(({ option, here, there }) => ({ option, here, there })) },
      'another server on this store has other options: start all servers with the same',
    );
  }

  #otherwiseOf({ id, place, options: theirs }: ServerRow): readonly OtherOption[] {
    const { server, options } = this.#deps;
    if (id === server) return [];
    return Object.entries(theirs).flatMap(([option, there]) => {
      const here = options[option];
      return here === undefined || here === there ? [] : [{ server: place, option, here, there }];
    });
  }
}
