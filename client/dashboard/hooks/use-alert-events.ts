import { print } from 'graphql';
import { useEffect, useRef, useState } from 'react';
import type { Feed } from '../../src/feed';
import { AlertEventsDocument, type AlertEventsSubscription } from '../generated';

const ALERT_EVENTS = print(AlertEventsDocument);

/**
 * Calls `onEvent` for every alert event, received over the feed's own connection. After an interruption it resumes after the
 * last event.
 *
 * @returns whether events are being received; if not, the caller must poll
 */
export function useAlertEvents(feed: Feed<unknown>, onEvent: () => void): boolean {
  const [isActive, setActive] = useState(false);
  const lastId = useRef<string | null>(null);
  useEffect(
    () =>
      feed.subscribeAlso<AlertEventsSubscription>({
        query: ALERT_EVENTS,
        variables: () => ({ since: lastId.current }),
        onData({ alertEvents }) {
          lastId.current = alertEvents.id;
          onEvent();
        },
        onActive(isActive) {
          setActive(isActive);
          // Without a last event, earlier changes are only in the list itself.
          if (isActive) onEvent();
        },
      }),
    [feed, onEvent],
  );
  return isActive;
}
