import { useEffect } from 'react';
import type { Connection, Health } from '../src/feed';
import { HEALTH } from '../src/react/words';
import error from './icons/error.svg';
import healthy from './icons/healthy.svg';
import pending from './icons/pending.svg';
import warning from './icons/warning.svg';

const ICONS: Record<Health, string> = { HEALTHY: healthy, WARNING: warning, ERROR: error, PENDING: pending };

/** The tab tells the status among others: in its title and in its icon. */
export function useTitle(what: string | null, health: Health | null, connection: Connection['state']) {
  useEffect(() => {
    const state = connection === 'disconnected' ? 'Disconnected' : health && HEALTH[health];
    document.title = [state, what, 'Pipewatch'].filter(Boolean).join(' · ');
    const icon = document.querySelector<HTMLLinkElement>('link[rel=icon]');
    const href = ICONS[connection === 'disconnected' ? 'PENDING' : (health ?? 'PENDING')];
    if (icon && icon.getAttribute('href') !== href) icon.href = href;
  }, [what, health, connection]);
}

const ORDER: readonly Health[] = ['ERROR', 'WARNING', 'HEALTHY', 'PENDING'];

/** Errors first; pending only when there is nothing else. */
export function worst(healths: readonly Health[]): Health | null {
  return ORDER.find((it) => healths.includes(it)) ?? null;
}

export function bySeverity(a: Health, b: Health): number {
  return ORDER.indexOf(a) - ORDER.indexOf(b);
}
