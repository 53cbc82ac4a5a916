/** Reads `conversions` of format 2.0. */
import { newNames, oldNames } from './convert.ts';
import { asList, asMap, asTexts, asWord, checkKeys, listed, textAt } from './fields.ts';
import type { LinkedObject } from './links.ts';
import type { Conversion, ConversionStep, ObjectConversion } from './model.ts';
import type { Place, Problems } from './problems.ts';
import { type Entry, type MapTree, plainValue, type Tree } from './tree.ts';

export const STEPS = ['rename', 'default', 'drop', 'split', 'parse'] as const;

const SEPARATOR_MAX = 8;

const CONVERSIONS_MAX = 32;

const STEPS_MAX = 512;

export function readConversions(
  roots: readonly MapTree[],
  objects: readonly LinkedObject[],
  version: string,
  problems: Problems,
): readonly Conversion[] {
  const items = roots.flatMap((root) => {
    const entry = root.entries.get('conversions');
    return entry === undefined ? [] : (asList(entry.value, 'conversions', problems)?.items ?? []);
  });
  const [first] = items;
  if (first !== undefined && items.length > CONVERSIONS_MAX) {
    problems.error(first.at, `there are ${items.length} conversions`, `Write at most ${CONVERSIONS_MAX}`);
    return [];
  }
  const seen = new Set([version]);
  return items.flatMap((item) => {
    const map = asMap(item, 'a conversion', problems);
    const conversion = map === undefined ? undefined : readConversion(map, objects, problems);
    if (conversion === undefined) return [];
    if (seen.has(conversion.from)) {
      const why = conversion.from === version ? 'is of this version itself' : 'is there twice';
      problems.error(item.at, `the conversion from ${conversion.from} ${why}`, 'Leave it out');
    }
    seen.add(conversion.from);
    return [conversion];
  });
}

function readConversion(map: MapTree, objects: readonly LinkedObject[], problems: Problems): Conversion | undefined {
  checkKeys(map, ['from', 'objects'], 'a conversion', problems);
  const [fromEntry, of] = [map.entries.get('from'), map.entries.get('objects')];
  const from = fromEntry === undefined ? undefined : asWord(fromEntry, 'from of a conversion', problems);
  if (fromEntry === undefined) problems.error(map.at, 'a conversion has no from', 'Write the version it is from');
  const converted = of === undefined ? undefined : asMap(of.value, 'objects of a conversion', problems);
  if (from === undefined) return undefined;
  const read = [...(converted?.entries ?? [])].flatMap(([name, entry]) => {
    const object = objects.find((one) => one.name === name);
    if (object !== undefined) return [readObject(object, entry, problems)];
    problems.error(
      entry.at,
      `a conversion is of ${name}, which is no API object`,
      `Name one of ${listed(objects.map((one) => one.name))}`,
    );
    return [];
  });
  return { from, objects: read };
}

/** A list of steps, or a map that says under which name the object was known, too. */
function readObject(object: LinkedObject, { value, at }: Entry, problems: Problems): ObjectConversion {
  const what = `the conversion of ${object.name}`;
  const map = value.kind === 'map' ? value : undefined;
  if (map !== undefined) checkKeys(map, ['was', 'steps'], what, problems);
  const was = map === undefined ? undefined : textAt(map, 'was', `was of ${what}`, problems);
  const list: Tree | undefined = map === undefined ? value : map.entries.get('steps')?.value;
  const items = list === undefined ? [] : (asList(list, what, problems)?.items ?? []);
  if (items.length > STEPS_MAX) {
    problems.error(at, `${what} has ${items.length} steps`, `Write at most ${STEPS_MAX}`);
    return { object: object.name, steps: [] };
  }
  const steps = items.flatMap((item) => readStep(item, what, object, problems) ?? []);
  checkOnce(steps, what, at, problems);
  return { object: object.name, steps, ...(was === undefined ? {} : { was }) };
}

function readStep(tree: Tree, what: string, object: LinkedObject, problems: Problems): ConversionStep | undefined {
  const map = asMap(tree, `a step of ${what}`, problems);
  if (map === undefined) return undefined;
  checkKeys(map, STEPS, `a step of ${what}`, problems);
  const [word, second] = STEPS.filter((one) => map.entries.has(one));
  if (word === undefined || second !== undefined) {
    problems.error(
      map.at,
      `a step of ${what} is ${word === undefined ? 'nothing' : 'two'}`,
      `Write one of ${listed(STEPS)}`,
    );
    return undefined;
  }
  const entry = map.entries.get(word);
  const body = entry === undefined ? undefined : asMap(entry.value, `${word} of ${what}`, problems);
  const step = body === undefined ? undefined : readers[word](body, `${word} of ${what}`, problems);
  if (step !== undefined) checkNew(step, map.at, what, object, problems);
  return step;
}

