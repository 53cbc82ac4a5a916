/** What becomes of clients and of stored objects when one model takes the place of another. */
import { conversionOf, newNames, oldNames } from './convert.ts';
import { comparePolicies } from './diff-policy.ts';
import { compareSchemas, type SchemaChange } from './diff-schema.ts';
import {
  ACTIONS,
  type ConversionStep,
  type ObjectConversion,
  type ProtonAttribute,
  type ProtonModel,
  type ProtonObject,
} from './model.ts';
import { isSame } from './same.ts';

/** Whom a change concerns: clients that read, clients that write, objects that are stored. */
export type Concerned = 'readers' | 'writers' | 'stored';

export type ModelChange = {
  /** A word for programs, such as `attribute.removed`. */
  readonly change: string;
  /** Name in the newer model, of what is gone in the older. Null: of the model as a whole. */
  readonly object: string | null;
  readonly attribute: string | null;
  readonly who: Concerned;
  /**
   * Whether one that was right before can be wrong now: a client that goes from the older version's path to the newer's, or an object that
   * was stored. What a conversion does is no break for stored objects. A bound that is moved outwards is none for readers.
   */
  readonly breaking: boolean;
  readonly text: string;
};

/** All changes, object by object as the older model has them, then new ones. Notes (descriptions, examples, hints) are none. */
export function diffModels(older: ProtonModel, newer: ProtonModel): readonly ModelChange[] {
  const pairs = pairObjects(older, newer);
  const kept = new Set(pairs.map(({ newer: object }) => object?.name));
  return [
    ...modelChanges(older, newer),
    ...pairs.flatMap((pair) => pairChanges(pair)),
    ...newer.objects
      .filter(({ name }) => !kept.has(name))
      .map((object) => change(object.name, null, 'object.added', 'readers', false, 'is new')),
  ];
}

type Pair = {
  readonly older: ProtonObject;
  readonly newer: ProtonObject | undefined;
  readonly conversion: ObjectConversion;
  /** What objects of the older model are called in the newer one. */
  readonly names: ReadonlyMap<string, string>;
};

function pairObjects(older: ProtonModel, newer: ProtonModel): readonly Pair[] {
  const converted = newer.conversions.find(({ from }) => from === older.version)?.objects ?? [];
  const names = new Map(converted.map(({ object, was = object }) => [was, object]));
  return older.objects.map((object) => {
    const name = names.get(object.name) ?? object.name;
    const match = newer.objects.find((one) => one.name === name);
    return { older: object, newer: match, conversion: conversionOf(newer, older.version, name), names };
  });
}

function change(
  object: string | null,
  attribute: string | null,
  word: string,
  who: Concerned,
  breaking: boolean,
  text: string,
): ModelChange {
  return { change: word, object, attribute, who, breaking, text };
}

function modelChanges(older: ProtonModel, newer: ProtonModel): readonly ModelChange[] {
  const say = (word: string, who: Concerned, breaking: boolean, text: string) =>
    change(null, null, word, who, breaking, text);
  const clients: readonly Concerned[] = ['readers', 'writers'];
  const isGone = older.served && !newer.served;
  return [
    ...(older.name === newer.name
      ? []
      : clients.map((who) => say('model.name', who, true, `its path was ${older.name}, is ${newer.name}`))),
    ...(isGone ? clients.map((who) => say('model.served', who, true, 'is no longer served')) : []),
    ...(newer.deprecated && !older.deprecated ? [say('model.deprecated', 'readers', false, 'is deprecated')] : []),
    ...(older.backend === newer.backend
      ? []
      : [
          say(
            'model.backend',
            'stored',
            false,
            `was ${older.backend ?? 'none'}, is ${newer.backend ?? 'none'}: a proton that is there keeps what it has`,
          ),
        ]),
  ];
}

function pairChanges(pair: Pair): readonly ModelChange[] {
  const { older, newer, conversion } = pair;
  if (newer === undefined) return everyone(older.name, null, 'object.removed', 'is gone');
  const renamed =
    older.name === newer.name ? [] : [change(newer.name, null, 'object.renamed', 'stored', false, `was ${older.name}`)];
  return [
    ...renamed,
    ...pathChanges(older, newer),
    ...policyChanges(older, newer),
    ...ruleChanges(older, newer, conversion),
    ...uniqueChanges(older, newer, conversion),
    ...new AttributeDiff(pair, newer).all(),
  ];
}

const CLIENTS: readonly Concerned[] = ['readers', 'writers'];

function everyone(object: string, attribute: string | null, word: string, text: string): readonly ModelChange[] {
  return [...CLIENTS, 'stored' as const].map((who) => change(object, attribute, word, who, true, text));
}

