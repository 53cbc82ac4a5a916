/** Nova's side of external events, as its API reference has it. */
import type { NovaAnswer, NovaPost } from '../nova-api.ts';
import type { NovaEvent } from '../told.ts';

/** A Nova with some servers. */
export class FakeNova {
  /** Servers that are on a host. */
  readonly servers: Set<string> = new Set();
  /** Servers that Nova makes just now: on no host yet. */
  readonly unscheduled: Set<string> = new Set();
  /** Servers at which Nova has a fault of its own. */
  readonly broken: Set<string> = new Set();
  /** Tags that it does not take for such. */
  readonly odd: Set<string> = new Set();
  /** Events that were taken, in order. */
  readonly taken: NovaEvent[] = [];
  requests = 0;
  isDown = false;
  /** Called before each answer. */
  before: () => Promise<void> = () => Promise.resolve();

  readonly post: NovaPost = async (_path, body) => {
    await this.before();
    this.requests += 1;
    if (this.isDown) throw new Error('connect ECONNREFUSED');
    return this.#answer((JSON.parse(body) as { events: readonly NovaEvent[] }).events);
  };

  /** `plugged <port>`, …: short names of what was taken. */
  get words(): readonly string[] {
    return this.taken.map(({ name, tag }) => `${name.replace(/network-(vif-)?/, '')} ${tag}`);
  }

  #answer(events: readonly NovaEvent[]): NovaAnswer {
    if (events.some(({ tag }) => this.odd.has(tag))) return { status: 400, body: '{"badRequest": {}}' };
    if (events.some(({ server_uuid: id }) => this.broken.has(id))) return { status: 500, body: '{}' };
    const coded = events.map((event) => ({ ...event, code: this.#codeOf(event) }));
    const good = coded.filter(({ code }) => code === 200);
    if (good.length === 0) return { status: 404, body: '{"itemNotFound": {}}' };
    this.taken.push(...events.filter((_event, index) => coded[index]?.code === 200));
    return { status: good.length === coded.length ? 200 : 207, body: JSON.stringify({ events: coded }) };
  }

  #codeOf({ server_uuid: id }: NovaEvent): number {
    if (this.servers.has(id)) return 200;
    return this.unscheduled.has(id) ? 422 : 404;
  }
}