type StepReader = (body: MapTree, what: string, problems: Problems) => ConversionStep | undefined;

const readers: Readonly<Record<(typeof STEPS)[number], StepReader>> = {
  rename: (body, what, problems) => {
    const names = fromTo(body, what, problems);
    return names === undefined ? undefined : { rename: names };
  },
  parse: (body, what, problems) => {
    const names = fromTo(body, what, problems);
    return names === undefined ? undefined : { parse: names };
  },
  default: (body, what, problems) => {
    checkKeys(body, ['attribute', 'value'], what, problems);
    const attribute = needed(body, 'attribute', what, problems);
    const value = body.entries.get('value');
    if (value === undefined) problems.error(body.at, `${what} has no value`, 'Write value');
    return attribute === undefined || value === undefined
      ? undefined
      : { default: { attribute, value: plainValue(value.value) } };
  },
  drop: (body, what, problems) => {
    checkKeys(body, ['attribute', 'value'], what, problems);
    const attribute = needed(body, 'attribute', what, problems);
    const value = body.entries.get('value');
    if (attribute === undefined) return undefined;
    return { drop: { attribute, ...(value === undefined ? {} : { value: plainValue(value.value) }) } };
  },
  split: (body, what, problems) => {
    checkKeys(body, ['attribute', 'into', 'separator'], what, problems);
    const attribute = needed(body, 'attribute', what, problems);
    const separator = needed(body, 'separator', what, problems);
    const into = body.entries.get('into');
    if (into === undefined) problems.error(body.at, `${what} has no into`, 'Name an attribute, or a list of some');
    if (separator !== undefined && (separator === '' || separator.length > SEPARATOR_MAX)) {
      problems.error(body.at, `separator of ${what} has ${separator.length} characters`, `Write 1 to ${SEPARATOR_MAX}`);
    }
    if (attribute === undefined || separator === undefined || into === undefined) return undefined;
    const names =
      into.value.kind === 'list'
        ? asTexts(into.value, `into of ${what}`, problems)
        : needed(body, 'into', what, problems);
    return names === undefined ? undefined : { split: { attribute, into: names, separator } };
  },
};

function fromTo(body: MapTree, what: string, problems: Problems): { from: string; to: string } | undefined {
  checkKeys(body, ['from', 'to'], what, problems);
  const [from, to] = [needed(body, 'from', what, problems), needed(body, 'to', what, problems)];
  return from === undefined || to === undefined ? undefined : { from, to };
}

function needed(body: MapTree, key: string, what: string, problems: Problems): string | undefined {
  if (!body.entries.has(key)) problems.error(body.at, `${what} has no ${key}`, `Write ${key}`);
  return textAt(body, key, `${key} of ${what}`, problems);
}

function checkNew(step: ConversionStep, at: Place, what: string, object: LinkedObject, problems: Problems): void {
  const known = object.attributes.map(({ name }) => name);
  for (const name of newNames(step)) {
    if (!known.includes(name))
      problems.error(at, `${what} makes ${name}, which is no attribute`, `Name one of ${listed(known)}`);
  }
  if (!('split' in step) || typeof step.split.into !== 'string') return;
  const { into } = step.split;
  const schema = object.attributes.find(({ name }) => name === into)?.schema;
  const isList = typeof schema === 'object' && schema['type'] === 'array';
  if (schema !== undefined && !isList)
    problems.error(
      at,
      `${what} parts a text into ${into}, which is no list`,
      'Write into: [NAME, NAME], or let it be a list',
    );
}

/** Steps have no order: each attribute is in one. */
function checkOnce(steps: readonly ConversionStep[], what: string, at: Place, problems: Problems): void {
  for (const [side, namesOf] of [
    ['from', oldNames],
    ['to', newNames],
  ] as const) {
    const names = steps.flatMap(namesOf);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) problems.error(at, `${what} leads twice ${side} ${twice}`, 'Leave one of the steps out');
  }
}
