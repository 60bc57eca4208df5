import type { ReactNode } from 'react';

export interface FigureProps {
  name: string;
  children: ReactNode;
  /** What the figure is of, in small. */
  of?: ReactNode;
}

export function Figure({ name, children, of }: FigureProps) {
  return (
    <div className="figure">
      <dt>{name}</dt>
      <dd>
        <span className="value figures">{children}</span>
        {of !== undefined && <span className="dim figures">{of}</span>}
      </dd>
    </div>
  );
}
