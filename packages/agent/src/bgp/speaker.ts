/** Speaks BGP for the VPNs of this host: bgpd is told what they are, and asked what it has learned (docs/design/l3vpn.md). */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Logger, startLoop } from '@cable/kit';
import type { LearnedReader, LearnedRoute } from '../plan/inputs.ts';
import type { SliceReader, StateUpdate } from '../stream/slice-reader.ts';
import {
  type ListedRoute,
  parseList,
  parseRoute,
  parseSummary,
  type Refusal,
  splitDocuments,
  type ToldRoute,
} from './bgp-answers.ts';
import { type BgpConfig, type BgpSpeaker, bgpConfig, configChanges, configText } from './bgp-config.ts';
import { askBgpd, bgpDirectory, isBgpdRunning, startBgpd, stopBgpd } from './bgpd.ts';
import { type Spoken, SpokenVpns } from './spoken.ts';

export type SpeakerOptions = {
  readonly host: string;
  readonly underlay: string;
  readonly runDir: string;
  readonly slices: Pick<SliceReader, 'header' | 'items'>;
  /** Told of VPNs for which something else is learned. */
  readonly onLearned: (vpnIds: readonly string[]) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

export type Speaker = {
  /** The state changed; `synced`: it is whole. */
  take(update: Pick<StateUpdate, 'changes' | 'synced'>): void;
  readonly learned: LearnedReader;
  /** For status; null: no VPN has neighbours. */
  readonly view: SpeakerView | null;
  readonly done: Promise<void>;
};

export type SpeakerView = {
  readonly neighbors: readonly { readonly address: string; readonly state: string; readonly routes: number }[];
  /** Routes of neighbours that VPNs here import, by VPN. */
  readonly learned: Readonly<Record<string, number>>;
  /** Routes that are not used, by why. */
  readonly unused: Readonly<Partial<Record<Refusal, number>>>;
  readonly refused: Spoken['refused'];
  /** Why bgpd is not as it is to be, or says nothing; null: it is. */
  readonly error: string | null;
};

const ASK_MS = 1000;
/** Routes that are asked about by one vtysh. */
const ASKED_AT_ONCE = 200;
const FAMILIES = ['ipv4', 'ipv6'] as const;
const APPLIED = 'applied.json';

export function startSpeaker(options: SpeakerOptions): Speaker {
  const speaker = new VpnSpeaker(options);
  const { log, signal } = options;
  const loop = startLoop({
    ...{ name: 'bgp', log, signal, everyMs: ASK_MS },
    run: () => speaker.round(),
    backoff: { minMs: ASK_MS, maxMs: 10 * ASK_MS },
  });
  return {
    take: (update) => {
      if (speaker.take(update)) loop.trigger();
    },
    learned: { of: (vpnId) => speaker.of(vpnId) },
    get view() {
      return speaker.view;
    },
    done: loop.done,
  };
}

type Known = { readonly version: number; readonly told: ToldRoute | Refusal };

class VpnSpeaker {
  readonly #options: SpeakerOptions;
  readonly #directory: string;
  readonly #vpns: SpokenVpns;
  #spoken: Spoken = { speaker: undefined, refused: [] };
  #isSynced = false;
  #isIdle = false;
  #applied: BgpConfig | undefined;
  /** By family, distinguisher and prefix. */
  #known: ReadonlyMap<string, Known> = new Map();
  #learned: ReadonlyMap<string, readonly LearnedRoute[]> = new Map();
  #neighbors: SpeakerView['neighbors'] = [];
  #error: string | null = null;

  constructor(options: SpeakerOptions) {
    this.#options = options;
    this.#directory = bgpDirectory(options.runDir);
    this.#vpns = new SpokenVpns(options.host, options.underlay, options.slices);
  }

  take(update: Pick<StateUpdate, 'changes' | 'synced'>): boolean {
    const isNews = update.synced && !this.#isSynced;
    this.#isSynced ||= update.synced;
    if (!this.#vpns.take(update) && !isNews) return false;
    this.#spoken = this.#vpns.now;
    this.#isIdle = false;
    return true;
  }

  of(vpnId: string): readonly LearnedRoute[] {
    return this.#learned.get(vpnId) ?? [];
  }

  get view(): SpeakerView | null {
    const { speaker, refused } = this.#spoken;
    if (speaker === undefined && refused.length === 0) return null;
    const unused: Partial<Record<Refusal, number>> = {};
    for (const { told } of this.#known.values()) if (typeof told === 'string') unused[told] = (unused[told] ?? 0) + 1;
    return {
      neighbors: this.#neighbors,
      learned: Object.fromEntries([...this.#learned].map(([id, routes]) => [id, routes.length])),
      ...{ unused, refused, error: this.#error },
    };
  }

  async round(): Promise<void> {
    const { speaker } = this.#spoken;
    try {
      if (speaker !== undefined) await this.#speak(speaker);
      else if (this.#isSynced && !this.#isIdle) await this.#beSilent();
      this.#error = null;
    } catch (err) {
      this.#error = err instanceof Error ? err.message : String(err);
      throw err;
    }
  }

  async #speak(speaker: BgpSpeaker): Promise<void> {
    await this.#apply(speaker);
    await this.#ask(speaker);
  }

  /** What an agent before has left ends, too. */
  async #beSilent(): Promise<void> {
    if (isBgpdRunning(this.#directory)) await stopBgpd(this.#directory);
    this.#applied = undefined;
    this.#known = new Map();
    this.#neighbors = [];
    this.#replace(new Map());
    this.#isIdle = true;
  }

  async #apply(speaker: BgpSpeaker): Promise<void> {
    const config = bgpConfig(speaker);
    const isRunning = isBgpdRunning(this.#directory);
    const before = isRunning ? (this.#applied ?? this.#readApplied()) : undefined;
    if (before === undefined || before.base !== config.base) await this.#startAnew(speaker, config);
    else {
      const changes = configChanges(speaker, before, config);
      if (changes.length > 0) await this.#change(speaker, config, changes);
    }
    this.#applied = config;
  }

  async #change(speaker: BgpSpeaker, config: BgpConfig, changes: readonly string[]): Promise<void> {
    const { log } = this.#options;
    try {
      await askBgpd(this.#directory, ['configure terminal', ...changes]);
      await askBgpd(this.#directory, ['clear bgp * soft in']);
      this.#writeApplied(config);
    } catch (err) {
      log.warn({ err }, 'bgpd is started anew: it did not take a change');
      await this.#startAnew(speaker, config);
    }
  }

  async #startAnew(speaker: BgpSpeaker, config: BgpConfig): Promise<void> {
    await startBgpd(this.#directory, configText(speaker, config));
    this.#writeApplied(config);
    this.#known = new Map();
  }

  async #ask({ vpns, underlay }: BgpSpeaker): Promise<void> {
    const known = new Map<string, Known>();
    for (const family of FAMILIES) {
      const listed = parseList(await askBgpd(this.#directory, [`show bgp ${family} vpn json`]));
      if (listed === undefined) throw new Error(`bgpd’s list of routes of ${family} is not to be read`);
      const news: ListedRoute[] = [];
      for (const one of listed) {
        const before = this.#known.get(keyOf(family, one));
        if (before?.version === one.version) known.set(keyOf(family, one), before);
        else news.push(one);
      }
      for (let at = 0; at < news.length; at += ASKED_AT_ONCE)
        await this.#askAbout(family, news.slice(at, at + ASKED_AT_ONCE), underlay, known);
    }
    this.#known = known;
    this.#neighbors = parseSummary(await askBgpd(this.#directory, ['show bgp ipv4 vpn summary json']));
    const told = [...known.values()].flatMap(({ told: one }) => (typeof one === 'string' ? [] : [one]));
    this.#replace(new Map(vpns.map(({ id, importTargets }) => [id, importedOf(told, importTargets)])));
  }

  async #askAbout(
    family: string,
    routes: readonly ListedRoute[],
    underlay: string,
    known: Map<string, Known>,
  ): Promise<void> {
    const commands = routes.map(({ rd, prefix }) => `show bgp ${family} vpn rd ${rd} ${prefix} json`);
    const answers = splitDocuments(await askBgpd(this.#directory, commands));
    for (const [at, route] of routes.entries()) {
      const told = parseRoute(answers[at] ?? '', route, underlay);
      known.set(keyOf(family, route), { version: route.version, told });
    }
  }

  #replace(learned: ReadonlyMap<string, readonly LearnedRoute[]>): void {
    const before = this.#learned;
    this.#learned = learned;
    const ids = new Set([...before.keys(), ...learned.keys()]);
    const changed = [...ids].filter(
      (id) => JSON.stringify(before.get(id) ?? []) !== JSON.stringify(learned.get(id) ?? []),
    );
    if (changed.length > 0) this.#options.onLearned(changed);
  }

  #readApplied(): BgpConfig | undefined {
    try {
      return JSON.parse(readFileSync(join(this.#directory, APPLIED), 'utf8')) as BgpConfig;
    } catch {
      return undefined;
    }
  }

  #writeApplied(config: BgpConfig): void {
    writeFileSync(join(this.#directory, APPLIED), JSON.stringify(config), { mode: 0o600 });
  }
}

function keyOf(family: string, { rd, prefix }: ListedRoute): string {
  return `${family} ${rd} ${prefix}`;
}

/** Routes with one of the targets, in one order whatever the order in which they came. */
function importedOf(told: readonly ToldRoute[], targets: readonly string[]): readonly LearnedRoute[] {
  return told
    .filter((one) => one.targets.some((target) => targets.includes(target)))
    .map(({ prefix, nextHop, label }) => ({ prefix, nextHop, label }))
    .sort((a, b) => (textOf(a) < textOf(b) ? -1 : 1));
}

function textOf({ prefix, nextHop, label }: LearnedRoute): string {
  return `${prefix} ${nextHop} ${label}`;
}
