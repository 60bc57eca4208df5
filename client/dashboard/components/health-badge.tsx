import type { Health } from '../../src/feed';
import { HEALTH_LABELS } from '../../src/react/format';

const ICON_PATHS: Record<Health, string> = {
  HEALTHY: 'M4.5 8.3l2.4 2.4 4.6-5',
  WARNING: 'M8 4.5v4M8 11.2v.3',
  ERROR: 'M5.5 5.5l5 5M10.5 5.5l-5 5',
  PENDING: 'M5 8h6',
};

/** A health as icon, colour and text, so that none of them is needed alone. */
export function HealthBadge({ health, iconOnly = false }: { health: Health; iconOnly?: boolean }) {
  return (
    <span className="health" data-health={health}>
      <svg viewBox="0 0 16 16" width="1.15em" height="1.15em" aria-hidden="true">
        <circle cx="8" cy="8" r="7.5" />
        <path d={ICON_PATHS[health]} />
      </svg>
      <span className={iconOnly ? 'visually-hidden' : undefined}>{HEALTH_LABELS[health]}</span>
    </span>
  );
}
