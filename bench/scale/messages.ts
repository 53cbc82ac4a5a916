/** What the benchmark and its processes of simulated agents say to each other. */

/** To a process of agents. `id` comes back with the answer. */
export type Order =
  | {
      readonly kind: 'connect';
      readonly id: number;
      readonly hosts: readonly { readonly host: string; readonly underlay: string }[];
      /** Order in which servers are tried. */
      readonly servers: readonly string[];
      readonly warm: boolean;
      /** Connections begun a second. */
      readonly perSecond: number;
    }
  /** Answered when all agents of the process are in sync. */
  | { readonly kind: 'synced'; readonly id: number }
  /** Cuts these agents' connections. `forget`: they come back with nothing. */
  | { readonly kind: 'cut'; readonly id: number; readonly hosts: readonly string[]; readonly forget: boolean }
  /** Gives what was counted since the last time, and begins anew. */
  | { readonly kind: 'take'; readonly id: number }
  | { readonly kind: 'stop'; readonly id: number };

/** When the last agent heard of an item, and how many did. Times: `monotonicMs`. */
export type Arrival = {
  readonly item: string;
  readonly deleted: boolean;
  readonly count: number;
  readonly last: number;
};

export type Sync = { readonly host: string; readonly tookMs: number; readonly bytes: number; readonly fits: boolean };

export type Taken = {
  readonly arrivals: readonly Arrival[];
  readonly syncs: readonly Sync[];
  readonly losses: number;
  /** Some of the reasons. */
  readonly reasons: readonly string[];
  readonly bytes: number;
  readonly acknowledgements: number;
  readonly agents: number;
  readonly synced: number;
};

export type Answer = { readonly id: number; readonly taken?: Taken };
