/** What was asked of the servers, and what they said: the material of the judge. */

/** Types whose objects the clients make. */
export const TYPES = {
  network: { body: 'network', plural: 'networks', path: 'networks' },
  subnet: { body: 'subnet', plural: 'subnets', path: 'subnets' },
  subnetpool: { body: 'subnetpool', plural: 'subnetpools', path: 'subnetpools' },
  port: { body: 'port', plural: 'ports', path: 'ports' },
  router: { body: 'router', plural: 'routers', path: 'routers' },
  security_group: { body: 'security_group', plural: 'security_groups', path: 'security-groups' },
  security_group_rule: { body: 'security_group_rule', plural: 'security_group_rules', path: 'security-group-rules' },
  trunk: { body: 'trunk', plural: 'trunks', path: 'trunks' },
  qos_policy: { body: 'policy', plural: 'policies', path: 'qos/policies' },
  loadbalancer: { body: 'loadbalancer', plural: 'loadbalancers', path: 'lbaas/loadbalancers' },
  network_segment_range: {
    body: 'network_segment_range',
    plural: 'network_segment_ranges',
    path: 'network_segment_ranges',
  },
  address_group: { body: 'address_group', plural: 'address_groups', path: 'address-groups' },
  floatingip: { body: 'floatingip', plural: 'floatingips', path: 'floatingips' },
} as const;

export type TypeName = keyof typeof TYPES;

/** An object as it is stored or answered. */
export type Row = Readonly<Record<string, unknown>>;

type Target = { readonly type: TypeName; readonly id: string };

/**
 * What a request is to do. `names`: each is in one object only (in a rule's description). `token`: the description that the update gives; no other request gives it.
 * `ifRevision`: what If-Match says. `key`: the Idempotency-Key. `tag`: no other request gives it. `project`: with which an object is to be shared by the RBAC policy.
 */
export type Deed =
  | {
      readonly kind: 'create';
      readonly type: TypeName;
      readonly names: readonly string[];
      readonly given: readonly Row[];
      readonly key: string | null;
    }
  | (Target & {
      readonly kind: 'update';
      readonly token: string;
      readonly sets: Row;
      readonly ifRevision: number | null;
    })
  | (Target & { readonly kind: 'delete'; readonly ifRevision: number | null })
  | (Target & { readonly kind: 'read' })
  | (Target & { readonly kind: 'tag' | 'untag'; readonly tag: string })
  | (Target & { readonly kind: 'grant'; readonly project: string })
  | (Target & { readonly kind: 'regrant'; readonly policyId: string; readonly project: string })
  | (Target & { readonly kind: 'revoke'; readonly policyId: string })
  | {
      readonly kind: 'attach' | 'detach';
      readonly type: 'router';
      readonly id: string;
      readonly body: { readonly subnet_id?: string; readonly port_id?: string };
    };

/**
 * `done`: 2xx. `refused`: 4xx or 503, or it was never sent: nothing was to be written. `unknown`: 504, or the connection was lost. `broken`: an answer that there must not be;
 * what it did is unknown.
 */
export type Outcome = 'done' | 'refused' | 'unknown' | 'broken';

/** One request. Times are milliseconds of one clock. `body`: the answer's, undefined if there is none. `via`: the run of the server that was asked. */
export type Entry = {
  readonly deed: Deed;
  readonly isAdmin: boolean;
  readonly via: string;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly outcome: Outcome;
  /** 0: no answer. */
  readonly status: number;
  readonly body: Row | undefined;
};

/** True when the request may have taken effect. */
export function mayBeDone({ outcome }: Entry): boolean {
  return outcome !== 'refused';
}

/** What an answer, or a stored object, has under a name, as text. */
export function textOf(row: Row | undefined, name: string): string {
  const value = row?.[name];
  return typeof value === 'string' ? value : '';
}

/** The objects that an answer shows. */
export function answeredRows({ deed, body }: Entry): readonly Row[] {
  const { body: single, plural } = TYPES[deed.type];
  const found = body?.[plural] ?? body?.[single];
  return Array.isArray(found) ? found : found === undefined ? [] : [found as Row];
}

/** The RBAC policy that an answer shows; undefined: none. */
export function answeredPolicy({ body }: Entry): Row | undefined {
  return body?.['rbac_policy'] as Row | undefined;
}

/** The attribute that has the name by which a client finds its object. What has it in its description is not updated. */
export function placeOfName(type: string): 'name' | 'description' {
  return type === 'security_group_rule' || type === 'floatingip' ? 'description' : 'name';
}

export function nameOf(type: string, row: Row): string {
  return textOf(row, placeOfName(type));
}

/** The entries under what `keyOf` says of each; those of which it says nothing are left out. */
export function groupEntries(
  entries: readonly Entry[],
  keyOf: (entry: Entry) => readonly string[],
): ReadonlyMap<string, readonly Entry[]> {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    for (const key of keyOf(entry)) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [entry]);
      else group.push(entry);
    }
  }
  return groups;
}

/** The id of what a request is about; nothing for a create. */
export function targetOf({ deed }: Entry): readonly string[] {
  return deed.kind === 'create' ? [] : [deed.id];
}
