/** How much the extensions of a directory may be. Requests wait while what is loaded is put together, so it must not take long. */
import { isFields } from '../rows.ts';

/** Bytes of one file; of code, characters of its declaration and rules as JSON, too. */
export const MOST_BYTES: number = 1 << 20;

/** Objects and lists in one another, of a declaration. */
const MOST_DEEP = 20;

/** Parts of all declarations of a directory together. Attributes include those that are changed. */
const MOST = { resources: 50, attributes: 500, actions: 500, rules: 500 } as const;

/** As how many types `*` counts: at least as many as there are. */
const STANDARD = 10;

type Counts = Record<keyof typeof MOST, number>;

/** Counts what extensions declare, one after the other. */
export type Bounds = {
  /** Takes one more; what is wrong, with the remedy, when that makes too much. Undefined: nothing. */
  readonly add: (given: Readonly<Record<string, unknown>>) => string | undefined;
};

/** Counts from zero. */
export function createBounds(): Bounds {
  const sum: Counts = { resources: 0, attributes: 0, actions: 0, rules: 0 };
  return {
    add: ({ declaration, rules }) => {
      const counts = countsOf(declaration, rules);
      for (const name of Object.keys(MOST) as (keyof typeof MOST)[]) {
        sum[name] += counts[name];
        if (sum[name] <= MOST[name]) continue;
        return `with it the extensions of the directory have ${sum[name]} ${name}; there may be ${MOST[name]}. Declare fewer, or add a type to the source.`;
      }
      return undefined;
    },
  };
}

/** What is wrong with the size of one declaration alone; undefined: nothing. */
export function sizeProblem(declaration: unknown, rules: unknown): string | undefined {
  if (isDeeper(declaration, MOST_DEEP)) {
    return `its declaration has more than ${MOST_DEEP} objects and lists in one another. Make it flatter.`;
  }
  const length = JSON.stringify([declaration, rules]).length;
  if (length <= MOST_BYTES) return undefined;
  return `its declaration and rules have ${length} characters as JSON; there may be ${MOST_BYTES}. Declare less.`;
}

function isDeeper(value: unknown, most: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return most === 0 || Object.values(value).some((inner) => isDeeper(inner, most - 1));
}

function countsOf(declaration: unknown, rules: unknown): Counts {
  const { resources, attributes, changes, actions } = isFields(declaration) ? declaration : {};
  const own = Array.isArray(resources) ? resources.filter(isFields) : [];
  const inOwn = (part: string): number => own.reduce((sum, one) => sum + sizeOf(one[part]), 0);
  return {
    resources: own.length,
    attributes: innerSizeOf(attributes) + innerSizeOf(changes) + inOwn('attributes'),
    actions: innerSizeOf(actions) + inOwn('actions'),
    rules: sizeOf(rules),
  };
}

/** By type; what is under `*` is of many types. */
function innerSizeOf(byType: unknown): number {
  const sizes = Object.entries(isFields(byType) ? byType : {}).map(
    ([type, one]) => sizeOf(one) * (type === '*' ? STANDARD : 1),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

function sizeOf(value: unknown): number {
  return typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
}
