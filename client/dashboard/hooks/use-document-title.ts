import { useEffect } from 'react';
import type { Connection, Health } from '../../src/feed';
import { HEALTH_LABELS } from '../../src/react/format';
import error from '../icons/error.svg';
import healthy from '../icons/healthy.svg';
import pending from '../icons/pending.svg';
import warning from '../icons/warning.svg';

const ICONS: Record<Health, string> = { HEALTHY: healthy, WARNING: warning, ERROR: error, PENDING: pending };

/** Shows the status in the title and the icon of the browser tab. */
export function useDocumentTitle(
  subject: string | null,
  health: Health | null,
  connection: Connection['state'] | null,
) {
  useEffect(() => {
    const state = connection === 'disconnected' ? 'Disconnected' : health && HEALTH_LABELS[health];
    document.title = [state, subject, 'Pipewatch'].filter(Boolean).join(' · ');
    const icon = document.querySelector<HTMLLinkElement>('link[rel=icon]');
    const href = ICONS[connection === 'disconnected' ? 'PENDING' : (health ?? 'PENDING')];
    if (icon && icon.getAttribute('href') !== href) icon.href = href;
  }, [subject, health, connection]);
}
