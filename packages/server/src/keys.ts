/** The store's keys, each built in this one place. */
import { createHash } from 'node:crypto';
import { LANES } from '@cable/store';

/** Everything Cable keeps. */
export const ROOT = '/cable/';
/** Objects: `/cable/o/<type>/<id>`. */
export const OBJECTS = '/cable/o/';
/** What hosts report: `/cable/h/<kind>/...`. */
export const HOST_RUNTIME = '/cable/h/';

/** Longest text that stands in a key as it is: of a longer one its SHA-256 does. A store's key has a limit, and a name may have 255 characters of 12 bytes each. */
const SEGMENT_MAX = 256;

/** The text as one part of a key, which has no slash in it. Different texts give different parts. */
function segment(text: string): string {
  if (/^[\w.:-]*$/.test(text) && text.length <= SEGMENT_MAX) return text;
  const escaped = encodeURIComponent(text);
  return escaped.length <= SEGMENT_MAX ? escaped : `#${createHash('sha256').update(text).digest('hex')}`;
}

export function objectKey(type: string, id: string): string {
  return `${OBJECTS}${type}/${id}`;
}

/**
 * Keys that hold a rule between objects true: claims, references, marks. Everything below is made from objects, and can be made again. They sort behind all
 * keys that tables are made of.
 */
export const DERIVED = '/cable/x/';

/** Everything that keeps one object from being deleted: references to it, and claims that stand under it. Ends in a slash. */
export function referencePrefix(type: string, id: string): string {
  return `${DERIVED}ref/${type}/${segment(id)}/`;
}

/** References to the object by holders of one type. Ends in a slash. */
export function referencesOfType(type: string, id: string, byType: string): string {
  return `${referencePrefix(type, id)}${byType}/`;
}

/** Present: the holder refers to the object. Value: empty. */
export function referenceKey(type: string, id: string, byType: string, byId: string): string {
  return `${referencesOfType(type, id, byType)}${segment(byId)}`;
}

/** Present: the value is taken. Value of the key: the id of who has it. `kind` has no slash. */
export function claimKey(kind: string, value: string): string {
  return `${DERIVED}claim/${kind}/${segment(value)}`;
}

/** The same for what is unique within an object, which the claim also refers to: no type of holder has a name with `=`. */
export function claimUnderKey(type: string, id: string, kind: string, value: string): string {
  return `${claimsUnderPrefix(type, id, kind)}${segment(value)}`;
}

/** All claims of a kind within an object. Ends in `=`. */
export function claimsUnderPrefix(type: string, id: string, kind: string): string {
  return `${referencePrefix(type, id)}${kind}=`;
}

/** Marks of one kind on an object; `about` narrows. Ends in a slash. */
export function markPrefix(kind: string, id: string, about?: string): string {
  const prefix = `${DERIVED}mark/${kind}/${segment(id)}/`;
  return about === undefined ? prefix : `${prefix}${segment(about)}/`;
}

/** What of the marks of one kind on an object is about none of the given: from the first key to before the second, each. */
export function markGaps(kind: string, id: string, but: readonly string[]): readonly (readonly [string, string])[] {
  const prefix = markPrefix(kind, id);
  const gaps: (readonly [string, string])[] = [];
  let from = prefix;
  // In the order of bytes: segments are ASCII.
  for (const passed of [...new Set(but.map((about) => markPrefix(kind, id, about)))].sort()) {
    gaps.push([from, passed]);
    from = behind(passed);
  }
  return [...gaps, [from, behind(prefix)]];
}

/** The first text that is behind all those which begin with the prefix, whose last character is a slash. */
function behind(prefix: string): string {
  return `${prefix.slice(0, -1)}0`;
}

/** The `referencePrefix` or `markPrefix` that a key stands under; of a claim among all objects, which stands under none, some text that is no such prefix. */
export function prefixOfTarget(key: string): string {
  const parts = key.slice(DERIVED.length).split('/', 3);
  return `${DERIVED}${parts.join('/')}/`;
}

/** Present: the holder is something that matters to the object, e.g. a port of a project that does not own its network. */
export function markKey(kind: string, id: string, about: string, holder: string): string {
  return `${markPrefix(kind, id, about)}${segment(holder)}`;
}

/** Present: the address is a host's tunnel end. Value: the host's name. */
export function underlayKey(ip: string): string {
  return claimKey('underlay', ip);
}

/** The store's identity, made once: a UUID. */
export const CLUSTER = '/cable/meta/cluster';

/** The form of the keys below `DERIVED`: a number. */
export const FORMAT = '/cable/meta/format';

/** Leased; present: somebody makes those keys anew. */
export const FORMAT_LOCK = '/cable/meta/format-lock';

/** Types of extensions that were loaded at run time. */
export const TYPE_KEYS = '/cable/meta/type/';

/** Present: the type is loaded, by every server on the store. Value: the alias of the extension that brings it. */
export function typeKey(type: string): string {
  return `${TYPE_KEYS}${type}`;
}

/** Deletes of objects whose parts have not all gone from the store yet. */
export const TOMBSTONE_KEYS = '/cable/meta/tombstone/';

/** Present: the object was deleted when the key was written, and its parts with it. Value: `Tombstone` without its id. */
export function tombstoneKey(type: string, id: string): string {
  return `${TOMBSTONE_KEYS}${type}/${id}`;
}

