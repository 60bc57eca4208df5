import type { ReactNode } from 'react';

interface StatProps {
  name: string;
  children: ReactNode;
  /** Smaller text after the value, such as the total. */
  detail?: ReactNode;
}

export function Stat({ name, children, detail }: StatProps) {
  return (
    <div className="stat">
      <dt>{name}</dt>
      <dd>
        <span className="value numeric">{children}</span>
        {detail !== undefined && <span className="muted numeric">{detail}</span>}
      </dd>
    </div>
  );
}
