import type { Attributes, Filter, ParsedObject } from '@cable/api';
import type { AnyObject, CableError, PortOwner, ResourceModel } from '@cable/model';
import type { RuleDefault } from '../policy/rules.ts';
import type { Tables } from '../tables.ts';
import type { ActionHandler, Asked, EngineDeps, Planning } from './context.ts';
import type { Reader } from './reader.ts';
import type { HeldReference } from './registry.ts';
import type { Look, View } from './view.ts';

/** A new object before its derived attributes are there. */
export type Given<T> = Partial<T> & { readonly id: string; readonly project_id: string };

/**
 * What is taken once: `value` among all objects, or among those under the object that `under` names, which then cannot be deleted meanwhile. Two claims of
 * one kind and value cannot be there at the same time, whoever writes.
 */
export type Claim = ClaimName & {
  /** Id of who has it in what is looked at; undefined: nobody. */
  readonly holder: (look: Look) => string | undefined;
  /** What somebody else is told. */
  readonly taken: (holder: string) => CableError;
};

/** `kind` has no slash. */
export type ClaimName = {
  readonly kind: string;
  readonly value: string;
  readonly under?: { readonly type: string; readonly id: string };
};

/** What matters about the object to another one (`of`): there until the object changes so that it does not any more. See `View.unmarked`. */
export type Mark = {
  readonly kind: string;
  readonly of: { readonly type: string; readonly id: string };
  /** What it is looked for by, e.g. a project. */
  readonly about: string;
};

/** What has been broken, for people. */
export type Broken = { readonly rule: string; readonly detail: string };

/** What a presentation may need besides the tables. */
export type PresentDeps = Pick<EngineDeps, 'resources' | 'settings' | 'addresses'>;

/** Writes of objects that are shown of others. Each throws `NotFound`. */
export type Instead = {
  /** Answers the object after it. */
  readonly update?: (deps: EngineDeps, id: string, changes: Attributes, asked: Asked) => Promise<AnyObject>;
  readonly remove?: (deps: EngineDeps, id: string, asked: Asked) => Promise<void>;
};

/**
 * What a type does besides its declaration. A type may have several of these: its own, and one of each extension that adds to it; they are called in that
 * order. Every function is optional, and each may throw `CableError` to refuse.
 */
export type Contribution<T> = {
  /** The attributes that the client did not give, and corrections of given ones. */
  readonly derive?: (planning: Planning, given: Given<T>) => Partial<T>;
  /** What an update changes that gives no attribute at all. */
  readonly blank?: Partial<T>;
  /** Corrections of the changed object. `given`: the attributes that the change names, whether they have other values or not. */
  readonly change?: (planning: Planning, before: T, after: T, given: Attributes) => Partial<T>;
  /**
   * Refuses a new object, or a changed one (`before` is there then), that breaks a rule. What it looks at besides the object itself it looks at by the
   * view, so that the transaction rests on it.
   */
  readonly check?: (view: View, object: T, before: T | undefined) => void;
  /**
   * Asks elsewhere whether a new object, or a changed one (`before` is there then), may be as it is planned: in time, before the transaction is sent. Answers the object, to which it may have
   * added something in the plan. What was planned may be asked again.
   */
  readonly vet?: (planning: Planning, object: T, before: T | undefined) => Promise<T>;
  /** After the transaction that made the object: what takes further ones, as far as the request has time for them. */
  readonly settle?: (deps: EngineDeps, object: T, asked: Asked) => Promise<void>;
  /** The same after one that changed it. */
  readonly settleUpdate?: (deps: EngineDeps, object: T, asked: Asked) => Promise<void>;
  /** Of a proton's port: what it shows of its binding. */
  readonly shownBinding?: (owner: PortOwner) => Readonly<Record<string, unknown>>;
  /** Before a delete: what takes transactions of its own, the permission and the revision (null: any) looked at first. True: the object is deleted. */
  readonly clear?: (deps: EngineDeps, id: string, asked: Asked, ifRevision: number | null) => Promise<boolean>;
  /** Refuses a delete. */
  readonly remove?: (planning: Planning, object: T) => void;
  /** Objects that go, or change, when a deleted one is gone from the plan, with all that cascades from it. */
  readonly removed?: (planning: Planning, object: T) => void;
  /** Objects that are made with a new one. */
  readonly created?: (planning: Planning, object: T) => void;
  /** Objects that change with a changed one. */
  readonly changed?: (planning: Planning, before: T, after: T) => void;
  /** Keys to wait for one another on, besides those of cascading references, of an object as it is given or stored: they save retries. */
  readonly lockKeys?: (given: Partial<T>, look: Look) => readonly string[];
  /** What the object alone has. Pure. */
  readonly claims?: (object: T) => readonly Claim[];
  /** Of the object, and of what cannot change in what it refers to. */
  readonly marks?: (look: Look, object: T) => readonly Mark[];
  /** References besides the declared ones. Pure. */
  readonly references?: (object: T) => readonly HeldReference[];
  /** What of the stored object breaks a rule, for `/cable/v1/check`; claims, references and marks are looked at without this. */
  readonly broken?: (look: Look, object: T) => Iterable<Broken>;
  /** The error when a delete is refused because objects of `holderType` refer to it, the first hundred of them by their IDs; undefined: the general one. */
  readonly inUse?: (object: T, holderType: string, holders: readonly string[]) => CableError | undefined;
  /** Computed attributes, and of an implied object those that it has not been given. */
  readonly present?: (tables: Tables, object: T, deps: PresentDeps) => Readonly<Record<string, unknown>>;
  /**
   * What `present` makes its attributes of besides the object: rows of tables, or what is of their number; undefined for an object of which it cannot be said. As
   * long as each is the same value the attributes are, and the text of a listed object is kept. Absent: it cannot be said of any.
   */
  readonly madeOf?: (tables: Tables, object: T) => readonly unknown[] | undefined;
  /** All objects of a type that is not stored, or at least those that pass the filters of a list. What a caller does not see by the type's own rule is left out afterwards. */
  readonly rows?: (tables: Tables, filters: readonly Filter[], reader: Reader) => readonly AnyObject[];
  /** Of a type that is not stored: what a change and a delete of one of its objects come to. They look at the permission themselves. */
  readonly instead?: Instead;
  /** Before objects of a project are listed: what every project has is made. */
  readonly listing?: (deps: EngineDeps, projectId: string, asked: Asked) => Promise<void>;
  /** Of forms that have attributes of their own, by the form's name. */
  readonly codecs?: Readonly<Record<string, Codec>>;
  /** What the declared actions do, by name. */
  readonly actions?: Readonly<Record<string, ActionHandler>>;
};

