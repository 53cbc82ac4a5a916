import { KINDS, type Kind, type NodeKey, sourceKeysOf, splitKey } from '@cable/compiler';
import { indexRead, type ReadKey } from '@cable/kit';
import { ChangeLog } from './change-log.ts';
import type { RefSet } from './ref-sets.ts';

/** What is kept of an item: hundreds of thousands of these. Its content is made again from the tables when it is needed. */
export type Item = { hash: number; revision: number; refs: RefSet };

export type Header = Item & { readonly json: string };

/** One computation: the header (`rowId` null), or the items of one row. `keys`: the row's items; null: the one that has the row's id. */
export type Unit = { readonly slice: Slice; readonly rowId: string | null; keys: readonly string[] | null };

/** One slice as it was compiled last. Only its store changes it. */
export class Slice {
  readonly key: NodeKey;
  readonly kind: Kind;
  readonly id: string;
  readonly headerUnit: Unit;
  /** Undefined: what the slice is about does not exist; then there are no items. */
  header: Header | undefined;
  /** Source keys that its header names. */
  moreSources: readonly string[] = NO_SOURCES;
  readonly items: Map<string, Item> = new Map();
  /** How many of the slice's parts refer to each other slice. 0: until the end of the batch. */
  readonly refs: Map<NodeKey, number> = new Map();
  /** Hosts that need the slice, each with the revision at which it began to. */
  readonly subscribers: Map<string, number> = new Map();
  readonly log: ChangeLog = new ChangeLog();
  /** True while the items of a slice that came to be are computed for the first time. */
  isFilling = false;
  /** Sum of the hashes of header and items. */
  digest = 0;
  /** Revision of the last change. */
  changedAt = 0;

  constructor(key: NodeKey) {
    const { kind, id } = splitKey(key);
    this.key = key;
    this.kind = KINDS[kind];
    this.id = id;
    this.headerUnit = { slice: this, rowId: null, keys: null };
  }

  /** True if it exists and is of a kind that hosts are sent. */
  get isSent(): boolean {
    return this.header !== undefined && !this.kind.hidden;
  }

  /** Index keys under which the rows of the items stand. */
  get sources(): ReadonlySet<ReadKey> {
    const { items } = this.kind;
    if (items === undefined) return NOTHING;
    return new Set(this.sourceKeys.map((key) => indexRead(items.table, items.index, key)));
  }

  get sourceKeys(): readonly string[] {
    return sourceKeysOf(this.kind, this.id, { sources: this.moreSources });
  }
}

const NO_SOURCES: readonly string[] = [];

const NOTHING: ReadonlySet<ReadKey> = new Set();