/** Every object of a type. Ends in a slash. */
export function objectPrefix(type: string): string {
  return `${OBJECTS}${type}/`;
}

/** Present: the rules that new security groups begin with were made once; of those that are not there any more, somebody has deleted them. */
export const FIRST_RULES = '/cable/meta/first-rules';

/** Of which ids are made that requests say: 32 bytes in base64. */
export const ID_SECRET = '/cable/meta/id-secret';

/** Written so that a watch has something to tell. */
export const TICK = '/cable/meta/tick';

/** Marks of the store's history, in order: the text of mark *n* and what it vouches for. */
export const MARKS = '/cable/meta/mark/';

/** All keys have one length, so that they are in the order of their numbers. */
export function historyMarkKey(number: number): string {
  return `${MARKS}${String(number).padStart(10, '0')}`;
}

const ALIVE = `${HOST_RUNTIME}alive/`;

/** Leased; present: the host's agent reports. Value: at which server, and who it is (`AliveRow`). */
export function aliveKey(host: string): string {
  return `${ALIVE}${host}`;
}

/** What servers say of their hosts. */
export const SERVERS: string = `${HOST_RUNTIME}server/`;

/** Leased; present: the server runs. Value: what its hosts have programmed (`ServerRow`). */
export function serverKey(server: string): string {
  return `${SERVERS}${server}`;
}

/** What Nova was told last of a port (`NovaRow`). */
export function novaKey(portId: string): string {
  return `${HOST_RUNTIME}nova/${portId}`;
}

/** The same of a port that is a proton's. */
export function novaProtonKey(portId: string): string {
  return `${HOST_RUNTIME}nova-proton/${portId}`;
}

const TELLERS = `${HOST_RUNTIME}teller/`;

/** Leased; present: a server tells Nova what is new. Value: `{"server"}`. */
export const NOVA_TELLER: string = tellerKey('nova');

/** The same of somebody else: `plugin-<name>`. */
export function tellerKey(who: string): string {
  return `${TELLERS}${who}`;
}

/** What is known of a plug-in (`HeardRow`). */
export function heardKey(plugin: string): string {
  return `${HOST_RUNTIME}heard/${plugin}`;
}

/** What a plug-in was told last of an object (`ToldRow`). */
export function toldKey(plugin: string, resource: string, id: string): string {
  return `${toldPrefix(plugin)}${resource}/${id}`;
}

/** All that it was told. Ends in a slash. */
export function toldPrefix(plugin: string): string {
  return `${HOST_RUNTIME}told/${plugin}/`;
}

const CONTROLLERS = `${HOST_RUNTIME}controller/`;

/** Leased; present: a controller of a proton is alive. Value: its session, and the lease (`ControllerRow`). */
export function controllerKey(name: string): string {
  return `${CONTROLLERS}${name}`;
}

/** Present: what there was before anything was told to Nova counts as told, and stands beside each port. */
export const NOVA_SINCE = '/cable/meta/nova-since';

/** True for keys that go when a lease ends; those that the store itself has written among them. */
export function isLeased(key: string): boolean {
  return [ALIVE, SERVERS, TELLERS, CONTROLLERS, LANES, REPEATS].some((prefix) => key.startsWith(prefix));
}

/** What servers before protocol 2 kept of each host's acknowledgements; nobody reads it. */
export const OLD_ACKNOWLEDGEMENTS: string = `${HOST_RUNTIME}ack/`;

/** `{"state", "reason"}`: what the host says of a port's device. */
export function vifKey(host: string, portId: string): string {
  return `${vifPrefix(host)}${portId}`;
}

/** `{"host", "state", "reason"}`: what a host says of a member of a pool. */
export function healthKey(memberId: string): string {
  return `${HOST_RUNTIME}health/${memberId}`;
}

export function vifPrefix(host: string): string {
  return `${HOST_RUNTIME}vif/${host}/`;
}

/** What servers ask each other and answer. They sort behind all keys that tables are made of. */
const RELAYED = '/cable/y/';

/** All that is for one server. Ends in a slash. */
export function relayPrefix(server: string): string {
  return `${RELAYED}${server}/`;
}

/** Leased; present: the server `by` asks something of a host of `of`, which answers and deletes it. */
export function relayedAskKey(of: string, by: string, number: number): string {
  return `${relayPrefix(of)}ask/${by}/${number}`;
}

/** Leased; present: the answer to what `by` asked with that number, which takes and deletes it. */
export function relayedAnswerKey(by: string, number: number): string {
  return `${relayPrefix(by)}answer/${number}`;
}

const REPEATS = '/cable/z/repeat/';

/** Leased; present: how many creates of one text the plug-in of neutron-server was answered (`contrail/repeats.ts`). Behind all keys that tables are made of. */
export function repeatKey(name: string): string {
  return `${REPEATS}${name}`;
}

/** Who had which ports of routers' external addresses: `<external address>/<first port of the block>/<lease>-<when>`. Behind all keys that tables are made of. */
export const SNAT_LOG = '/cable/z/snat/';

/** What is known of a block. Ends in a slash. */
export function snatLogPrefix(address: string, firstPort: number): string {
  return `${SNAT_LOG}${segment(address)}/${firstPort}/`;
}

/** A lease had the block from that time on. */
export function snatLogKey(address: string, firstPort: number, lease: string, fromMs: number): string {
  return `${snatLogPrefix(address, firstPort)}${lease}-${fromMs}`;
}
