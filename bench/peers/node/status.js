import { readFileSync } from 'node:fs';

const text = readFileSync(new URL('../status.json', import.meta.url), 'utf8');
const [before, after] = text.split(/(?<="timestamp":")[^"]*/);

/** This instant as RFC 3339 with microseconds; `Date` alone has only milliseconds. */
export function now() {
  const micros = Math.floor((performance.timeOrigin + performance.now()) * 1000);
  return `${new Date(micros / 1000).toISOString().slice(0, 20)}${String(micros % 1e6).padStart(6, '0')}Z`;
}

/** The plain status of this instant, as text. */
export const render = () => before + now() + after;

/** The status as the values of the GraphQL schema, but for its timestamp. */
export const status = toGraphQL(JSON.parse(text));

function toGraphQL(value, key) {
  if (Array.isArray(value)) return value.map((item) => toGraphQL(item));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, value]) => [camel(key), toGraphQL(value, key)]));
  }
  return ['status', 'overall_status', 'basis', 'type', 'severity', 'state'].includes(key) ? constant(value) : value;
}

function camel(key) {
  return key.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
}

function constant(value) {
  return value.toUpperCase().replaceAll('-', '_');
}
