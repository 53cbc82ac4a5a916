import type { Logger } from '@cable/kit';

/** What each part of the agent is given: where it logs, and the signal that ends it. */
export type AgentDeps = { readonly log: Logger; readonly signal: AbortSignal };
