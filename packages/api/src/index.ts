export * from './body.ts';
export * from './client.ts';
export { exampleOf } from './example.ts';
export { type Extension, extensionsOf } from './extensions.ts';
export { NATIVE_ROUTES } from './native-routes.ts';
export { openApiBelow, openApiDocument } from './openapi.ts';
export * from './page.ts';
export * from './query.ts';
export { renderReference } from './reference.ts';
export { parametersOf, parentParameter, type Route, routesOf } from './routes.ts';
export {
  type KnownSchema,
  parseSchema,
  readSchema,
  SCHEMA_PATH,
  type Schema,
  type SchemaResource,
  schemaOf,
} from './schema.ts';
export {
  createShowText,
  JsonText,
  type KeptTexts,
  LongList,
  type Shown,
  type ShowText,
  showObject,
  type Text,
  type Where,
} from './show.ts';
export type * from './transport.ts';
export { type Parsed, parseValue, unfitForKey } from './value.ts';