/** What an object is in a form that has attributes of its own. Pure; what is thrown is a `CableError`. */
export type Codec = {
  /** The row as the form shows it, with the row's id. */
  readonly toServed: (row: AnyObject) => AnyObject;
  /** A filter that every row passes whose object passes the given one; undefined: none is known. */
  readonly storedFilter?: (filter: Filter) => Filter | undefined;
  /** What a new one has that was given as the form has it. */
  readonly created: (given: ParsedObject) => ParsedObject;
  /** What changes of the row by what is changed of what the form shows. */
  readonly changed: (row: AnyObject, given: ParsedObject) => ParsedObject;
};

/** Forgets the type of the objects: the caller puts the contribution under the type that it was written for. */
export function contribute<T extends { readonly id: string }>(contribution: Contribution<T>): Contribution<AnyObject> {
  return contribution as unknown as Contribution<AnyObject>;
}

/** Contributions by type; under `*` actions of every type that declares them. */
export type ModuleTable = Readonly<Record<string, readonly Contribution<AnyObject>[]>>;

/** What is loaded now: one owner, replaced as a whole at run time, with the registry. */
export class Modules {
  #table: ModuleTable;
  #rules: readonly RuleDefault[];

  /** `rules`: those that come with what is loaded. */
  constructor(table: ModuleTable, rules: readonly RuleDefault[] = []) {
    this.#table = table;
    this.#rules = rules;
  }

  get rules(): readonly RuleDefault[] {
    return this.#rules;
  }

  /** Of a type, in order; the same value as long as nothing is replaced. */
  of(type: string): readonly Contribution<AnyObject>[] {
    return this.#table[type] ?? NONE;
  }

  /** What the objects of a type are in a form; undefined: what is declared, by other names at most. */
  codecOf({ type, form }: Pick<ResourceModel, 'type' | 'form'>): Codec | undefined {
    if (form === undefined) return undefined;
    for (const { codecs } of this.of(type)) if (codecs?.[form] !== undefined) return codecs[form];
    return undefined;
  }

  /** What does an action of a type, which the last contribution decides; undefined: nothing. */
  handlerOf(type: string, action: string): ActionHandler | undefined {
    return [...this.of('*'), ...this.of(type)].flatMap((one) => one.actions?.[action] ?? []).at(-1);
  }

  replace(table: ModuleTable, rules: readonly RuleDefault[] = this.#rules): void {
    this.#table = table;
    this.#rules = rules;
  }
}

const NONE: readonly Contribution<AnyObject>[] = [];