function pathChanges(older: ProtonObject, newer: ProtonObject): readonly ModelChange[] {
  const say = (word: string, who: Concerned, breaking: boolean, text: string) =>
    change(newer.name, null, word, who, breaking, text);
  const [parent, parentNow] = [older.parent?.object, newer.parent?.object];
  return [
    ...(older.plural === newer.plural
      ? []
      : CLIENTS.map((who) => say('object.path', who, true, `its path was ${older.plural}, is ${newer.plural}`))),
    ...(older.noun === newer.noun
      ? []
      : [say('object.noun', 'readers', true, `its name in commands and policies was ${older.noun}, is ${newer.noun}`)]),
    ...(parent === undefined || parent === parentNow
      ? []
      : CLIENTS.map((who) => say('object.parent', who, true, `its path below ${parent} is gone`))),
    ...(parentNow === undefined || parent === parentNow
      ? []
      : [say('object.parent', 'readers', false, `it has a path below ${parentNow}`)]),
    ...(older.kind === newer.kind
      ? []
      : everyone(newer.name, null, 'object.kind', `was a ${older.kind}, is a ${newer.kind}`)),
  ];
}

function policyChanges(older: ProtonObject, newer: ProtonObject): readonly ModelChange[] {
  return ACTIONS.flatMap((action) => {
    const who = action === 'get' || action === 'list' ? 'readers' : 'writers';
    return onePolicy(newer.name, null, action, who, older.policies[action], newer.policies[action]);
  });
}

function onePolicy(
  object: string,
  attribute: string | null,
  what: string,
  who: Concerned,
  older: string,
  newer: string,
): readonly ModelChange[] {
  const answer = comparePolicies(older, newer);
  if (answer === 'same') return [];
  const text = `policy ${what} was "${older}", is "${newer}"`;
  const hint = answer === 'unknown' ? `${text}: which lets more through cannot be told` : text;
  return [change(object, attribute, `policy.${answer}`, who, answer !== 'loosened', hint)];
}

function ruleChanges(older: ProtonObject, newer: ProtonObject, { steps }: ObjectConversion): readonly ModelChange[] {
  const before = older.rules.map(({ rule }) => inNewNames(rule, steps));
  const after = newer.rules.map(({ rule }) => rule);
  return [
    ...after
      .filter((rule) => !before.includes(rule))
      .flatMap((rule) =>
        (['writers', 'stored'] as const).map((who) =>
          change(newer.name, null, 'rule.added', who, true, `a rule is new: ${rule}`),
        ),
      ),
    ...before
      .filter((rule) => !after.includes(rule))
      .map((rule) => change(newer.name, null, 'rule.removed', 'writers', false, `a rule is gone: ${rule}`)),
  ];
}

/** Words that are names of attributes, whatever else they may be in a text in quotes: two rules that differ are told as such at worst. */
function inNewNames(rule: string, steps: readonly ConversionStep[]): string {
  const names = new Map(
    steps.flatMap((step) => ('rename' in step ? [[step.rename.from, step.rename.to] as const] : [])),
  );
  return rule.replaceAll(/\b[A-Za-z_]\w*/g, (word) => names.get(word) ?? word);
}

/** Sets of attributes, in names of the newer model. */
function uniqueChanges(older: ProtonObject, newer: ProtonObject, { steps }: ObjectConversion): readonly ModelChange[] {
  const renamed = (name: string): string =>
    steps.flatMap((step) => ('rename' in step && step.rename.from === name ? step.rename.to : []))[0] ?? name;
  const key = (group: readonly string[]): string => group.toSorted().join(', ');
  const [before, after] = [older.unique.map((group) => key(group.map(renamed))), newer.unique.map(key)];
  return [
    ...after
      .filter((group) => !before.includes(group))
      .flatMap((group) =>
        (['writers', 'stored'] as const).map((who) =>
          change(newer.name, null, 'unique.added', who, true, `${group} must be unique`),
        ),
      ),
    ...before
      .filter((group) => !after.includes(group))
      .map((group) => change(newer.name, null, 'unique.removed', 'writers', false, `${group} need not be unique`)),
  ];
}

class AttributeDiff {
  readonly #older: ProtonObject;
  readonly #newer: ProtonObject;
  readonly #steps: readonly ConversionStep[];
  readonly #names: ReadonlyMap<string, string>;

  constructor({ older, conversion, names }: Pair, newer: ProtonObject) {
    this.#older = older;
    this.#newer = newer;
    this.#steps = conversion.steps;
    this.#names = names;
  }

