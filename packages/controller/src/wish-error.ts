/** An annotation that is not understood. `message` names it. */
export class WishError extends Error {}
