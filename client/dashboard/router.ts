import { useSyncExternalStore } from 'react';

/** The page shown. It is encoded in the URL fragment, so that the server serves a single page. */
export type Route =
  | { readonly page: 'overview' }
  | { readonly page: 'pipeline'; readonly pipeline: string }
  | { readonly page: 'source'; readonly pipeline: string; readonly source: string }
  | { readonly page: 'alerts' }
  | { readonly page: 'unknown' };

export function parseRoute(hash: string): Route {
  const parts = hash
    .replace(/^#?\/?/, '')
    .split('/')
    .map(decode);
  const [first = '', pipeline, third, source] = parts;
  if (parts.length === 1 && first === '') return { page: 'overview' };
  if (parts.length === 1 && first === 'alerts') return { page: 'alerts' };
  if (first !== 'pipelines' || !pipeline) return { page: 'unknown' };
  if (parts.length === 2) return { page: 'pipeline', pipeline };
  if (parts.length === 4 && third === 'sources' && source) return { page: 'source', pipeline, source };
  return { page: 'unknown' };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const hrefs = {
  overview: '#/',
  alerts: '#/alerts',
  pipeline: (pipeline: string) => `#/pipelines/${encodeURIComponent(pipeline)}`,
  source: (pipeline: string, source: string) =>
    `#/pipelines/${encodeURIComponent(pipeline)}/sources/${encodeURIComponent(source)}`,
};

function subscribe(listener: () => void) {
  window.addEventListener('hashchange', listener);
  return () => window.removeEventListener('hashchange', listener);
}

export function useHash(): string {
  return useSyncExternalStore(subscribe, () => window.location.hash);
}
