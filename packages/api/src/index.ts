export * from './body.ts';
export * from './client.ts';
export { openApiDocument } from './openapi.ts';
export * from './page.ts';
export * from './query.ts';
export { type Route, routesOf } from './routes.ts';
export { showObject } from './show.ts';
export type * from './transport.ts';
export { type Parsed, parseValue } from './value.ts';
