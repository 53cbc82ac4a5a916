/** Tags, in the words of the `openstack` client: options of `create`, `set` and `list`, and the command `unset`. */
import type { Client } from '@cable/api';
import type { AnyObject, ResourceModel } from '@cable/model';
import { type Command, Option } from 'commander';
import { CliError } from './errors.ts';
import { collect } from './flags.ts';

type Options = Readonly<Record<string, unknown>>;

/** True for a type whose objects are tagged by actions of their own. */
export function isTagged({ actions = [] }: Pick<ResourceModel, 'actions'>): boolean {
  return ['update_tags', 'delete_tags', 'delete_tag'].every((name) => actions.some((one) => one.name === name));
}

/** Options of what changes an object's tags. `create`: only of a type whose objects are not created with their tags. */
export function addTagOptions(command: Command, resource: ResourceModel, verb: 'create' | 'update'): void {
  if (!isTagged(resource) || (verb === 'create' && isCreatedWithTags(resource))) return;
  command.addOption(new Option('--tag <text>', 'give it this tag (repeatable)').argParser(collectTags));
  const text = verb === 'create' ? 'without tags' : 'take all its tags; with --tag: give it those instead';
  command.addOption(new Option('--no-tag', text));
}

/** Options of the command that takes tags. */
export function addUntagOptions(command: Command): void {
  command.option('--tag <text>', 'take this tag from it (repeatable)', collect);
  command.option('--all-tag', 'take all its tags');
}

function isCreatedWithTags({ attributes }: ResourceModel): boolean {
  return attributes['tags']?.write !== undefined;
}

/** Null in front: the tags that there were are to go. */
type Change = readonly (string | null)[];

function collectTags(text: string, before: unknown): Change {
  return before === false ? [null, text] : [...(Array.isArray(before) ? (before as Change) : []), text];
}

/** True when the options say something about tags. */
export function changesTags(resource: ResourceModel, options: Options): boolean {
  return isTagged(resource) && options['tag'] !== undefined;
}

/** What `--tag` and `--no-tag` say of an object, done. Answers the object after it. */
export async function changeTags(
  client: Client,
  { type, actions = [] }: ResourceModel,
  id: string,
  options: Options,
): Promise<AnyObject> {
  const given: Change = options['tag'] === false ? [null] : (options['tag'] as Change);
  const tags = given.filter((one) => one !== null);
  if (given.includes(null)) await client.action(type, id, 'update_tags', { tags });
  else if (actions.some(({ name }) => name === 'create_tags')) await client.action(type, id, 'create_tags', { tags });
  else for (const tag of tags) await client.action(type, id, 'update_tag', undefined, { tag });
  return await client.get<string>(type, id);
}

/** What `unset` says, done. Throws `CliError` when it says nothing. */
export async function takeTags(client: Client, { type }: ResourceModel, id: string, options: Options): Promise<void> {
  const tags = options['tag'];
  if (options['allTag'] === true) return void (await client.action(type, id, 'delete_tags'));
  if (!Array.isArray(tags)) throw new CliError(2, 'nothing to take is given', 'See the options with --help.');
  for (const tag of tags) await client.action(type, id, 'delete_tag', undefined, { tag: String(tag) });
}