  all(): readonly ModelChange[] {
    const made = new Set(this.#steps.flatMap(newNames));
    const names = new Set(this.#older.attributes.map(({ name }) => name));
    const taken = new Set(this.#steps.flatMap(oldNames));
    const added = this.#newer.attributes.filter(({ name }) => !made.has(name) && (!names.has(name) || taken.has(name)));
    const given = this.#steps.flatMap((step) => ('default' in step ? [step.default.attribute] : []));
    return [
      ...this.#older.attributes.flatMap((attribute) => this.#attribute(attribute)),
      ...this.#newer.attributes.filter(({ name }) => given.includes(name)).flatMap((one) => this.#added(one, true)),
      ...added.flatMap((one) => this.#added(one, false)),
      ...this.#key(),
    ];
  }

  #say(attribute: string, word: string, who: Concerned, breaking: boolean, text: string): ModelChange {
    return change(this.#newer.name, attribute, word, who, breaking, text);
  }

  #named(name: string): ProtonAttribute | undefined {
    return this.#newer.attributes.find((one) => one.name === name);
  }

  #attribute(attribute: ProtonAttribute): readonly ModelChange[] {
    const { name } = attribute;
    const step = this.#steps.find((one) => oldNames(one).includes(name));
    if (step === undefined) {
      const isMade = this.#steps.some((one) => newNames(one).includes(name));
      const match = isMade ? undefined : this.#named(name);
      if (match === undefined) return everyone(this.#newer.name, name, 'attribute.removed', 'is gone');
      return this.#changed(attribute, match);
    }
    if ('drop' in step)
      return CLIENTS.map((who) => this.#say(name, 'attribute.removed', who, true, 'is gone')).concat(
        this.#say(name, 'attribute.removed', 'stored', false, 'is dropped'),
      );
    if ('rename' in step) return this.#renamed(attribute, step.rename.to);
    return this.#reformed(attribute, step);
  }

  #renamed(attribute: ProtonAttribute, to: string): readonly ModelChange[] {
    const match = this.#named(to);
    if (match === undefined) return [];
    const isStillRead = match.alias === attribute.name;
    const text = `was ${attribute.name}${isStillRead ? ', under which it is known still' : ''}`;
    return [
      ...CLIENTS.map((who) => this.#say(to, 'attribute.renamed', who, !isStillRead, text)),
      this.#say(to, 'attribute.renamed', 'stored', false, text),
      ...this.#changed(attribute, match),
    ];
  }

  /** Its values are of another form, which the conversion knows. */
  #reformed(attribute: ProtonAttribute, step: ConversionStep): readonly ModelChange[] {
    const names = newNames(step);
    const text = `was the text ${attribute.name}, is ${'parse' in step ? 'a value' : 'its parts'}`;
    return names.flatMap((name) => {
      const match = this.#named(name);
      return [
        ...CLIENTS.map((who) => this.#say(name, 'attribute.reformed', who, true, text)),
        this.#say(name, 'attribute.reformed', 'stored', false, text),
        ...(match === undefined ? [] : this.#flags(attribute, match)),
      ];
    });
  }

  #added(attribute: ProtonAttribute, isGiven: boolean): readonly ModelChange[] {
    const { name, required, nullable } = attribute;
    const isFilled = isGiven || nullable || attribute.default !== undefined || name === this.#newer.primary;
    return [
      this.#say(name, 'attribute.added', 'readers', false, 'is new'),
      ...(required ? [this.#say(name, 'attribute.added', 'writers', true, 'is new and required')] : []),
      ...(isFilled
        ? []
        : [this.#say(name, 'attribute.added', 'stored', true, 'is new, and stored objects have no value for it')]),
    ];
  }

  /** A reference has the schema of its target's key, where its changes are told. */
  #changed(older: ProtonAttribute, newer: ProtonAttribute): readonly ModelChange[] {
    const isReference = older.ref !== undefined && newer.ref !== undefined;
    const schemas = isReference ? [] : compareSchemas(older.schema, newer.schema);
    return [...schemas.flatMap((one) => this.#schema(newer, one)), ...this.#flags(older, newer)];
  }

  #schema({ name, readOnly }: ProtonAttribute, { kind, text, isBound }: SchemaChange): readonly ModelChange[] {
    const word = `schema.${kind}`;
    const isLess = kind !== 'widened';
    const isMore = kind !== 'narrowed';
    return [
      ...(isLess && !readOnly ? [this.#say(name, word, 'writers', true, text)] : []),
      ...(isLess ? [this.#say(name, word, 'stored', true, text)] : []),
      ...(isMore ? [this.#say(name, word, 'readers', !isBound, text)] : []),
    ];
  }

  #flags(older: ProtonAttribute, newer: ProtonAttribute): readonly ModelChange[] {
    return [
      ...this.#presence(older, newer),
      ...this.#default(older, newer),
      ...this.#writing(older, newer),
      ...this.#unique(older, newer),
      ...this.#reference(older, newer),
      ...this.#policies(older, newer),
      ...this.#alias(older, newer),
    ];
  }

  #presence(older: ProtonAttribute, newer: ProtonAttribute): readonly ModelChange[] {
    const { name } = newer;
    const isFilled = newer.default !== undefined;
    return [
      ...(newer.required && !older.required
        ? [this.#say(name, 'attribute.required', 'writers', true, 'is required')]
        : []),
      ...(older.required && !newer.required
        ? [this.#say(name, 'attribute.required', 'writers', false, 'is not required any more')]
        : []),
      ...(older.nullable && !newer.nullable
        ? [
            this.#say(name, 'attribute.nullable', 'writers', true, 'cannot be null'),
            this.#say(
              name,
              'attribute.nullable',
              'stored',
              !isFilled,
              isFilled ? 'null becomes the default' : 'cannot be null',
            ),
          ]
        : []),
      ...(newer.nullable && !older.nullable
        ? [this.#say(name, 'attribute.nullable', 'readers', true, 'can be null')]
        : []),
    ];
  }

  #default(older: ProtonAttribute, newer: ProtonAttribute): readonly ModelChange[] {
    if (isSame(older.default, newer.default) || newer.required) return [];
    const text = `default was ${shown(older.default)}, is ${shown(newer.default)}`;
    return [this.#say(newer.name, 'attribute.default', 'writers', older.default !== undefined, text)];
  }

  #writing(older: ProtonAttribute, newer: ProtonAttribute): readonly ModelChange[] {
    return (['immutable', 'readOnly'] as const).flatMap((flag) => {
      if (older[flag] === newer[flag]) return [];
      const text = `is ${newer[flag] ? '' : 'no longer '}${flag}`;
      return [this.#say(newer.name, `attribute.${flag}`, 'writers', newer[flag], text)];
    });
  }

  #unique(older: ProtonAttribute, newer: ProtonAttribute): readonly ModelChange[] {
    if (older.unique === newer.unique) return [];
    const isMore = UNIQUE_RANK[newer.unique ?? 'none'] > UNIQUE_RANK[older.unique ?? 'none'];
    const text = newer.unique === undefined ? 'need not be unique' : `must be unique: ${newer.unique}`;
    const who: readonly Concerned[] = isMore ? ['writers', 'stored'] : ['writers'];
    return who.map((one) => this.#say(newer.name, 'attribute.unique', one, isMore, text));
  }

  #reference(older: ProtonAttribute, newer: ProtonAttribute): readonly ModelChange[] {
    const { name } = newer;
    if (newer.ref === undefined)
      return older.ref === undefined
        ? []
        : [this.#say(name, 'attribute.ref', 'writers', false, `need not be a ${older.ref.object}`)];
    const was = older.ref?.object;
    const renamed = was === undefined ? undefined : (this.#names.get(was) ?? was);
    if (renamed !== newer.ref.object) {
      const text =
        renamed === undefined ? `must be a ${newer.ref.object}` : `was a ${renamed}, is a ${newer.ref.object}`;
      return (['writers', 'stored'] as const).map((who) => this.#say(name, 'attribute.ref', who, true, text));
    }
    if (older.ref?.onDelete === newer.ref.onDelete) return [];
    return [
      this.#say(
        name,
        'attribute.onDelete',
        'writers',
        true,
        `when its ${renamed} is deleted: was ${older.ref?.onDelete}, is ${newer.ref.onDelete}`,
      ),
    ];
  }

  #policies(older: ProtonAttribute, newer: ProtonAttribute): readonly ModelChange[] {
    return (['read', 'write'] as const).flatMap((what) =>
      onePolicy(
        this.#newer.name,
        newer.name,
        what,
        what === 'read' ? 'readers' : 'writers',
        older.policies?.[what] ?? '',
        newer.policies?.[what] ?? '',
      ),
    );
  }

  #alias(older: ProtonAttribute, newer: ProtonAttribute): readonly ModelChange[] {
    if (older.alias === newer.alias || older.alias === undefined || older.alias === newer.name) return [];
    return CLIENTS.map((who) =>
      this.#say(newer.name, 'attribute.alias', who, true, `is no longer known as ${older.alias}`),
    );
  }

  #key(): readonly ModelChange[] {
    const [before, after] = [this.#older.primary, this.#newer.primary];
    const renamed = this.#steps.some(
      (step) => 'rename' in step && step.rename.from === before && step.rename.to === after,
    );
    return before === after || renamed
      ? []
      : everyone(this.#newer.name, after, 'attribute.key', `is the key, which ${before} was`);
  }
}

const UNIQUE_RANK = { none: 0, project: 1, global: 2 } as const;

function shown(value: unknown): string {
  return value === undefined ? 'none' : JSON.stringify(value);
}
